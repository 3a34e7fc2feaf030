//! Keeps a folder in order, on a thread of its own: merges small files, puts windows of old hours together, sums hours
//! up that are over, and lets the oldest go.

use crate::layout::Layout;
use crate::merge::{Merged, merge};
use crate::place::Hour;
use crate::policy::{HourSize, is_over, is_too_old, rolls_to, to_merge, too_many};
use crate::rollup::{Rolls, ToRoll, rolls};
use crate::shared::Shared;
use crate::store::Part;
use crate::summing::{SMALL_OCTETS, sum_up};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tapline_record::EventTime;
use tapline_sinks::{Told, Turn};
use tapline_sources::Clock;

/// Between two looks at all hours.
const LOOK_EVERY: Duration = Duration::from_secs(20);
/// How long files are kept that were merged or removed, for whoever knows them by name.
const GONE_FOR_NS: i64 = 10 * 60 * 1_000_000_000;

/// The thread; it ends with this value.
pub(crate) struct Keeper {
    ends: Arc<Ends>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Ends {
    are_here: AtomicBool,
    turn: Mutex<()>,
    news: Condvar,
}

impl Keeper {
    pub(crate) fn start(shared: Arc<Shared>, clock: Arc<dyn Clock>, told: Told) -> Result<Self, String> {
        let ends = Arc::new(Ends::default());
        let (mut order, seen) = (Order::new(shared, told), Arc::clone(&ends));
        let work = move || {
            while !seen.are_here.load(Ordering::Acquire) {
                order.keep(clock.now(), &seen.are_here);
                seen.wait();
            }
        };
        let thread = thread::Builder::new().name("history keeper".to_owned()).spawn(work);
        let thread = thread.map_err(|error| format!("a thread cannot be started: {error}"))?;
        Ok(Self { ends, thread: Some(thread) })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.ends.are_here.store(true, Ordering::Release);
        drop(self.ends.turn.lock().unwrap_or_else(PoisonError::into_inner));
        self.ends.news.notify_all();
        // A thread that died has told so.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl Ends {
    fn wait(&self) {
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let lasts = |(): &mut ()| !self.are_here.load(Ordering::Acquire);
        drop(self.news.wait_timeout_while(turn, LOOK_EVERY, lasts));
    }
}

/// What is kept in order, and what was done so far.
pub(crate) struct Order {
    shared: Arc<Shared>,
    told: Told,
    /// Files in `.gone`, and when they went there.
    gone: Vec<(EventTime, PathBuf)>,
    /// What could not be done, as it was told last.
    wrong: Option<String>,
    /// Queries of which it was told why their windows stay as they are, and why.
    stays: BTreeSet<(String, String)>,
    /// Hours of queries with windows that were revised: these are not looked at again.
    revised: BTreeSet<(String, Hour)>,
}

impl Order {
    pub(crate) fn new(shared: Arc<Shared>, told: Told) -> Self {
        let (stays, revised) = (BTreeSet::new(), BTreeSet::new());
        Self { shared, told, gone: vec![], wrong: None, stays, revised }
    }

    /// Does what is due, as long as it does not end.
    pub(crate) fn keep(&mut self, now: EventTime, ends: &AtomicBool) {
        let merged = self.keep_hours(now, ends);
        let kept = self.keep_size(now).map_err(|error| self.said(&error));
        let wrong = merged.and(kept).err();
        if let Some(why) = wrong.as_ref().filter(|_| wrong != self.wrong) {
            (self.told)(Turn::Worse, why);
        }
        self.wrong = wrong;
    }

    /// Lets hours go that are too old, and keeps others in order; what fails does not keep the rest.
    fn keep_hours(&mut self, now: EventTime, ends: &AtomicBool) -> Result<(), String> {
        let mut outcome = Ok(());
        self.purge(now, GONE_FOR_NS);
        for query in self.shared.store.queries().map_err(|error| self.said(&error))? {
            for hour in self.shared.store.hours(&query).map_err(|error| self.said(&error))? {
                if ends.load(Ordering::Acquire) {
                    return outcome;
                }
                let kept = if is_too_old(hour, self.shared.options.keep, now) {
                    self.remove(&query, hour, now).map_err(|error| self.said(&error))
                } else {
                    self.keep_hour(&query, hour, now, ends)
                };
                outcome = outcome.and(kept);
            }
        }
        outcome
    }

    fn keep_hour(
        &mut self,
        query: &str,
        hour: Hour,
        now: EventTime,
        ends: &AtomicBool,
    ) -> Result<(), String> {
        self.merge(query, hour, now, ends)?;
        if !is_over(hour, now) {
            return Ok(());
        }
        let parts = self.shared.store.parts(query, hour).map_err(|error| self.said(&error))?;
        if let Some(width) = rolls_to(hour, &self.shared.options.rollup, now)
            && let Some(gone) = self.roll_up((query, hour), &parts, width, ends)?
        {
            self.gone.extend(gone.into_iter().map(|path| (now, path)));
            // What came of it is summed up when it is looked at again.
            return Ok(());
        }
        let is_due = |part: &&Part| part.octets >= SMALL_OCTETS && !self.shared.store.has_sums(part);
        parts.iter().filter(is_due).try_for_each(|part| sum_up(&self.shared, part, ends))
    }

