//! The end of a catalog, and the start of one that goes on with what another held.

use super::{Catalog, Core, Level, Tell, ended, lock, streams_of};
use crate::definition::Definition;
use crate::kept::Kept;
use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering;
use tapline_engine::{Beginning, Report, Suspended};
use tapline_query::ContinuousQuery;
use tapline_record::EventTime;

/// What an earlier run held; where that cannot be taken up, it is told.
pub(super) fn load(windows: Option<&Path>, now: EventTime, log: &dyn Tell) -> Option<Kept> {
    Kept::load(windows?, now).unwrap_or_else(|why| {
        log.say(Level::Warning, &format!("the open windows of the last run are given up: {why}"));
        None
    })
}

impl Catalog {
    /// Opens what is to be read. Queries that were not added by now do not go on where they were.
    ///
    /// # Errors
    /// When some of it cannot be opened.
    pub fn open(&self) -> Result<(), String> {
        let core = &mut *self.core();
        let (demand, kept) = (core.demand(), core.kept.take());
        let engine = core.engine.as_mut().ok_or_else(|| ended().to_string())?;
        if let Some(kept) = &kept {
            engine.cover(kept.covered());
            for name in kept.left() {
                let what =
                    format!("the open windows of `{name}` are given up: it is not the query that it was");
                self.log.say(Level::Info, &what);
            }
        }
        core.inputs.start(engine, &demand, kept.as_ref())?;
        // From here on they are of a moment that has passed.
        if let Some(path) = self.windows.as_deref().filter(|_| kept.is_some())
            && let Err(error) = fs::remove_file(path)
        {
            self.log.say(Level::Warning, &format!("{} cannot be removed: {error}", path.display()));
        }
        Ok(())
    }

    /// Ends the input, waits until all that was read is worked on, and ends all queries: windows that are open are
    /// kept for the next start, or given as partial where there is no file for them. Gives how many queries have such,
    /// and whether they are kept.
    ///
    /// # Errors
    /// When a thread died, it has ended before, or open windows could not be kept.
    pub fn stop(&self) -> Result<(Report, bool), String> {
        let engine = self.core().engine.take();
        let mut engine = engine.ok_or("the node has ended already")?;
        let stopped = if self.windows.is_some() {
            engine.suspend().map(|(report, suspended)| (report, Some(suspended)))
        } else {
            engine.end_input();
            engine.join().map(|report| (report, None))
        };
        let now = self.clock.now();
        self.has_ended.store(true, Ordering::Release);
        let collector = lock(&self.collector).take();
        if collector.is_some_and(|collector| collector.join().is_err()) {
            return Err("the thread that keeps results died; please report this".to_owned());
        }
        let (report, suspended) = stopped.map_err(|error| error.to_string())?;
        let is_kept = suspended.is_some();
        suspended.map_or(Ok(()), |suspended| self.keep(now, suspended))?;
        Ok((report, is_kept))
    }

    /// Keeps what was held for the next start.
    fn keep(&self, stopped: EventTime, mut suspended: Suspended) -> Result<(), String> {
        let Some(path) = &self.windows else { return Ok(()) };
        let core = self.core();
        let earliest = suspended.queries.iter().filter_map(|(_, held)| held.windows.earliest()).min();
        let first = earliest.unwrap_or(stopped).0.div_euclid(SECOND_NS);
        suspended.covered.retain(|covered| covered.second >= first);
        let queries: Vec<_> = core
            .queries
            .values()
            .filter_map(|entry| {
                let held = suspended.queries.iter().find(|(id, _)| *id == entry.id);
                held.map(|(_, held)| (&entry.definition, entry.query.as_ref(), held))
            })
            .collect();
        Kept::save(path, stopped, core.inputs.memories(), &suspended, &queries)
            .map_err(|why| format!("the open windows cannot be kept, and are lost: {why}"))
    }
}

const SECOND_NS: i64 = 1_000_000_000;

impl Core {
    /// Where a query begins: where it was in an earlier run, or now.
    pub(super) fn beginning(
        &mut self,
        definition: &Definition,
        query: &ContinuousQuery,
        now: EventTime,
        log: &dyn Tell,
    ) -> Beginning {
        let Some(kept) = &mut self.kept else { return Beginning::After(now) };
        match kept.take(definition, query) {
            Ok(Some(mut held)) => {
                if !self.inputs.know_gap(&streams_of(query), kept) {
                    held.windows.lack_rows_before(now);
                }
                Beginning::With(held)
            }
            Ok(None) => Beginning::After(now),
            Err(why) => {
                let name = &definition.name;
                log.say(Level::Warning, &format!("the open windows of `{name}` are given up: {why}"));
                Beginning::After(now)
            }
        }
    }
}
