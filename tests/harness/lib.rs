//! What the outside tests share: the built binary, captures, CSV, and tshark as an oracle.
//!
//! Nothing here knows how tapline works inside; tests see command lines, files and results.

#![forbid(unsafe_code)]

pub mod captures;
pub mod cflow;
pub mod csv;
pub mod run;
pub mod scenario;
pub mod table;
pub mod tshark;

pub use run::{Finished, tapline};
pub use table::Table;
