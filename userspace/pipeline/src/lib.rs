//! Threads, rings and cores.
//!
//! ```text
//! capture thread ──ring of batches──► worker threads ──ring of partials──► merger, on the caller's thread
//!        ▲                                  │
//!        └───────ring of used batches───────┘
//! ```
//! A file waits: when a ring is full, whoever fills it pauses. A live source never does: what the ring has no
//! room for is dropped, and counted.

#![forbid(unsafe_code)]

mod coverage;
mod merger;
mod reader;
mod ring;
mod run;
mod sink;
mod summary;
mod wire;
mod worker;

pub use run::{RunError, RunOptions, run, workers_for};
pub use sink::Sink;
pub use summary::Summary;
pub use tapline_operators::{QueryId, ResultColumns, Span, Status, WindowResult};
pub use wire::demand_of;
