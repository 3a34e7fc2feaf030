//! Counts the windows of each query, for `--windows`.

use datafusion::arrow::array::{AsArray as _, RecordBatch};
use datafusion::arrow::datatypes::TimestampNanosecondType;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tapline_query::ContinuousQuery;

/// Ends the input when every query with a window has given enough of them.
pub(crate) struct WindowCount {
    wanted: u64,
    /// For each query with a window, how many it gave, and the start of the last one.
    counts: Vec<Option<(u64, i64)>>,
    input_ends: Arc<AtomicBool>,
}

impl WindowCount {
    pub(crate) fn new(wanted: u64, queries: &[ContinuousQuery], input_ends: Arc<AtomicBool>) -> Self {
        let counts = queries.iter().map(|query| query.window.map(|_| (0, i64::MIN))).collect();
        Self { wanted, counts, input_ends }
    }

    /// Counts a result.
    pub(crate) fn note(&mut self, query: usize, batch: &RecordBatch) {
        let Some((count, last)) = &mut self.counts[query] else { return };
        let Some(start) = start_of_final(batch).filter(|start| start != last) else { return };
        (*count, *last) = (*count + 1, start);
        if self.counts.iter().flatten().all(|(count, _)| *count >= self.wanted) {
            self.input_ends.store(true, Ordering::Relaxed);
        }
    }
}

/// The start of the window that a result belongs to, if it saw all of it.
fn start_of_final(batch: &RecordBatch) -> Option<i64> {
    let status = batch.column_by_name("status")?.as_string_opt::<i32>()?;
    let starts = batch.column_by_name("window_start")?.as_primitive_opt::<TimestampNanosecondType>()?;
    (!starts.is_empty() && status.value(0) == "final").then(|| starts.value(0))
}
