//! Threads, rings and cores.
//!
//! ```text
//! capture thread ──ring of batches──► worker threads ──ring of partials──► merger, on the caller's thread
//!        ▲                                  │
//!        └───────ring of used batches───────┘
//! ```
//! A file waits: when a ring is full, whoever fills it pauses. Nothing is dropped here.

#![forbid(unsafe_code)]

mod merger;
mod reader;
mod ring;
mod run;
mod sink;
mod worker;

pub use run::{RunError, RunOptions, Summary, run_files};
pub use sink::{Progress, Sink};
