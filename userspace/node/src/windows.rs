//! Counts the windows of each query, for `--windows`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tapline_engine::{Status, WindowResult};
use tapline_query::ContinuousQuery;
use tapline_record::EventTime;

/// Ends the input when every query with a window has given enough of them.
pub(crate) struct WindowCount {
    wanted: u64,
    /// For each query with a window, how many it gave, and the start of the last one.
    counts: Vec<Option<(u64, EventTime)>>,
    input_ends: Arc<AtomicBool>,
}

impl WindowCount {
    pub(crate) fn new(wanted: u64, queries: &[ContinuousQuery], input_ends: Arc<AtomicBool>) -> Self {
        let counts = queries.iter().map(|query| query.window.map(|_| (0, EventTime::MIN))).collect();
        Self { wanted, counts, input_ends }
    }

    /// Counts a result of the query at this place.
    pub(crate) fn note(&mut self, query: usize, result: &WindowResult) {
        let Some((count, last)) = &mut self.counts[query] else { return };
        let start = result.window.filter(|_| result.status == Status::Final).map(|window| window.start);
        let Some(start) = start.filter(|start| start != last) else { return };
        (*count, *last) = (*count + 1, start);
        if self.counts.iter().flatten().all(|(count, _)| *count >= self.wanted) {
            self.input_ends.store(true, Ordering::Relaxed);
        }
    }
}
