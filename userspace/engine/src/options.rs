//! Limits of an engine, all taken at its start.

use std::thread::available_parallelism;
use tapline_operators::{HeldLimits, WaitingLimits};

/// Where results are made of what closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finishing {
    /// Each query's apart from all others': a slow one delays itself only.
    Apart,
    /// One after the other, as windows close, and in the order of the queries: several that write into one place do
    /// so in the same order each time. A slow one holds up all, and the files that they read.
    InOrder,
}

/// Limits of an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineOptions {
    /// Operator threads.
    pub workers: usize,
    /// The cores for the first source, the operator threads and the other sources, in this order; when there are
    /// fewer than threads, it begins anew. Without any, each thread has a core of its own where there are enough.
    pub cores: Vec<usize>,
    /// Sources that are expected, each of which has a thread: by it the engine knows whether cores are enough.
    pub sources: usize,
    /// Batches on the way from one source to one worker.
    pub ring_capacity_batches: usize,
    /// Groups of one aggregate in one pane; more are folded into one row.
    pub groups_max: usize,
    /// What may wait of one query without an aggregate for rows that come before it, where these are of live sources.
    pub waiting: WaitingLimits,
    /// What may be held of one query for windows that are open; beyond it the earliest ones are closed, and marked
    /// partial.
    pub held: HeldLimits,
    /// Octets that may be held of all queries together.
    pub octets_held_max: usize,
    /// Where results are made.
    pub finishing: Finishing,
}

impl Default for EngineOptions {
    fn default() -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        Self {
            workers: workers_for(cores),
            cores: vec![],
            sources: 1,
            ring_capacity_batches: 16,
            groups_max: 1 << 20,
            waiting: WaitingLimits::default(),
            held: HeldLimits::default(),
            octets_held_max: 4 << 30,
            finishing: Finishing::Apart,
        }
    }
}

/// Operator threads on so many cores: all but one, at most four.
#[must_use]
pub fn workers_for(cores: usize) -> usize {
    cores.saturating_sub(1).clamp(1, 4)
}
