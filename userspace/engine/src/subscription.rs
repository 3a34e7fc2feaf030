//! Where results go: a bounded queue between the engine and whoever reads it.

use crate::query_state::EndReason;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;
use tapline_operators::{QueryId, SourceId, WindowResult};
use tapline_record::ledger::QueryLedger;
use tapline_sources::Notice;

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
    lost: Arc<AtomicU64>,
}

/// The reader's end.
#[derive(Debug)]
pub struct Subscription {
    events: Receiver<Event>,
    lost: Arc<AtomicU64>,
}

/// A queue of so many events.
#[must_use]
pub fn subscription(capacity_events: usize, when_full: WhenFull) -> (Subscriber, Subscription) {
    let (sender, receiver) = sync_channel(capacity_events);
    let lost = Arc::new(AtomicU64::new(0));
    let subscriber = Subscriber { events: sender, when_full, lost: Arc::clone(&lost) };
    (subscriber, Subscription { events: receiver, lost })
}

impl Subscriber {
    /// Whether it never loses anything.
    pub(crate) fn waits(&self) -> bool {
        self.when_full == WhenFull::Wait
    }

    /// Tells something; says whether it is not lost. Whoever has gone is told nothing, and loses nothing.
    pub(crate) fn tell(&self, event: Event) -> bool {
        if self.waits() {
            // Only fails when the reader has gone.
            let _ = self.events.send(event);
            return true;
        }
        let is_lost = matches!(self.events.try_send(event), Err(TrySendError::Full(_)));
        if is_lost {
            self.note_lost(1);
        }
        !is_lost
    }

    /// Tells something that is not of an engine, and waits until there is room. Whoever has gone is told nothing.
    pub fn give(&self, event: Event) {
        // Only fails when the reader has gone.
        let _ = self.events.send(event);
    }

    /// Tells something if that need not wait; says whether it is settled: told, or lost, which is counted.
    pub(crate) fn settle(&self, event: Event) -> bool {
        match self.events.try_send(event) {
            Err(TrySendError::Full(_)) if self.waits() => false,
            Err(TrySendError::Full(_)) => {
                self.note_lost(1);
                true
            }
            Ok(()) | Err(TrySendError::Disconnected(_)) => true,
        }
    }

    /// Tells something if there is room now.
    pub(crate) fn offer(&self, event: Event) -> bool {
        self.events.try_send(event).is_ok()
    }

    /// Counts results that never came so far.
    pub(crate) fn note_lost(&self, results: u64) {
        self.lost.fetch_add(results, Ordering::Relaxed);
    }
}

impl Subscription {
    /// The next event, if one comes within this time.
    ///
    /// # Errors
    /// When none will come any more: all that this subscription was for is over.
    pub fn next(&self, at_most: Duration) -> Result<Option<Event>, RecvTimeoutError> {
        match self.events.recv_timeout(at_most) {
            Ok(event) => Ok(Some(event)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Events that the queue had no room for.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}
