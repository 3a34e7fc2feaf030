//! The end of a catalog, and the start of one that goes on with what another held.

use super::{Catalog, Core, Level, Tell, ended, lock, streams_of};
use crate::definition::Definition;
use crate::kept::Kept;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use tapline_engine::{Beginning, Report, Suspended};
use tapline_exports::{keep_names, put_whole};
use tapline_query::ContinuousQuery;
use tapline_record::EventTime;
use tapline_sinks::Outlet;

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
        kept.iter().for_each(|kept| engine.cover(kept.covered()));
        core.inputs.start(engine, &demand, kept.as_ref())?;
        let results = core.subscriber.clone();
        core.fleet.iter_mut().try_for_each(|fleet| fleet.open(results.clone(), self.safety.clone()))?;
        core.is_open = true;
        if let (Some(kept), Some(path)) = (kept, &self.windows) {
            self.leave(&kept, path);
        }
        Ok(())
    }

    /// Leaves a file that was taken up: from here on it is of a moment that has passed. Where it holds more, it is put
    /// aside.
    fn leave(&self, kept: &Kept, path: &Path) {
        for name in kept.left() {
            let what = format!(
                "the open windows of `{name}` are put aside: it does not run, or is another query than it was"
            );
            self.log.say(Level::Warning, &what);
        }
        let left = kept.left().next().map_or_else(
            || fs::remove_file(path),
            |_| fs::rename(path, path.with_extension(format!("left-{}", self.clock.now().0))),
        );
        if let Err(error) = left.and_then(|()| keep_names(path)) {
            self.log.say(Level::Warning, &format!("{} cannot be removed: {error}", path.display()));
        }
    }

    /// Ends the input, waits until all that was read is worked on, and ends all queries: windows that are open are
    /// kept for the next start, or given as partial where there is no file for them. Gives what the engine did, and
    /// of how many queries they are kept.
    ///
    /// # Errors
    /// When a thread died, it has ended before, or open windows could not be kept.
    pub fn stop(&self) -> Result<(Report, Option<usize>), String> {
        let (fleet, engine) = {
            let mut core = self.core();
            (core.fleet.take(), core.engine.take())
        };
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
        // All at once, so that the slowest is what is waited for.
        self.safety.outlets().iter().for_each(Outlet::end);
        self.safety.outlets().iter().for_each(Outlet::finish);
        // What outlets have by now is said to be safe; the rest is given again at the next start.
        let fleet = fleet.map_or(Ok(()), |mut fleet| fleet.stop());
        let to_keep = {
            let mut core = self.core();
            core.end_all_asked();
            core.inputs.take_unkept()
        };
        self.keep_files(&to_keep);
        let (report, suspended) = stopped.map_err(|error| error.to_string())?;
        fleet?;
        let kept = suspended.map(|suspended| self.keep(now, suspended)).transpose()?;
        Ok((report, kept))
    }

    /// Writes what inputs keep in files of their own; what cannot be written is told.
    pub(super) fn keep_files(&self, files: &[(PathBuf, String)]) {
        for (path, text) in files {
            if let Err(error) = put_whole(path, |file| file.write_all(text.as_bytes())) {
                self.log.say(Level::Error, &format!("{} cannot be written: {error}", path.display()));
            }
        }
    }

    /// Keeps what was held for the next start; gives of how many queries.
    fn keep(&self, stopped: EventTime, mut suspended: Suspended) -> Result<usize, String> {
        let Some(path) = &self.windows else { return Ok(0) };
        let core = self.core();
        let earliest = suspended.queries.iter().map(|(_, held)| held.windows.earliest()).min();
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
            .map(|()| queries.len())
            .map_err(|why| format!("the open windows cannot be kept, and are lost: {why}"))
    }
}

const SECOND_NS: i64 = 1_000_000_000;

impl Core {
    /// Where a query begins that nobody knew before: now.
    pub(super) fn beginning_anew(&self, query: &ContinuousQuery, now: EventTime) -> Beginning {
        Beginning::After(self.inputs.given_until(&streams_of(query), now))
    }

    /// Where a query begins: where it was in an earlier run, or now.
    pub(super) fn beginning(
        &mut self,
        definition: &Definition,
        query: &ContinuousQuery,
        now: EventTime,
        log: &dyn Tell,
    ) -> Beginning {
        let streams = streams_of(query);
        let anew = self.beginning_anew(query, now);
        let Some(kept) = &mut self.kept else { return anew };
        match kept.take(definition, query) {
            Ok(Some(mut held)) => {
                if !self.inputs.know_gap(&streams, kept) {
                    held.windows.lack_rows_before(now);
                }
                Beginning::With(held)
            }
            Ok(None) => anew,
            Err(why) => {
                let name = &definition.name;
                log.say(Level::Warning, &format!("the open windows of `{name}` are given up: {why}"));
                Beginning::After(now)
            }
        }
    }
}
