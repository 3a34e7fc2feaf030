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
mod exports;
mod kernel;
mod ledger;
mod merger;
mod notice;
mod packets;
mod reader;
mod ring;
mod run;
mod sink;
mod source;
mod summary;
mod wire;
mod worker;

pub use exports::{Listener, ListenerReport, TemplateReport};
pub use kernel::{KernelInput, KernelReport};
pub use notice::Notice;
pub use packets::InterfaceReport;
pub use run::{Input, RunError, RunOptions, run, workers_for};
pub use sink::{Progress, Sink};
pub use summary::{FrameSummary, SourceSummary, Summary};
