//! What outlets are told of queries besides their results: which ones run, and how far they have come.

use super::{Catalog, Core, EVENTS_CAPACITY};
use crate::error::CatalogError;
use std::sync::Arc;
use std::time::Duration;
use tapline_engine::Subscription;
use tapline_record::EventTime;
use tapline_sinks::{Known, Origin, Passed};

impl Catalog {
    /// Refuses a query whose results an outlet that wants them cannot take.
    pub(super) fn check_outlets(&self, origin: Option<&Origin>) -> Result<(), CatalogError> {
        let Some(origin) = origin else { return Ok(()) };
        self.safety.outlets().iter().try_for_each(|outlet| outlet.check(origin)).map_err(CatalogError::wrong)
    }

    /// Tells it, behind all results that were given before that was so.
    pub(super) fn tell_known(&self, events: &Subscription) {
        let at = self.clock.now();
        let Some(before) = self.core().passed(at) else { return };
        // Whatever was given by then is among these.
        for _ in 0..EVENTS_CAPACITY {
            let Ok(Some(event)) = events.next(Duration::ZERO) else { break };
            self.take(event);
        }
        // Whatever gave some of them runs now, or has gone since; of one that came since, nothing was known then.
        let Some(mut queries) = self.core().passed(at) else { return };
        for (origin, passed) in &mut queries {
            let known = before.iter().find(|(known, _)| Arc::ptr_eq(known, origin));
            *passed = known.map_or(Passed::Unknown, |(_, passed)| *passed);
        }
        let known = Arc::new(Known { at, queries });
        self.safety.outlets().iter().for_each(|outlet| outlet.know(&known));
    }
}

impl Core {
    /// How far the queries have come that give results; nothing before all are there, and behind the end.
    fn passed(&self, at: EventTime) -> Option<Vec<(Arc<Origin>, Passed)>> {
        if !self.is_open || self.engine.is_none() {
            return None;
        }
        let running = self.queries.values().filter(|entry| entry.failure.is_none());
        let queries = running.filter_map(|entry| {
            let origin = entry.results.origin()?;
            let is_read = self.is_read(entry);
            let until = if origin.every_ns.is_some() { entry.counted.settled } else { Some(at) };
            let passed = until.map_or(Passed::Unknown, Passed::Until);
            Some((origin, if is_read { passed } else { Passed::Unread }))
        });
        Some(queries.collect())
    }
}
