//! Why the engine cannot do what it was asked for.

use std::io;

/// Why the engine cannot do what it was asked for; nothing else changes by it.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A query cannot join: its windows count rows in their order, which several workers do not see.
    #[error("windows that count rows need all rows on one worker, and {workers} are running; start with one")]
    CountsRows {
        /// Workers that are running.
        workers: usize,
    },
    /// A query cannot be prepared.
    #[error("{0}")]
    Query(String),
    /// A query cannot be forwarded; what of it cannot, and what would be right.
    #[error("this query cannot be forwarded: {0}")]
    Forwarded(&'static str),
    /// The engine is about to end.
    #[error("the engine is about to end, and takes no more")]
    Drains,
    /// A source cannot prepare for what the queries need.
    #[error("{0}")]
    Source(io::Error),
    /// A thread could not be started.
    #[error("a thread cannot be started: {0}")]
    Thread(io::Error),
    /// A thread ended without a word.
    #[error("a worker thread died; please report this")]
    ThreadDied,
}
