//! Keeps a folder in order, on a thread of its own: merges small files, and lets old hours go.

use crate::merge::{Merged, merge};
use crate::place::Hour;
use crate::policy::{HourSize, is_too_old, to_merge, too_many};
use crate::shared::Shared;
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
}

impl Order {
    pub(crate) const fn new(shared: Arc<Shared>, told: Told) -> Self {
        Self { shared, told, gone: vec![], wrong: None }
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

    /// Lets hours go that are too old, and merges files of others; what fails does not keep the rest.
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
                    self.merge(&query, hour, now, ends)
                };
                outcome = outcome.and(kept);
            }
        }
        outcome
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
                let octets = store.parts(&query, hour)?.iter().map(|part| part.octets).sum();
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
