//! What was counted of a query, as the catalog keeps it behind the query's end.

use tapline_engine::QuerySnapshot;
use tapline_record::EventTime;
use tapline_record::ledger::QueryLedger;

/// What was counted of a query so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counted {
    pub(super) ledger: QueryLedger,
    pub(super) octets_held: u64,
    pub(super) groups_held: u64,
    pub(super) work_ns: u64,
    pub(super) window_work_ns: u64,
    pub(super) rows_beyond: u64,
    pub(super) results_lost: u64,
    pub(super) watermark: Option<EventTime>,
    /// How far its windows are closed, with all their results given.
    pub(super) settled: Option<EventTime>,
}

impl Counted {
    /// Notes what the engine says now.
    pub(super) fn note(&mut self, query: &QuerySnapshot) {
        let QuerySnapshot { ledger, octets_held, groups_held, results_lost, watermark, .. } = *query;
        let QuerySnapshot { work_ns, window_work_ns, rows_beyond, .. } = *query;
        // What was settled once is so for good.
        let settled = query.settled.or(self.settled);
        *self = Self {
            ledger,
            octets_held,
            groups_held,
            work_ns,
            window_work_ns,
            rows_beyond,
            results_lost,
            watermark,
            settled,
        };
    }
}
