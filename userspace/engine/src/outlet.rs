//! Makes and gives the results of one query, away from the merger.
//!
//! The merger leaves what closed in a queue; a job finishes it, whenever some thread is free: one job a query at a
//! time. So a slow upper half, or a slow subscriber, delays its own query only. When the queue is full, what closed is
//! lost and counted, or the merger waits, as the subscriber wants it.
//!
//! Where all that a query reads stays where it is until somebody reads it, such as captures in a folder, nothing is lost
//! for want of places: its sources read on when fewer results wait, and what was on its way by then waits here, as long
//! as its query may hold it. The merger does not wait for it, so that nobody else does.

use crate::held::Charge;
use crate::lock::lock;
use crate::machine::Executor;
use crate::query_state::{EndReason, QueryState};
use crate::subscription::{Event, Subscriber};
use crate::suspended::Held;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;
use tapline_operators::{Closed, ClosedWindow, Finisher, QueryId, WindowResult};

/// Closed windows that wait to be finished: a capture that is there as a whole closes many at once. Their octets count in
/// what their query may hold.
const WINDOWS_MAX: usize = 1024;
/// Batches of rows that wait.
const BATCHES_MAX: usize = 64;
/// Sources that can wait do so from when one part in so many of these places is taken, until so few things wait.
const PART_OF_CROWD: usize = 2;
const CROWD_OVER: usize = 16;

/// Why a query is over whose results nobody could make.
const DIED: &str = "its results could not be made; please report this";

/// What is left for a query to be done.
#[derive(Debug)]
pub(crate) enum Item {
    /// What closed, for which its query is charged until it is given.
    Closed(Box<Closed>, Charge),
    /// What is held of it is kept.
    Suspended(Box<Held>),
    /// LIMIT is reached.
    Satisfied,
    /// It is over.
    End,
}

/// The way out of one query.
pub(crate) struct Outlet {
    id: QueryId,
    queue: Mutex<Queue>,
    /// Held by the job that is at work, with what it is charged for panes that are kept.
    finisher: Mutex<(Finisher, Charge)>,
    subscriber: Subscriber,
    state: Arc<QueryState>,
    executor: Arc<dyn Executor>,
    open: Arc<OpenOutlets>,
}

/// How many may wait for something to be left behind them.
fn most(item: &Item) -> usize {
    match item {
        Item::Closed(closed, _) if matches!(**closed, Closed::Window(_)) => WINDOWS_MAX,
        Item::Closed(..) => BATCHES_MAX,
        Item::Suspended(_) | Item::Satisfied | Item::End => usize::MAX,
    }
}

#[derive(Default)]
struct Queue {
    items: VecDeque<Item>,
    /// The last window that there was no room for, if none came in since: the next one may hold some of it.
    lost: Option<ClosedWindow>,
    /// Whether a job is on its way to it.
    is_attended: bool,
    /// Whether so much waits that sources which can wait do.
    is_crowded: bool,
}

impl Outlet {
    pub(crate) fn new(
        (id, finisher): (QueryId, Finisher),
        subscriber: Subscriber,
        state: Arc<QueryState>,
        executor: Arc<dyn Executor>,
        open: Arc<OpenOutlets>,
    ) -> Arc<Self> {
        open.add();
        let (queue, finisher) = (Mutex::default(), Mutex::new((finisher, state.charge())));
        Arc::new(Self { id, queue, finisher, subscriber, state, executor, open })
    }

    /// Leaves something to be done.
    ///
    /// # Errors
    /// Gives it back when there is no room, and the subscriber waits rather than to lose anything.
    pub(crate) fn push(self: &Arc<Self>, mut item: Item) -> Result<(), Item> {
        let mut queue = lock(&self.queue);
        if let Item::Closed(closed, _) = &mut item
            && let Closed::Window(window) = &mut **closed
            && let Some(lost) = queue.lost.take()
        {
            window.take_over(lost);
        }
        if let Item::Suspended(held) = &mut item
            && let Some(lost) = queue.lost.take()
        {
            held.windows.take_over(lost);
        }
        let may_wait = self.state.may_wait();
        let has_room = may_wait && self.state.room() > 0;
        if queue.items.len() >= most(&item) && !has_room {
            if self.subscriber.waits() {
                return Err(item);
            }
            self.subscriber.note_lost(1);
            self.state.lose_results(1);
            self.state.note_given();
            if let Item::Closed(closed, _) = item
                && let Closed::Window(window) = *closed
            {
                queue.lost = Some(window);
            }
            return Ok(());
        }
        if may_wait && queue.items.len() >= most(&item) / PART_OF_CROWD && !queue.is_crowded {
            queue.is_crowded = true;
            self.open.crowd();
        }
        queue.items.push_back(item);
        let is_attended = std::mem::replace(&mut queue.is_attended, true);
        // The job may run at once, and look into the queue.
        drop(queue);
        if !is_attended {
            let outlet = Arc::clone(self);
            self.executor.run(Box::new(move || outlet.work()));
        }
        Ok(())
    }

    /// Finishes what is there.
    fn work(&self) {
        let (finisher, kept) = &mut *lock(&self.finisher);
        let mut results = vec![];
        while let Some(item) = self.next() {
            match item {
                Item::Closed(closed, _charge) => {
                    self.finish(finisher, *closed, &mut results);
                    self.state.note_given();
                    kept.set(finisher.octets_held());
                }
                Item::Suspended(mut held) => {
                    finisher.suspend(&mut held.windows);
                    self.state.suspend(*held);
                }
                Item::Satisfied => {
                    self.subscriber.tell(Event::Satisfied(self.id));
                }
                Item::End => self.end(),
            }
        }
    }

