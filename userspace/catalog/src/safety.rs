//! Whether what a fleet gave is safe with those who store results or send them on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tapline_record::EventTime;
use tapline_sinks::Outlet;
use tapline_sources::Clock;

/// What becomes of results behind the queue into which they are given.
#[derive(Clone)]
pub struct Safety {
    outlets: Arc<Vec<Outlet>>,
    clock: Arc<dyn Clock>,
    /// Results that were taken out of the queue, and given to outlets.
    handed: Arc<AtomicU64>,
}

impl Safety {
    pub(crate) fn of(outlets: Vec<Outlet>, clock: Arc<dyn Clock>) -> Self {
        Self { outlets: Arc::new(outlets), clock, handed: Arc::default() }
    }

    pub(crate) fn outlets(&self) -> &[Outlet] {
        &self.outlets
    }

    /// One more result was given to the outlets that want it.
    pub(crate) fn note_handed(&self) {
        self.handed.fetch_add(1, Ordering::Release);
    }

    /// How many results were given to outlets so far, of all that came into the queue.
    #[must_use]
    pub fn handed(&self) -> u64 {
        self.handed.load(Ordering::Acquire)
    }

    /// No result that was given to outlets by now was given later than this, also where the clock was set back.
    #[must_use]
    pub fn now(&self) -> EventTime {
        self.outlets.iter().map(Outlet::given_at).fold(self.clock.now(), EventTime::max)
    }

    /// When the first result of a query was given that a crash would take; `None` where there is none.
    #[must_use]
    pub fn unsafe_since(&self, query: &str) -> Option<EventTime> {
        self.outlets.iter().filter_map(|outlet| outlet.unsafe_since(query)).min()
    }
}
