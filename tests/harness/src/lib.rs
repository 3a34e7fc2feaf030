//! What tests of several packages share: the built binary, captures, frames, CSV, and tshark as an oracle.
//!
//! Tests of the product see command lines, files and results; nothing that they are given knows how tapline works
//! inside. Tests of packages share frames (`frames`, `samples`), and the words in which the kernel's parser and the
//! decoder are compared (`columns`). `servers` are those that results go to. Packages depend on this one for their tests and
//! measurements only.

#![forbid(unsafe_code)]

pub mod captures;
pub mod certificates;
pub mod cflow;
pub mod columns;
pub mod csv;
pub mod dissection;
pub mod frames;
pub mod node;
pub mod ports;
pub mod run;
pub mod samples;
pub mod scenario;
pub mod servers;
pub mod table;
pub mod tshark;
pub mod waiting;
pub mod windows;
pub mod wireshark;

pub use run::{Finished, tapline};
pub use table::Table;
