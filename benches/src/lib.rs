//! What measurements must reach, for the program and the benchmarks in memory.

#![forbid(unsafe_code)]

pub mod floors;
