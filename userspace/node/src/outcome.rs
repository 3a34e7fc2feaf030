//! How a run ended.

use std::time::Duration;
use tapline_engine::{QuerySnapshot, SourceSnapshot};

/// How a run ended.
pub(crate) struct Outcome {
    /// Wall time.
    pub(crate) elapsed: Duration,
    /// Rows of live sources that were dropped since the workers had no room for them.
    pub(crate) rows_dropped: u64,
    /// How each source stood at the end, as it was told.
    pub(crate) sources: Vec<SourceSnapshot>,
    /// How each query stood at the end; empty when every LIMIT was reached before the input's end.
    pub(crate) queries: Vec<QuerySnapshot>,
    /// Whether the input was ended before its time.
    pub(crate) is_cut: bool,
}
