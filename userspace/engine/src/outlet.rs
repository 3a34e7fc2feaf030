//! Makes and gives the results of one query, away from the merger.
//!
//! The merger leaves what closed in a queue; a job finishes it, whenever some thread is free: one job a query at a
//! time. So a slow upper half, or a slow subscriber, delays its own query only. When the queue is full, what closed is
//! lost and counted, or the merger waits, as the subscriber wants it.

use crate::held::Charge;
use crate::lock::lock;
use crate::machine::Executor;
use crate::query_state::{EndReason, QueryState};
use crate::subscription::{Event, Subscriber};
use crate::suspended::Held;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;
use tapline_operators::{Closed, ClosedWindow, Finisher, QueryId, WindowResult};

/// Closed windows that wait to be finished: a capture that is there as a whole closes many at once. Their octets count in
/// what their query may hold.
const WINDOWS_MAX: usize = 1024;
/// Batches of rows that wait.
const BATCHES_MAX: usize = 64;

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
        if queue.items.len() >= most(&item) {
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
            let is_told = self.subscriber.tell(Event::Result(result));
            self.state.lose_results(u64::from(!is_told));
        }
    }

    fn end(&self) {
        let reason = self.state.over().cloned().unwrap_or(EndReason::Input);
        self.state.close();
        self.subscriber.tell(Event::Ended { query: self.id, reason, ledger: self.state.ledger() });
        self.open.remove();
    }
}

/// How many outlets still have something to give.
#[derive(Debug, Default)]
pub(crate) struct OpenOutlets {
    count: Mutex<usize>,
    none: Condvar,
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

    /// Waits until there is none.
    pub(crate) fn wait(&self) {
        let count = lock(&self.count);
        drop(self.none.wait_while(count, |count| *count > 0));
    }
}
