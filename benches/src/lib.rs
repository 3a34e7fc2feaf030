//! Benchmarks of single stages; see `cargo xtask bench --help`.
