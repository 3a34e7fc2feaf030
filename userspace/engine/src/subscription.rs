//! Where results go: a bounded queue between the engine and whoever reads it.

use crate::query_state::EndReason;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::sleep;
use std::time::Duration;
use tapline_operators::{QueryId, SourceId, WindowResult};
use tapline_record::ledger::QueryLedger;
use tapline_sources::Notice;

/// Between two looks of whoever lets others go first.
const LOOK: Duration = Duration::from_millis(1);

/// What is told.
#[derive(Clone, Debug)]
pub enum Event {
    /// What a query answers.
    Result(WindowResult),
    /// Nothing that may still come changes what this query answered: LIMIT is reached.
    Satisfied(QueryId),
    /// A query gives nothing more.
    Ended {
        /// Which one.
        query: QueryId,
        /// Why.
        reason: EndReason,
        /// The fates of its rows.
        ledger: QueryLedger,
    },
    /// What somebody should hear of a source.
    Notice(SourceId, Notice),
    /// Nothing more comes of a source. It is told once.
    SourceEnded {
        /// Which one.
        source: SourceId,
        /// Why it ended before its input did, if that is so, and what to do about it.
        failure: Option<String>,
    },
}

/// What happens to an event that the queue has no room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// It waits, and its query with it; a file that the query reads waits, too.
    Wait,
    /// It is lost, and counted.
    Lose,
}

/// The engine's end; several queries may share one.
#[derive(Clone, Debug)]
pub struct Subscriber {
    events: SyncSender<Event>,
    when_full: WhenFull,
    capacity_events: usize,
    shared: Arc<Shared>,
}

/// The reader's end.
#[derive(Debug)]
pub struct Subscription {
    events: Receiver<Event>,
    shared: Arc<Shared>,
}

/// What both ends know.
#[derive(Debug, Default)]
struct Shared {
    lost: AtomicU64,
    /// About how many events wait: one may be taken before it was counted.
    waiting: AtomicI64,
    has_reader_gone: AtomicBool,
}

/// What became of an event that could not wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tried {
    Told,
    Full,
    Gone,
}

/// A queue of so many events.
#[must_use]
pub fn subscription(capacity_events: usize, when_full: WhenFull) -> (Subscriber, Subscription) {
    let (sender, receiver) = sync_channel(capacity_events);
    let shared = Arc::<Shared>::default();
    let subscriber = Subscriber { events: sender, when_full, capacity_events, shared: Arc::clone(&shared) };
    (subscriber, Subscription { events: receiver, shared })
}

impl Subscriber {
    /// Whether it never loses anything.
    pub(crate) fn waits(&self) -> bool {
        self.when_full == WhenFull::Wait
    }

    /// Tells something; says whether it is not lost. Whoever has gone is told nothing, and loses nothing.
    pub(crate) fn tell(&self, event: Event) -> bool {
        if self.waits() {
            self.give(event);
            return true;
        }
        let is_lost = self.try_send(event) == Tried::Full;
        if is_lost {
            self.note_lost(1);
        }
        !is_lost
    }

    /// Tells something when half of the queue is free, so that whoever does not wait finds room meanwhile. Whoever has
    /// gone is told nothing.
    pub(crate) fn tell_behind_others(&self, event: Event) {
        let is_in_the_way = || {
            let waiting = usize::try_from(self.shared.waiting.load(Ordering::Relaxed)).unwrap_or(0);
            waiting > self.capacity_events / 2 && !self.shared.has_reader_gone.load(Ordering::Relaxed)
        };
        while is_in_the_way() {
            sleep(LOOK);
        }
        self.give(event);
    }

    fn try_send(&self, event: Event) -> Tried {
        match self.events.try_send(event) {
            Ok(()) => {
                self.note_sent();
                Tried::Told
            }
            Err(TrySendError::Full(_)) => Tried::Full,
            Err(TrySendError::Disconnected(_)) => Tried::Gone,
        }
    }

    fn note_sent(&self) {
        self.shared.waiting.fetch_add(1, Ordering::Relaxed);
    }

    /// Tells something that is not of an engine, and waits until there is room. Whoever has gone is told nothing.
    pub fn give(&self, event: Event) {
        // Only fails when the reader has gone.
        if self.events.send(event).is_ok() {
            self.note_sent();
        }
    }

    /// Tells something if that need not wait; says whether it is settled: told, or lost, which is counted.
    pub(crate) fn settle(&self, event: Event) -> bool {
        match self.try_send(event) {
            Tried::Full if self.waits() => false,
            Tried::Full => {
                self.note_lost(1);
                true
            }
            Tried::Told | Tried::Gone => true,
        }
    }

    /// Tells something if there is room now.
    pub(crate) fn offer(&self, event: Event) -> bool {
        self.try_send(event) == Tried::Told
    }

    /// Counts results that never came so far.
    pub(crate) fn note_lost(&self, results: u64) {
        self.shared.lost.fetch_add(results, Ordering::Relaxed);
    }
}

impl Subscription {
    /// The next event, if one comes within this time.
    ///
    /// # Errors
    /// When none will come any more: all that this subscription was for is over.
    pub fn next(&self, at_most: Duration) -> Result<Option<Event>, RecvTimeoutError> {
        match self.events.recv_timeout(at_most) {
            Ok(event) => {
                self.shared.waiting.fetch_sub(1, Ordering::Relaxed);
                Ok(Some(event))
            }
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Events that the queue had no room for.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.shared.has_reader_gone.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    const EVENT: Event = Event::Satisfied(QueryId(0));

    #[test]
    fn whoever_can_wait_leaves_room_for_whoever_does_not() {
        let (patient, told) = subscription(8, WhenFull::Lose);
        let other = patient.clone();
        let giving = thread::spawn(move || (0..100).for_each(|_| patient.tell_behind_others(EVENT)));
        for _ in 0..50 {
            sleep(LOOK);
            assert!(other.tell(EVENT), "there is room at any time");
            (0..3).for_each(|_| drop(told.next(Duration::from_secs(5))));
        }
        assert_eq!(told.lost(), 0);
        giving.join().unwrap();
        drop(told);
        other.tell_behind_others(EVENT);
    }
}
