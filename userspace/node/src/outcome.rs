//! How a run ended.

use std::time::Duration;
use tapline_record::ledger::QueryLedger;

/// How a run ended.
pub(crate) struct Outcome {
    /// Wall time.
    pub(crate) elapsed: Duration,
    /// Rows of live sources that were dropped since the workers had no room for them.
    pub(crate) rows_dropped: u64,
    /// Fates of each query's rows; empty when every LIMIT was reached before the input's end.
    pub(crate) queries: Vec<QueryLedger>,
    /// Whether the input was ended before its time.
    pub(crate) is_cut: bool,
}
