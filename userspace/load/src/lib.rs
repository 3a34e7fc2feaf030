//! Senders that know what they sent: what the program `tapline-load` and the benchmarks share.
//!
//! Takes plans, rates and limits, sends flow exports, and gives the truth about them.

#![forbid(unsafe_code)]

pub mod exports;
pub mod pace;
