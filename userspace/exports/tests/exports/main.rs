//! Sources of flow exports, read through the public interface; traffic over loopback only.

#![expect(clippy::unwrap_used, reason = "a test may end at what it did not expect")]

mod files;
mod fragments;
mod frames;
mod property;
mod sending;
mod streams;
mod tcp;
mod tshark;
mod udp;
