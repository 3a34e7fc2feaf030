//! Capture files of every kind, read through the public interface.

#![expect(clippy::unwrap_used, reason = "a test may end at what it did not expect")]

mod compression;
mod conformance;
mod damage;
mod memory;
mod merge;
mod open;
mod oracle;
mod pcap;
mod pcapng;
mod property;
mod reading;
mod shortened;
mod standard_input;
mod written;
