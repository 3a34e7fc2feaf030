//! What everybody knows of a query: whether it is over, and the fates of its rows so far.

use crate::held::{self, Charge, Gauge, Gauges};
use crate::lock::lock;
use crate::options::QueryLimits;
use crate::suspended::Held;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use tapline_operators::{LowerOutput, QueryFailure, WorkerId};
use tapline_record::EventTime;
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
    /// It counts among all queries for as long as anybody knows it.
    _one_of: Charge,
    limits: QueryLimits,
    over: OnceLock<EndReason>,
    /// Of each worker.
    ledgers: Vec<LedgerCells>,
    /// Of the rows that workers used, those that came when their turn was over.
    rows_dropped: AtomicU64,
    /// Of the rows that workers used, those that were more than it may give in a second, or send of a pane.
    rows_beyond: AtomicU64,
    /// Octets of what is held for windows, by all threads; and of all queries together.
    held: Gauges,
    /// Groups of panes that are open, on all workers.
    groups: Arc<Gauge>,
    /// Nanoseconds that threads worked for it.
    work_ns: AtomicU64,
    /// Of these, those behind the workers: for its windows and their results.
    window_work_ns: AtomicU64,
    /// It reads one row of so many.
    one_in: AtomicU32,
    /// Whether it gets no new groups.
    folds: AtomicBool,
    /// Whether all that it reads stays where it is until its results are taken.
    may_wait: AtomicBool,
    /// Results that there was no room for with whoever reads them.
    results_lost: AtomicU64,
    /// No window that ends here or earlier is open.
    watermark: AtomicI64,
    /// What closed, and what of that was given or lost.
    closed: AtomicU64,
    given: AtomicU64,
    /// Whether all sources that were there before it have come to its layout.
    has_joined: AtomicBool,
    /// What was held of it when it was suspended.
    suspended: Mutex<Option<Held>>,
    /// Whether nothing of all this changes any more.
    is_closed: AtomicBool,
}

