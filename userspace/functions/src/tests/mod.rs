//! The functions as DataFusion calls them, and as SQL sees them.

mod accumulators;
mod aggregate;
mod lookup;
mod scalar;
mod session;
