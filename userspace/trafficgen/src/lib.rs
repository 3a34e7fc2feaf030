//! Synthetic traffic from a seed.
//!
//! Takes a seed, gives frames in time order, as a capture file or as descriptions, together with the truth
//! about them. The same seed always gives the same bytes, on every platform: all arithmetic is on integers.
//! Every frame is well formed and carries correct lengths and checksums.
#![forbid(unsafe_code)]

pub mod csv;
pub mod exports;
pub mod frame;
pub mod mmdb;
pub mod payload;
pub mod pcap;
pub mod random;
pub mod scenario;
pub mod workload;