impl QueryState {
    /// A query on so many workers, which counts in `all` as well, and as one of `queries`.
    pub(crate) fn new(workers: usize, limits: QueryLimits, [all, queries]: [&Arc<Gauge>; 2]) -> Self {
        Self {
            limits,
            _one_of: Charge::new(Arc::new(vec![Arc::clone(queries)])).of(1),
            over: OnceLock::new(),
            ledgers: (0..workers).map(|_| LedgerCells::default()).collect(),
            rows_dropped: AtomicU64::new(0),
            rows_beyond: AtomicU64::new(0),
            held: Arc::new(vec![Arc::default(), Arc::clone(all)]),
            groups: Arc::default(),
            work_ns: AtomicU64::new(0),
            window_work_ns: AtomicU64::new(0),
            one_in: AtomicU32::new(1),
            folds: AtomicBool::new(false),
            may_wait: AtomicBool::new(false),
            results_lost: AtomicU64::new(0),
            watermark: AtomicI64::new(EventTime::MIN.0),
            closed: AtomicU64::new(0),
            given: AtomicU64::new(0),
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
        let dropped = self.rows_dropped.load(Ordering::Relaxed) + self.rows_beyond();
        let dropped = dropped.min(sum.used);
        sum.used -= dropped;
        sum.dropped += dropped;
        sum
    }

    /// Tells how many rows came in all when their turn was over.
    pub(crate) fn tell_dropped(&self, rows: u64) {
        self.rows_dropped.store(rows, Ordering::Relaxed);
    }

    /// Counts rows that were more than it may give in a second, or send of a pane.
    pub(crate) fn drop_beyond(&self, rows: u64) {
        self.rows_beyond.fetch_add(rows, Ordering::Relaxed);
    }

    pub(crate) fn rows_beyond(&self) -> u64 {
        self.rows_beyond.load(Ordering::Relaxed)
    }

    pub(crate) const fn limits(&self) -> &QueryLimits {
        &self.limits
    }

    /// A charge for what a thread holds for it.
    pub(crate) fn charge(&self) -> Charge {
        Charge::new(Arc::clone(&self.held))
    }

    /// The same for an output on its way.
    pub(crate) fn charge_for(&self, output: &LowerOutput) -> Charge {
        match output.octets() {
            0 => Charge::default(),
            octets => self.charge().of(octets),
        }
    }

    /// The sum of these charges.
    pub(crate) fn octets_held(&self) -> &Arc<Gauge> {
        &self.held[0]
    }

    pub(crate) const fn groups_held(&self) -> &Arc<Gauge> {
        &self.groups
    }

    /// By how many octets what is held of it may grow.
    pub(crate) fn room(&self) -> usize {
        if self.folds.load(Ordering::Relaxed) {
            return 0;
        }
        held::room(self.limits.held.octets_max, self.octets_held())
    }

    /// How many octets may be held of it; none for new groups while it folds them.
    pub(crate) fn octets_max(&self) -> usize {
        if self.folds.load(Ordering::Relaxed) { 0 } else { self.limits.held.octets_max }
    }

    /// Notes that a worker worked so long for it.
    pub(crate) fn note_work(&self, time: Duration) {
        self.work_ns.fetch_add(nanoseconds(time), Ordering::Relaxed);
    }

    /// Notes that a thread behind the workers worked so long for its windows, or for their results.
    pub(crate) fn note_window_work(&self, time: Duration) {
        self.window_work_ns.fetch_add(nanoseconds(time), Ordering::Relaxed);
        self.note_work(time);
    }

    pub(crate) fn work_ns(&self) -> u64 {
        self.work_ns.load(Ordering::Relaxed)
    }

    pub(crate) fn window_work_ns(&self) -> u64 {
        self.window_work_ns.load(Ordering::Relaxed)
    }

    /// Lets it read one row of so many.
    pub(crate) fn sample(&self, one_in: u32) {
        self.one_in.store(one_in.max(1), Ordering::Relaxed);
    }

    pub(crate) fn one_in(&self) -> u32 {
        self.one_in.load(Ordering::Relaxed)
    }

    /// Says whether it gets no new groups.
    pub(crate) fn fold(&self, folds: bool) {
        self.folds.store(folds, Ordering::Relaxed);
    }

    /// Says whether all that it reads stays where it is until its results are taken.
    pub(crate) fn let_wait(&self, may_wait: bool) {
        self.may_wait.store(may_wait, Ordering::Relaxed);
    }

    /// Whether its results may wait, however many they are, as long as there is room for what they are made of.
    pub(crate) fn may_wait(&self) -> bool {
        self.may_wait.load(Ordering::Relaxed)
    }

    /// Counts results that never reach whoever reads them.
    pub(crate) fn lose_results(&self, results: u64) {
        self.results_lost.fetch_add(results, Ordering::Relaxed);
    }

    pub(crate) fn results_lost(&self) -> u64 {
        self.results_lost.load(Ordering::Relaxed)
    }

    /// Tells how far its windows are closed; what closed by then was noted before.
    pub(crate) fn tell_watermark(&self, watermark: EventTime) {
        self.watermark.store(watermark.0, Ordering::Release);
    }

    /// How far its windows are closed, where that is a time.
    pub(crate) fn watermark(&self) -> Option<EventTime> {
        let watermark = EventTime(self.watermark.load(Ordering::Acquire));
        (watermark > EventTime::MIN && watermark < EventTime::MAX).then_some(watermark)
    }

    /// Notes that something closed, which is on its way from now on.
    pub(crate) fn note_closed(&self) {
        self.closed.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that something that closed was given, or lost.
    pub(crate) fn note_given(&self) {
        self.given.fetch_add(1, Ordering::Release);
    }

    /// How far its windows are closed, where nothing of them is on its way any more.
    pub(crate) fn settled(&self) -> Option<EventTime> {
        let watermark = self.watermark()?;
        // What closes between the two is not given, and is waited for; so nothing stands for what closed before.
        let given = self.given.load(Ordering::Acquire);
        (given == self.closed.load(Ordering::Relaxed)).then_some(watermark)
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

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// A ledger that one thread writes and any reads. A reader may see some fates of the last turn and miss others.
#[derive(Debug, Default)]
struct LedgerCells([AtomicU64; 6]);

impl LedgerCells {
    fn store(&self, ledger: &QueryLedger) {
        let QueryLedger { delivered, used, filtered, late, dropped, folded } = *ledger;
        for (cell, value) in self.0.iter().zip([delivered, used, filtered, late, dropped, folded]) {
            cell.store(value, Ordering::Relaxed);
        }
    }

    fn load(&self) -> QueryLedger {
        let [delivered, used, filtered, late, dropped, folded] =
            self.0.each_ref().map(|cell| cell.load(Ordering::Relaxed));
        QueryLedger { delivered, used, filtered, late, dropped, folded }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_behind_the_workers_is_part_of_all_work() {
        let state = QueryState::new(1, QueryLimits::default(), [&Arc::default(), &Arc::default()]);
        state.note_work(Duration::from_nanos(5));
        state.note_window_work(Duration::from_nanos(2));
        assert_eq!((state.work_ns(), state.window_work_ns()), (7, 2));
    }

    #[test]
    fn what_is_on_its_way_is_not_settled() {
        let state = QueryState::new(1, QueryLimits::default(), [&Arc::default(), &Arc::default()]);
        assert_eq!(state.settled(), None, "nobody has said how far it is");
        state.note_closed();
        state.tell_watermark(EventTime(7));
        assert_eq!((state.watermark(), state.settled()), (Some(EventTime(7)), None));
        state.note_given();
        assert_eq!(state.settled(), Some(EventTime(7)));
        state.tell_watermark(EventTime::MAX);
        assert_eq!(state.settled(), None);
    }
}
