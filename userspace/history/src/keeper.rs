//! Keeps a folder in order, on a thread of its own: merges small files, puts windows of old hours together, sums hours
//! up that are over, and lets the oldest go.

use crate::damage::{damage, is_readable};
use crate::layout::Layout;
use crate::merge::{Merged, merge};
use crate::place::Hour;
use crate::policy::{HourSize, is_over, is_too_old, rolls_to, to_merge, too_many};
use crate::rollup::{Rolls, ToRoll, rolls};
use crate::shared::Shared;
use crate::store::Part;
use crate::stored::results_of;
use crate::summing::{SMALL_OCTETS, sum_up};
use crate::turns::Turns;
use datafusion::arrow::datatypes::SchemaRef;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::iter;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tapline_record::EventTime;
use tapline_sinks::{Told, Turn};
use tapline_sources::Clock;

/// How long files are kept that were merged or removed, for whoever knows them by name.
const GONE_FOR_NS: i64 = 10 * 60 * 1_000_000_000;

/// The part of the octets that files may have, in eighths, from which on the oldest hours are to leave for the bucket.
const LEAVES_FROM: u64 = 7;

/// Starts the thread that keeps a folder in order.
pub(crate) fn start(shared: Arc<Shared>, clock: Arc<dyn Clock>, told: Told) -> Result<Turns, String> {
    let mut order = Order::new(shared, told);
    Turns::start("history keeper", move |ends| order.keep(clock.now(), ends))
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
        let merged = self.finish_replacing().and_then(|()| self.keep_hours(now, ends));
        let kept = self.keep_size(now).map_err(|error| self.said(&error));
        let wrong = merged.and(kept).err();
        self.tell_unread();
        if let Some(why) = wrong.as_ref().filter(|_| wrong != self.wrong) {
            (self.told)(Turn::Worse, why);
        }
        self.wrong = wrong;
        self.learn(ends);
    }

    /// Lists what was not listed before or has changed, so that nobody who asks has to.
    fn learn(&self, ends: &AtomicBool) {
        let store = &self.shared.store;
        for query in store.known_queries().unwrap_or_default() {
            // Whoever asks for what cannot be listed is told why.
            let _ = store.learn(&query, &|_| true, ends);
        }
    }

    /// Tells which files cannot be read, as far as the outlet does not, unless whoever moves them does that.
    fn tell_unread(&self) {
        if self.shared.bucket.is_none() {
            let news = self.shared.moved().settle(None);
            news.iter().for_each(|what| (self.told)(Turn::Worse, what));
        }
    }

    /// Lets hours go that are too old, and keeps others in order; what fails does not keep the rest.
    fn keep_hours(&mut self, now: EventTime, ends: &AtomicBool) -> Result<(), String> {
        let mut outcome = Ok(());
        self.purge(now, GONE_FOR_NS);
        for query in self.shared.store.queries().map_err(|error| self.said(&error))? {
            let hours = self.shared.store.hours(&query).map_err(|error| self.said(&error))?;
            let before = iter::once(None).chain(hours.iter().copied().map(Some));
            for (before, hour) in before.zip(hours.iter().copied()) {
                if ends.load(Ordering::Acquire) {
                    return outcome;
                }
                let kept = if is_too_old(hour, self.shared.options.keep, now) {
                    self.leave(&query, hour, now).map_err(|error| self.said(&error))
                } else {
                    self.keep_hour((&query, hour), before, now, ends)
                };
                outcome = outcome.and(kept);
            }
        }
        outcome
    }

    /// Does what an error left half done.
    fn finish_replacing(&self) -> Result<(), String> {
        let _order = self.shared.order();
        let _turn = self.shared.waiting();
        self.shared.store.finish_replacing().map_err(|error| self.said(&error))
    }

    /// Merges an hour, and when it is over, rolls it up and sums it up; `before` is the hour before it of which there is
    /// something.
    fn keep_hour(
        &mut self,
        (query, hour): (&str, Hour),
        before: Option<Hour>,
        now: EventTime,
        ends: &AtomicBool,
    ) -> Result<(), String> {
        let shared = Arc::clone(&self.shared);
        let order = shared.order();
        self.merge(query, hour, now, ends)?;
        if !is_over(hour, now) {
            return Ok(());
        }
        if let Some(width) = rolls_to(hour, &self.shared.options, now)
            // Those of a wide window are rolled up with the first of them.
            && before.is_none_or(|before| before < hour.block(width).start)
            && let Some(gone) = self.roll_up((query, hour), width, now, ends)?
        {
            self.gone.extend(gone.into_iter().map(|path| (now, path)));
            // What came of it is summed up when it is looked at again.
            return Ok(());
        }
        drop(order);
        let parts = self.shared.store.parts(query, hour).map_err(|error| self.said(&error))?;
        let is_due = |part: &&Part| part.octets >= SMALL_OCTETS && !self.shared.store.has_sums(part);
        parts.iter().filter(is_due).try_for_each(|part| self.sum_up(part, now, ends))
    }

    /// Sums a file up, unless it cannot be read.
    fn sum_up(&self, part: &Part, now: EventTime, ends: &AtomicBool) -> Result<(), String> {
        if !is_readable(&self.shared, part, (now, ends)) {
            return Ok(());
        }
        let Err(why) = sum_up(&self.shared, part, ends) else { return Ok(()) };
        let Some(damage) = damage(&self.shared, part, ends) else { return Err(why) };
        self.shared.moved().unread.note(&part.path, damage, now);
        Ok(())
    }

    /// Puts windows together that are narrower; gives the files that went, if some did.
    fn roll_up(
        &mut self,
        (query, hour): (&str, Hour),
        width: i64,
        now: EventTime,
        ends: &AtomicBool,
    ) -> Result<Option<Vec<PathBuf>>, String> {
        let (block, mut parts) = (hour.block(width), vec![]);
        let mut hours = self.shared.store.hours(query).map_err(|error| self.said(&error))?;
        hours.retain(|hour| block.contains(hour));
        for hour in &hours {
            let of_hour = self.readable_parts(query, *hour, (now, ends))?;
            if to_merge(&of_hour, *hour, now).is_some() {
                // It is merged first.
                return Ok(None);
            }
            parts.extend(of_hour);
        }
        let (hour, mut files) = (block.start, vec![]);
        for part in &parts {
            let schema = match self.columns_of(query, part) {
                Ok(schema) => schema,
                Err(why) => {
                    // Others are rolled up without it, when they are looked at again.
                    let why = format!("{} cannot be rolled up: {why}", part.path.display());
                    self.shared.moved().unread.note(&part.path, why, now);
                    return Ok(None);
                }
            };
            if let Rolls::Never(why) = rolls(Layout::read(&schema).as_ref(), width) {
                self.tell_why_it_stays(query, why);
            }
            files.push((part.clone(), schema));
        }
        let Some(to_roll) = ToRoll::of(&files, width) else { return Ok(None) };
        let to_roll = to_roll.lacking(self.lacks_some(query, &hours, now)?);
        let key = (query.to_owned(), hour);
        if self.revised.contains(&key) {
            return Ok(None);
        }
        match to_roll.roll(&self.shared, (query, hour), ends)? {
            Some(Merged::Done(gone)) => Ok(Some(gone)),
            Some(Merged::Unread(unread)) => {
                // Others are rolled up without them, when they are looked at again.
                self.note_unread(unread, now);
                Ok(None)
            }
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

    /// The columns of a file that can be opened.
    fn columns_of(&self, query: &str, part: &Part) -> Result<SchemaRef, String> {
        self.shared.store.open(part).map_err(|error| error.to_string())?;
        self.shared.schema_of(query, part).map_err(|error| error.message().into_owned())
    }

    /// The files of an hour that may change still, but for those that cannot be read.
    fn readable_parts(
        &self,
        query: &str,
        hour: Hour,
        (now, ends): (EventTime, &AtomicBool),
    ) -> Result<Vec<Part>, String> {
        let mut parts = self.shared.store.loose_parts(query, hour).map_err(|error| self.said(&error))?;
        parts.retain(|part| is_readable(&self.shared, part, (now, ends)));
        Ok(parts)
    }

    /// Whether some file of these hours cannot be read, or was put aside since nobody can read it.
    fn lacks_some(&self, query: &str, hours: &[Hour], now: EventTime) -> Result<bool, String> {
        let store = &self.shared.store;
        for hour in hours {
            let listed = store.loose_parts(query, *hour);
            let listed = listed.and_then(|parts| Ok((parts, store.has_damaged(query, *hour)?)));
            let (parts, has_damaged) = listed.map_err(|error| self.said(&error))?;
            let moved = self.shared.moved();
            if has_damaged || parts.iter().any(|part| moved.unread.rests(&part.path, now)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn note_unread(&self, unread: Vec<(PathBuf, String)>, now: EventTime) {
        let mut moved = self.shared.moved();
        unread.into_iter().for_each(|(path, why)| moved.unread.note(&path, why, now));
    }

    fn merge(&mut self, query: &str, hour: Hour, now: EventTime, ends: &AtomicBool) -> Result<(), String> {
        loop {
            let parts = self.readable_parts(query, hour, (now, ends))?;
            let Some(parts) = to_merge(&parts, hour, now) else { return Ok(()) };
            match merge(&self.shared, (query, hour), &parts, ends)? {
                // The others are merged without them.
                Merged::Unread(unread) => self.note_unread(unread, now),
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
        let has_bucket = self.shared.bucket.is_some();
        if has_bucket {
            let leave = too_many(hours.clone(), octets_max / 8 * LEAVES_FROM, now);
            let mut moved = self.shared.moved();
            leave.iter().filter(|hour| !hour.is_safe).for_each(|hour| moved.want(&hour.query, hour.hour));
        }
        for HourSize { hour, query, is_safe, .. } in too_many(hours, octets_max, now) {
            if has_bucket && !is_safe {
                self.lose(&query, hour)?;
            }
            self.remove((&query, hour), is_safe, now)?;
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
                let is_safe = self.is_safe(&parts);
                sizes.push(HourSize { hour, query: query.clone(), octets, is_safe });
            }
        }
        Ok(sizes)
    }

    /// Whether all of these files lie in the bucket, too.
    fn is_safe(&self, parts: &[Part]) -> bool {
        let moved = self.shared.moved();
        self.shared.bucket.is_some() && parts.iter().all(|part| moved.has(part))
    }

    /// Lets an hour go that is too old; where there is a bucket, when it lies there, or is too old for that, too.
    fn leave(&mut self, query: &str, hour: Hour, now: EventTime) -> io::Result<()> {
        let bucket = self.shared.bucket.as_ref();
        let has_to_be_safe = bucket.is_some_and(|bucket| !is_too_old(hour, bucket.options.keep, now));
        self.remove((query, hour), has_to_be_safe, now)
    }

    /// Counts what the disk has no room for and the bucket does not have, and tells it.
    fn lose(&self, query: &str, hour: Hour) -> io::Result<()> {
        let store = &self.shared.store;
        let mut results = 0;
        for part in store.parts(query, hour)? {
            if self.shared.moved().has(&part) {
                continue;
            }
            results += results_of(&self.shared, &part);
        }
        *self.shared.moved().lost.entry(query.to_owned()).or_default() += results;
        let what = format!(
            "{results} results of `{query}` are lost, the oldest ones: there is no room for what waits for the bucket"
        );
        (self.told)(Turn::Worse, &what);
        Ok(())
    }

    /// Removes an hour; one that has to be safe stays as long as some of it lies nowhere else, as what has come by now.
    fn remove(
        &mut self,
        (query, hour): (&str, Hour),
        has_to_be_safe: bool,
        now: EventTime,
    ) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let _order = shared.order();
        // No file comes meanwhile.
        let turn = shared.waiting();
        let parts = shared.store.parts(query, hour)?;
        if has_to_be_safe && !self.is_safe(&parts) {
            shared.moved().want(query, hour);
            return Ok(());
        }
        let gone = shared.store.remove_hour(query, hour)?;
        drop(turn);
        self.gone.extend(gone.into_iter().map(|path| (now, path)));
        self.revised.remove(&(query.to_owned(), hour));
        let mut moved = shared.moved();
        for part in &parts {
            if shared.bucket.is_some() && !moved.has(part) {
                // It would stand for what is nowhere.
                shared.store.remove_tail(part)?;
            }
            moved.forget(part);
        }
        moved.left(query, hour);
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
