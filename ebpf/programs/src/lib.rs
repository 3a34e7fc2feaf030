//! The kernel programs.
//!
//! Takes frames as a network card's driver hands them over, gives flow entries, redirected frames and counters,
//! by the contract in `tapline_ebpf_common`. All that can be decided without the kernel (what a frame is, where
//! a flow stands, whether the pre-filter keeps it, which pane it is in) is plain code that runs on the host, too,
//! where it is tested against the user-space decoder; the module `kernel` joins it to contexts, helpers and maps.
//!
//! Every frame has one fate: filtered, in an entry, or lost; entries are drained from the table or sent through
//! the ring buffer. Nothing is deleted from a table in use.
#![cfg_attr(target_arch = "bpf", no_std, feature(asm_experimental_arch))]

pub mod arrival;
pub mod cut;
pub mod filter;
pub mod flow;
pub mod hash;
#[cfg(target_arch = "bpf")]
pub mod kernel;
pub mod pane;
pub mod parse;
pub mod segments;
