//! What everybody knows of a query: whether it is over, and the fates of its rows so far.

use crate::lock::lock;
use crate::suspended::Held;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};
use tapline_operators::{QueryFailure, WorkerId};
use tapline_record::ledger::QueryLedger;

/// Why a query gives nothing more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// The input ended.
    Input,
    /// It was dropped.
    Dropped,
    /// It could not be computed for some row; what could not.
    Failed(String),
}

impl EndReason {
    /// The first line of what went wrong at its root.
    pub(crate) fn failed(error: &QueryFailure) -> Self {
        let text = error.find_root().message().into_owned();
        Self::Failed(text.lines().next().unwrap_or_default().to_owned())
    }
}

/// A query as the threads share it.
#[derive(Debug)]
pub(crate) struct QueryState {
    over: OnceLock<EndReason>,
    /// Of each worker.
    ledgers: Vec<LedgerCells>,
    /// Of the rows that workers used, those that came when their turn was over.
    rows_dropped: AtomicU64,
    /// Octets of what came for windows that are open.
    octets_held: AtomicU64,
    /// Results that there was no room for with whoever reads them.
    results_lost: AtomicU64,
    /// Whether all sources that were there before it have come to its layout.
    has_joined: AtomicBool,
    /// What was held of it when it was suspended.
    suspended: Mutex<Option<Held>>,
    /// Whether nothing of all this changes any more.
    is_closed: AtomicBool,
}

impl QueryState {
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            over: OnceLock::new(),
            ledgers: (0..workers).map(|_| LedgerCells::default()).collect(),
            rows_dropped: AtomicU64::new(0),
            octets_held: AtomicU64::new(0),
            results_lost: AtomicU64::new(0),
            has_joined: AtomicBool::new(false),
            suspended: Mutex::default(),
            is_closed: AtomicBool::new(false),
        }
    }

    /// Ends the query for this reason, unless it is over: each thread leaves it when it sees that.
    pub(crate) fn end(&self, reason: EndReason) {
        // The first reason is the one that counts.
        let _ = self.over.set(reason);
    }

    /// Why it is over, if it is.
    pub(crate) fn over(&self) -> Option<&EndReason> {
        self.over.get()
    }

    /// Tells what became of its rows on one worker.
    pub(crate) fn tell(&self, worker: WorkerId, ledger: &QueryLedger) {
        self.ledgers[worker.0 as usize].store(ledger);
    }

    /// What became of its rows on all workers.
    pub(crate) fn ledger(&self) -> QueryLedger {
        let mut sum = QueryLedger::default();
        self.ledgers.iter().for_each(|cells| sum += cells.load());
        let dropped = self.rows_dropped.load(Ordering::Relaxed).min(sum.used);
        sum.used -= dropped;
        sum.dropped += dropped;
        sum
    }

    /// Tells how many rows came in all when their turn was over.
    pub(crate) fn tell_dropped(&self, rows: u64) {
        self.rows_dropped.store(rows, Ordering::Relaxed);
    }

    /// Tells how many octets are held for windows that are open.
    pub(crate) fn tell_held(&self, octets: usize) {
        self.octets_held.store(octets as u64, Ordering::Relaxed);
    }

    pub(crate) fn octets_held(&self) -> u64 {
        self.octets_held.load(Ordering::Relaxed)
    }

    /// Counts results that never reach whoever reads them.
    pub(crate) fn lose_results(&self, results: u64) {
        self.results_lost.fetch_add(results, Ordering::Relaxed);
    }

    pub(crate) fn results_lost(&self) -> u64 {
        self.results_lost.load(Ordering::Relaxed)
    }

    /// Says that all sources have come to its layout.
    pub(crate) fn join(&self) {
        self.has_joined.store(true, Ordering::Release);
    }

    pub(crate) fn has_joined(&self) -> bool {
        self.has_joined.load(Ordering::Acquire)
    }

    /// Leaves what was held of it.
    pub(crate) fn suspend(&self, held: Held) {
        *lock(&self.suspended) = Some(held);
    }

    pub(crate) fn take_suspended(&self) -> Option<Held> {
        lock(&self.suspended).take()
    }

    /// Says that no thread has anything more to tell of it.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }
}

/// A ledger that one thread writes and any reads. A reader may see some fates of the last turn and miss others.
#[derive(Debug, Default)]
struct LedgerCells([AtomicU64; 5]);

impl LedgerCells {
    fn store(&self, ledger: &QueryLedger) {
        // Workers drop nothing.
        let QueryLedger { delivered, used, filtered, late, dropped: _, folded } = *ledger;
        for (cell, value) in self.0.iter().zip([delivered, used, filtered, late, folded]) {
            cell.store(value, Ordering::Relaxed);
        }
    }

    fn load(&self) -> QueryLedger {
        let [delivered, used, filtered, late, folded] = &self.0;
        let [delivered, used, filtered, late, folded] =
            [delivered, used, filtered, late, folded].map(|cell| cell.load(Ordering::Relaxed));
        QueryLedger { delivered, used, filtered, late, dropped: 0, folded }
    }
}
