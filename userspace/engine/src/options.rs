//! Limits of an engine, all taken at its start.

use std::thread::available_parallelism;
use tapline_operators::{HeldLimits, RowLimits, WaitingLimits};

/// Where results are made of what closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finishing {
    /// Each query's apart from all others': a slow one delays itself only.
    Apart,
    /// One after the other, as windows close, and in the order of the queries: several that write into one place do
    /// so in the same order each time. A slow one holds up all, and the files that they read.
    InOrder,
}

/// What one query may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueryLimits {
    /// Groups of one aggregate in one pane; more are folded into one row.
    pub groups_max: usize,
    /// What may be held for windows that are open. Where that is all, new groups are folded; beyond it, the earliest
    /// windows are closed, and marked partial.
    pub held: HeldLimits,
    /// Rows that a query without an aggregate gives in a second; more are dropped.
    pub rows_per_second_max: Option<u64>,
    /// What a query without an aggregate that is forwarded may send of a pane, besides that; more is dropped.
    pub forwarded: RowLimits,
    /// Whether it works for itself where it could share with others: what is done about it is done to it alone.
    pub is_alone: bool,
}

impl QueryLimits {
    /// What of rows it may send, where it is forwarded and has no aggregate.
    #[must_use]
    pub fn sent_rows(&self) -> RowLimits {
        let rows_max = self.rows_per_second_max.unwrap_or(u64::MAX).min(self.forwarded.rows_max);
        RowLimits { rows_max, ..self.forwarded }
    }
}

impl Default for QueryLimits {
    fn default() -> Self {
        let (held, forwarded) = (HeldLimits::default(), RowLimits::default());
        Self { groups_max: 1 << 20, held, rows_per_second_max: None, forwarded, is_alone: false }
    }
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
    /// What each query may take that is added without limits of its own.
    pub limits: QueryLimits,
    /// What may wait of one query without an aggregate for rows that come before it, where these are of live sources.
    pub waiting: WaitingLimits,
    /// Octets that may be held of all queries together, on all threads.
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
            limits: QueryLimits::default(),
            waiting: WaitingLimits::default(),
            octets_held_max: 4 << 30,
            finishing: Finishing::Apart,
        }
    }
}

impl EngineOptions {
    /// Threads that may read each of so many sources: as many as have a core each beside the operator threads, and one at
    /// least.
    #[must_use]
    pub fn readers(&self, sources: usize) -> usize {
        let there = || available_parallelism().map_or(1, usize::from);
        let cores = if self.cores.is_empty() { there() } else { self.cores.len() };
        (cores.saturating_sub(self.workers) / sources.max(1)).max(1)
    }
}

/// Operator threads on so many cores: all but one, at most four.
#[must_use]
pub fn workers_for(cores: usize) -> usize {
    cores.saturating_sub(1).clamp(1, 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_have_the_cores_that_operators_leave() {
        let readers = |cores: usize, workers, sources| {
            let options = EngineOptions { workers, cores: (0..cores).collect(), ..EngineOptions::default() };
            options.readers(sources)
        };
        // By default there are as many operator threads as `workers_for` says.
        for (cores, expected) in [(1, 1), (2, 1), (4, 1), (6, 2), (8, 4), (16, 12)] {
            assert_eq!(readers(cores, workers_for(cores), 1), expected, "{cores} cores");
        }
        assert_eq!([1, 2, 3, 100].map(|sources| readers(16, 4, sources)), [12, 6, 4, 1]);
        assert_eq!([readers(2, 8, 1), readers(2, 1, 0)], [1, 1]);
    }
}