    /// Puts windows together that are narrower; gives the files that went, if some did.
    fn roll_up(
        &mut self,
        (query, hour): (&str, Hour),
        parts: &[Part],
        width: i64,
        ends: &AtomicBool,
    ) -> Result<Option<Vec<PathBuf>>, String> {
        let mut files = vec![];
        for part in parts {
            let schema = self.shared.schema_of(query, part).map_err(|error| error.to_string())?;
            if let Rolls::Never(why) = rolls(Layout::read(&schema).as_ref(), width) {
                self.tell_why_it_stays(query, why);
            }
            files.push((part.clone(), schema));
        }
        let Some(to_roll) = ToRoll::of(&files, width) else { return Ok(None) };
        let key = (query.to_owned(), hour);
        if self.revised.contains(&key) {
            return Ok(None);
        }
        match to_roll.roll(&self.shared, (query, hour), ends)? {
            Some(Merged::Done(gone)) => Ok(Some(gone)),
            Some(Merged::Damaged(_) | Merged::Ended) => Ok(None),
            None => {
                self.revised.insert(key);
                self.tell_why_it_stays(query, "some of an hour were revised".to_owned());
                Ok(None)
            }
        }
    }

    /// Tells once why results of a query stay as they are.
    fn tell_why_it_stays(&mut self, query: &str, why: String) {
        let said = format!("windows of `{query}` are not put together while they age: {why}");
        if self.stays.insert((query.to_owned(), why)) {
            (self.told)(Turn::Better, &said);
        }
    }

    fn merge(&mut self, query: &str, hour: Hour, now: EventTime, ends: &AtomicBool) -> Result<(), String> {
        loop {
            let parts = self.shared.store.parts(query, hour).map_err(|error| self.said(&error))?;
            let Some(parts) = to_merge(&parts, hour, now) else { return Ok(()) };
            match merge(&self.shared, (query, hour), &parts, ends)? {
                Merged::Done(gone) => self.gone.extend(gone.into_iter().map(|path| (now, path))),
                Merged::Damaged(path) => {
                    let what = format!("a file cannot be read and was put aside as {}", path.display());
                    (self.told)(Turn::Worse, &what);
                }
                Merged::Ended => return Ok(()),
            }
        }
    }

    /// Lets the oldest hours go that there is no room for.
    fn keep_size(&mut self, now: EventTime) -> io::Result<()> {
        let Some(octets_max) = self.shared.options.octets_max else { return Ok(()) };
        let hours = self.sizes()?;
        let gone: u64 =
            self.gone.iter().map(|(_, path)| fs::metadata(path).map_or(0, |file| file.len())).sum();
        if hours.iter().map(|hour| hour.octets).sum::<u64>() + gone > octets_max {
            self.purge(now, 0);
        }
        for HourSize { hour, query, .. } in too_many(hours, octets_max, now) {
            self.remove(&query, hour, now)?;
            self.purge(now, 0);
        }
        Ok(())
    }

    fn sizes(&self) -> io::Result<Vec<HourSize>> {
        let store = &self.shared.store;
        let mut sizes = vec![];
        for query in store.queries()? {
            for hour in store.hours(&query)? {
                let parts = store.parts(&query, hour)?;
                let of_sums = |part: &Part| store.sums_of(part).iter().map(|(_, octets)| octets).sum::<u64>();
                let octets = parts.iter().map(|part| part.octets + of_sums(part)).sum();
                sizes.push(HourSize { hour, query: query.clone(), octets });
            }
        }
        Ok(sizes)
    }

    fn remove(&mut self, query: &str, hour: Hour, now: EventTime) -> io::Result<()> {
        // No file comes meanwhile.
        let _turn = self.shared.waiting();
        let gone = self.shared.store.remove_hour(query, hour)?;
        self.gone.extend(gone.into_iter().map(|path| (now, path)));
        self.revised.remove(&(query.to_owned(), hour));
        Ok(())
    }

    /// Removes what went so long ago.
    fn purge(&mut self, now: EventTime, after: i64) {
        self.gone.retain(|(went, path)| {
            let stays = now.0.saturating_sub(went.0) < after;
            if !stays {
                // What is left is removed at the next start.
                let _ = fs::remove_file(path);
            }
            stays
        });
    }

    fn said(&self, error: &io::Error) -> String {
        format!("{} cannot be kept in order: {error}", self.shared.store.root().display())
    }
}
