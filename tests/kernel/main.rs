//! The kernel programs, in the kernel: what they read, count and lose, by test runs and by frames on the wire.
//!
//! Every test loads its own programs and, where it needs one, makes its own network namespace, which the kernel
//! takes away with the test's thread. Where the rights are missing, a test says so and is skipped.

#![expect(clippy::unwrap_used, reason = "a test may end where it cannot go on")]

mod account;
mod active_flows;
mod answers;
mod card;
mod changing;
mod connection;
mod crash;
mod cut;
mod directions;
mod doctor;
mod ethtool;
mod filter;
mod flows;
mod interfaces;
mod joined;
mod lists;
mod live;
mod live_errors;
mod live_source;
mod load;
mod mirror;
mod namespace;
mod node;
mod packet_source;
mod panes;
mod parser;
mod pushed;
mod queries;
mod readers;
mod replay;
mod rights;
mod segments;
mod several;
mod tags;
mod tun;
mod wanted;
mod xdp_source;
