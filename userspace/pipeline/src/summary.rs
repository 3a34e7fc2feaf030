//! The account of a run.

use std::time::Duration;
use tapline_record::ledger::QueryLedger;

/// The account of a run; each source tells its own.
#[derive(Debug)]
pub struct Summary {
    /// Wall time.
    pub elapsed: Duration,
    /// Rows of live sources that were dropped since the workers had no room for them.
    pub rows_dropped: u64,
    /// Fates of each query's rows; empty when every LIMIT was reached before the input's end.
    pub queries: Vec<QueryLedger>,
    /// Whether the input was ended before its time.
    pub is_cut: bool,
}
