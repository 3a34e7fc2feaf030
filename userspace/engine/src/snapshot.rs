//! How an engine stands at some moment: what its threads published last.

use crate::query_state::EndReason;
use std::sync::Arc;
use tapline_operators::{QueryId, SourceId};
use tapline_record::EventTime;
use tapline_record::ledger::{QueryLedger, SourceLedger};
use tapline_sources::Progress;

/// How an engine stands. Each number is at most a turn of its thread old; while records flow, those of different
/// threads are not of the same instant.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Those that were added, the removed ones among them until queries come or go.
    pub sources: Vec<SourceSnapshot>,
    /// Those that were added, the ones that are over among them until others come or go.
    pub queries: Vec<QuerySnapshot>,
}

/// How a source stands.
#[derive(Clone, Debug)]
pub struct SourceSnapshot {
    /// Which one.
    pub id: SourceId,
    /// What its rows name as their source.
    pub name: String,
    /// The fates of what it read so far, as the table `ledger` has them of the source as a whole.
    pub ledger: SourceLedger,
    /// What they are counted in: frames, or rows.
    pub unit: &'static str,
    /// How far it was read.
    pub progress: Progress,
    /// Records whose rows the workers had no room for.
    pub rows_dropped: u64,
    /// Records that went missing so far, by the numbers of whoever sent them; late arrivals take them back.
    pub records_missing: u64,
    /// Batches that wait for the worker that is furthest behind.
    pub batches_waiting: u64,
    /// How many of them may wait.
    pub batches_waiting_max: u64,
    /// Whether nothing more comes of it.
    pub has_ended: bool,
    /// Why it ended before its input did, if that is so, and what to do about it.
    pub failure: Option<String>,
}

/// How a query stands.
#[derive(Clone, Debug)]
pub struct QuerySnapshot {
    /// Which one.
    pub id: QueryId,
    /// What it is called.
    pub name: Arc<str>,
    /// The fates of its rows so far, on all workers.
    pub ledger: QueryLedger,
    /// Octets of what is held for windows that are open, or closed and not yet given.
    pub octets_held: u64,
    /// Groups of panes that are open, on all workers.
    pub groups_held: u64,
    /// Nanoseconds that threads worked for it; where several share some work, each has an equal part.
    pub work_ns: u64,
    /// Of these, those behind the workers: for its windows and their results.
    pub window_work_ns: u64,
    /// Of its dropped rows, those that were more than it may give, or send.
    pub rows_beyond: u64,
    /// Results that whoever reads them did not take in time.
    pub results_lost: u64,
    /// No window that ends here or earlier is open any more; `None` as long as nobody said so, and without windows of
    /// time.
    pub watermark: Option<EventTime>,
    /// The same, where all results of these windows have been given, or lost; `None` while some are on their way.
    pub settled: Option<EventTime>,
    /// Why it gives nothing more, if it does not.
    pub over: Option<EndReason>,
}