    fn next(&self) -> Option<Item> {
        let mut queue = lock(&self.queue);
        let item = queue.items.pop_front();
        queue.is_attended = item.is_some();
        if queue.is_crowded && queue.items.len() <= CROWD_OVER {
            queue.is_crowded = false;
            self.open.disperse();
        }
        item
    }

    /// Gives the results of what closed. A query that failed gives nothing more.
    fn finish(&self, finisher: &mut Finisher, closed: Closed, results: &mut Vec<WindowResult>) {
        if matches!(self.state.over(), Some(EndReason::Failed(_))) {
            return;
        }
        // What DataFusion cannot compute may end in a panic: that is the end of this query, too, and of no other.
        let begun = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| finisher.finish(closed, results)));
        self.state.note_window_work(begun.elapsed());
        match outcome {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.state.end(EndReason::failed(&error)),
            Err(_) => self.state.end(EndReason::Failed(DIED.to_owned())),
        }
        for result in results.drain(..) {
            if self.state.may_wait() {
                self.subscriber.tell_behind_others(Event::Result(result));
            } else {
                let is_told = self.subscriber.tell(Event::Result(result));
                self.state.lose_results(u64::from(!is_told));
            }
        }
    }

    fn end(&self) {
        let reason = self.state.over().cloned().unwrap_or(EndReason::Input);
        self.state.close();
        self.subscriber.tell(Event::Ended { query: self.id, reason, ledger: self.state.ledger() });
        self.open.remove();
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        if lock(&self.queue).is_crowded {
            self.open.disperse();
        }
    }
}

/// How many outlets still have something to give, and of how many so much waits that sources which can wait do.
#[derive(Debug, Default)]
pub(crate) struct OpenOutlets {
    count: Mutex<usize>,
    none: Condvar,
    crowded: AtomicUsize,
}

impl OpenOutlets {
    fn add(&self) {
        *lock(&self.count) += 1;
    }

    fn remove(&self) {
        let mut count = lock(&self.count);
        *count -= 1;
        if *count == 0 {
            self.none.notify_all();
        }
    }

    fn crowd(&self) {
        self.crowded.fetch_add(1, Ordering::Relaxed);
    }

    fn disperse(&self) {
        self.crowded.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether sources that can wait do.
    pub(crate) fn are_crowded(&self) -> bool {
        self.crowded.load(Ordering::Relaxed) > 0
    }

    /// Waits until there is none.
    pub(crate) fn wait(&self) {
        let count = lock(&self.count);
        drop(self.none.wait_while(count, |count| *count > 0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::QueryLimits;
    use crate::subscription::{Subscription, WhenFull, subscription};
    use tapline_operators::OperatorLimits;
    use tapline_query::Planner;

    /// Jobs that are run when somebody does.
    #[derive(Default)]
    struct Later(Mutex<Vec<Box<dyn FnOnce() + Send>>>);

    impl Executor for Later {
        fn run(&self, job: Box<dyn FnOnce() + Send>) {
            lock(&self.0).push(job);
        }
    }

    /// The way out of a query without an aggregate, and whoever does its jobs.
    struct Bench {
        outlet: Arc<Outlet>,
        jobs: Arc<Later>,
        _results: Subscription,
    }

    impl Bench {
        fn new(may_wait: bool) -> Self {
            let query = Planner::new().plan("SELECT octets FROM packets").unwrap();
            let limits = OperatorLimits { groups_max: 16, is_only_worker: true };
            let finisher = Finisher::new(QueryId(0), &query, limits).unwrap();
            let (subscriber, results) = subscription(4 * BATCHES_MAX, WhenFull::Lose);
            let state = QueryState::new(1, QueryLimits::default(), [&Arc::default(), &Arc::default()]);
            state.let_wait(may_wait);
            let jobs = Arc::<Later>::default();
            let executor = Arc::clone(&jobs) as Arc<dyn Executor>;
            let whose = (QueryId(0), finisher);
            let outlet = Outlet::new(whose, subscriber, Arc::new(state), executor, Arc::default());
            Self { outlet, jobs, _results: results }
        }

        /// Leaves so many batches; gives how many results were lost so far, and whether sources wait.
        fn push(&self, batches: usize) -> (u64, bool) {
            for _ in 0..batches {
                let rows = Item::Closed(Box::new(Closed::Rows(vec![])), Charge::default());
                assert!(self.outlet.push(rows).is_ok());
            }
            (self.outlet.state.results_lost(), self.outlet.open.are_crowded())
        }

        fn work(&self) {
            let jobs = std::mem::take(&mut *lock(&self.jobs.0));
            jobs.into_iter().for_each(|job| job());
        }
    }

    #[test]
    fn results_of_what_cannot_wait_are_lost_beyond_their_places() {
        let bench = Bench::new(false);
        assert_eq!(bench.push(BATCHES_MAX), (0, false));
        assert_eq!(bench.push(3), (3, false));
        bench.work();
        assert_eq!(bench.push(1), (3, false));
    }

    #[test]
    fn what_can_wait_does_until_its_results_were_taken() {
        let bench = Bench::new(true);
        assert_eq!(bench.push(BATCHES_MAX / PART_OF_CROWD), (0, false));
        assert_eq!(bench.push(2 * BATCHES_MAX), (0, true));
        bench.work();
        assert_eq!(bench.push(1), (0, false));
        assert_eq!(bench.push(2 * BATCHES_MAX), (0, true));
        let open = Arc::clone(&bench.outlet.open);
        // One that is dropped holds up nobody; a job that nobody does would hold it.
        lock(&bench.jobs.0).clear();
        drop(bench);
        assert!(!open.are_crowded());
    }
}
