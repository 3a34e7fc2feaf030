//! Running other programs: what the project's commands, its senders and its benchmarks share.
//!
//! Takes commands, gives how they ended, what they cost and what they said. It builds in seconds, as `cargo xtask`
//! waits for it.
#![forbid(unsafe_code)]

pub mod cable;
pub mod folders;
pub mod interrupts;
pub mod namespace;
pub mod process;
pub mod star;
pub mod style;
pub mod summary;
pub mod tools;
pub mod usage;
