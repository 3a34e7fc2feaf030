//! Moves files to a bucket, on a thread of its own: those that do not change any more, and those of hours that have to
//! leave the folder.
//!
//! What does not change any more has a tail, from then on; so it is put under the same key, whatever happens in between,
//! and is there once. Whether it is there is known by what the bucket lists, at the start and every hour: files that it has
//! and this disk does not know are known from then on. Nobody waits for any of it; what cannot be done is tried again.

use crate::bucket::Bucket;
use crate::layout::Layout;
use crate::place::{Hour, HourFile};
use crate::policy::{is_over, is_too_old, nanoseconds, to_merge};
use crate::rollup::{Rolls, rolls};
use crate::shared::Shared;
use crate::store::Part;
use crate::tails::{END_OCTETS, tail_octets, tail_of};
use crate::turns::Turns;
use datafusion::common::Result as QueryResult;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::fs::{self, File};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{io, iter};
use tapline_record::EventTime;
use tapline_sinks::{Told, Turn};
use tapline_sources::Clock;

/// Between two looks at all that a bucket has.
const LOOK_EVERY_NS: i64 = 3600 * 1_000_000_000;
/// How long what is too old stays in a bucket, for whoever has begun to read it.
const GONE_FOR_NS: i64 = 10 * 60 * 1_000_000_000;
/// Octets of a tail that is learned of: far more than any file of ours has.
const TAIL_OCTETS_MAX: u64 = 64 << 20;

/// Starts the thread that moves files.
pub(crate) fn start(
    (shared, bucket): (Arc<Shared>, Arc<Bucket>),
    clock: Arc<dyn Clock>,
    told: Told,
) -> Result<Turns, String> {
    let mut moving = Moving::new(shared, bucket, told);
    Turns::start("history mover", move |ends| moving.turn(clock.now(), ends))
}

/// What is moved.
pub(crate) struct Moving {
    shared: Arc<Shared>,
    bucket: Arc<Bucket>,
    told: Told,
    /// When it was looked at all that the bucket has.
    looked: Option<EventTime>,
    /// Files that are removed from the bucket, and since when nobody looks for them.
    forgotten: Vec<(EventTime, HourFile)>,
}

impl Moving {
    pub(crate) fn new(shared: Arc<Shared>, bucket: Arc<Bucket>, told: Told) -> Self {
        Self { shared, bucket, told, looked: None, forgotten: vec![] }
    }

    /// Does what is due, as long as it does not end.
    pub(crate) fn turn(&mut self, now: EventTime, ends: &AtomicBool) {
        // What cannot be listed or read there keeps nothing here: each file is compared when it is put.
        let looked = self.look(now, ends);
        let put = self.put_all(now, ends).and_then(|()| self.forget(now, ends));
        if !ends.load(Ordering::Acquire) {
            self.shared.moved().trouble = looked.and(put).err();
        }
    }

    /// Compares what the bucket has with what is known of it, when that was long ago.
    fn look(&mut self, now: EventTime, ends: &AtomicBool) -> Result<(), String> {
        // A clock that was ahead and is set back is none that says when that was.
        let is_recent = |looked: EventTime| (0..LOOK_EVERY_NS).contains(&now.0.saturating_sub(looked.0));
        if self.looked.is_some_and(is_recent) {
            return Ok(());
        }
        let mut queries: BTreeSet<String> = self.bucket.queries(ends)?.into_iter().collect();
        queries.extend(self.shared.store.all_queries().map_err(|error| self.said(&error))?);
        for query in &queries {
            let mut found = self.bucket.files(query, ends)?;
            let lacking = self.compare(query, &mut found).map_err(|error| self.said(&error))?;
            if lacking > 0 {
                let url = self.bucket.options.url();
                (self.told)(Turn::Worse, &format!("{lacking} files of `{query}` are in {url} no more"));
            }
            self.learn(found, now, ends)?;
        }
        self.looked = Some(now);
        Ok(())
    }

    /// Notes which files are there, and takes them out of what was found; forgets those that are nowhere, and says how
    /// many these are.
    fn compare(&self, query: &str, found: &mut BTreeMap<HourFile, u64>) -> io::Result<u64> {
        let store = &self.shared.store;
        let mut lacking = 0;
        for hour in store.hours_of_tails(query)? {
            // No file leaves the folder meanwhile.
            let _order = self.shared.order();
            for part in store.tails(query, hour)? {
                let Some(file) = HourFile::of(&part.path) else { continue };
                let is_there = found.get(&file) == Some(&part.octets);
                if is_there {
                    found.remove(&file);
                }
                match (part.path.exists(), is_there) {
                    (true, true) => self.shared.moved().note(&part),
                    (true, false) => self.shared.moved().forget(&part),
                    (false, true) => {}
                    (false, false) => {
                        store.remove_tail(&part)?;
                        lacking += 1;
                    }
                }
            }
        }
        Ok(lacking)
    }

    /// Learns of files that are there and not known, as those of a disk that is lost.
    fn learn(
        &mut self,
        found: BTreeMap<HourFile, u64>,
        now: EventTime,
        ends: &AtomicBool,
    ) -> Result<(), String> {
        for (file, octets) in found {
            if ends.load(Ordering::Acquire) {
                return Ok(());
            }
            let part = self.shared.store.part_of(&file, octets);
            // One of the same name that lies here is compared with it when it is put there.
            let Some(part) = part.filter(|part| !part.path.exists()) else { continue };
            if is_too_old(file.hour, self.bucket.options.keep, now) {
                self.forget_one(now, file);
                continue;
            }
            if let Some(tail) = self.tail(&file, octets, ends)? {
                self.shared.store.put_tail(&part, &tail).map_err(|error| self.said(&error))?;
            } else {
                let what = format!("{} is no file of results", self.bucket.key(&file));
                (self.told)(Turn::Worse, &what);
            }
        }
        Ok(())
    }

    /// The tail of a file that is there; `None` where it is no Parquet file.
    fn tail(&self, file: &HourFile, octets: u64, ends: &AtomicBool) -> Result<Option<Vec<u8>>, String> {
        let Some(end) = octets.checked_sub(END_OCTETS) else { return Ok(None) };
        let read = |start: u64| -> Result<Vec<u8>, String> {
            let read = self.bucket.read(file, iter::once(start..octets).collect(), ends)?;
            Ok(read.first().map(|octets| octets.to_vec()).unwrap_or_default())
        };
        // Anybody who may write there can say how long one is.
        let length = tail_octets(&read(end)?).filter(|length| *length <= TAIL_OCTETS_MAX);
        let Some(start) = length.and_then(|length| octets.checked_sub(length)) else {
            return Ok(None);
        };
        read(start).map(Some)
    }

    /// Puts all files there that are ready, the oldest first.
    fn put_all(&mut self, now: EventTime, ends: &AtomicBool) -> Result<(), String> {
        let mut hours: Vec<(Hour, String)> = vec![];
        for query in self.shared.store.queries().map_err(|error| self.said(&error))? {
            let of_query = self.shared.store.hours(&query).map_err(|error| self.said(&error))?;
            let keep = self.bucket.options.keep;
            let is_due = |hour: &Hour| is_over(*hour, now) && !is_too_old(*hour, keep, now);
            hours.extend(of_query.into_iter().filter(is_due).map(|hour| (hour, query.clone())));
        }
        hours.sort();
        let mut outcome = Ok(());
        for (hour, query) in hours {
            let (ready, wrong) = self.ready(&query, hour, now).map_err(|error| self.said(&error))?;
            outcome = outcome.and(wrong);
            for part in ready {
                if ends.load(Ordering::Acquire) {
                    return Ok(());
                }
                self.put(&query, &part, ends)?;
            }
        }
        outcome
    }

    /// The files of an hour that are not there yet and do not change any more, from now on; and what is wrong with
    /// others.
    fn ready(&self, query: &str, hour: Hour, now: EventTime) -> io::Result<(Vec<Part>, Result<(), String>)> {
        let store = &self.shared.store;
        // Nobody merges or rolls up files meanwhile.
        let _order = self.shared.order();
        let has_to_leave = self.shared.moved().is_wanted(query, hour);
        let is_settled = to_merge(&store.loose_parts(query, hour)?, hour, now).is_none();
        let (mut ready, mut outcome) = (vec![], Ok(()));
        for part in store.parts(query, hour)? {
            if self.shared.moved().has(&part) {
                continue;
            }
            if !store.has_tail(&part) {
                let is_last = is_settled && self.is_last(query, &part).unwrap_or(false);
                if !is_last && !has_to_leave {
                    continue;
                }
                // One that cannot be read stays here.
                let kept = tail_of(&part.path).and_then(|tail| store.put_tail(&part, &tail));
                if let Err(error) = kept {
                    outcome = Err(format!("{} cannot go to the bucket: {error}", part.path.display()));
                    continue;
                }
            }
            ready.push(part);
        }
        Ok((ready, outcome))
    }

    /// Whether no roll-up will take a file's place.
    fn is_last(&self, query: &str, part: &Part) -> QueryResult<bool> {
        let layout = Layout::read(self.shared.schema_of(query, part)?.as_ref());
        let rollup = &self.shared.options.rollup;
        Ok(rollup.iter().all(|one| rolls(layout.as_ref(), nanoseconds(one.window)) != Rolls::Yes))
    }

    /// Puts a file there; where another one has its name, it takes another one.
    fn put(&mut self, query: &str, part: &Part, ends: &AtomicBool) -> Result<(), String> {
        let store = &self.shared.store;
        let Some(file) = HourFile::of(&part.path) else { return Ok(()) };
        let content = match File::open(&part.path) {
            Ok(content) => content,
            // There was no room for it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(self.said(&error)),
        };
        let tail = store.tail(part).map_err(|error| self.said(&error))?;
        if self.bucket.put(&file, (part.octets, content), tail, ends)? {
            // No file leaves the folder meanwhile; of one that has, another one may get the name.
            let _order = self.shared.order();
            if part.path.exists() {
                self.shared.moved().note(part);
            }
            return Ok(());
        }
        let what = format!("another file than this node's lies at {}", self.bucket.key(&file));
        (self.told)(Turn::Worse, &format!("{what}; give each node a folder of its own"));
        self.rename(query, part).map_err(|error| self.said(&error))?;
        // What is there is learned of.
        self.looked = None;
        Ok(())
    }

    /// Gives a file a number that none has.
    fn rename(&self, query: &str, part: &Part) -> io::Result<()> {
        let store = &self.shared.store;
        let _order = self.shared.order();
        let _turn = self.shared.waiting();
        let path = store.next_path(query, part.hour, part.columns)?;
        // First: left behind, it would be taken for that of the file which has the name there.
        store.remove_tail(part)?;
        store.remove_sums(&part.path)?;
        fs::rename(&part.path, path)
    }

    /// Lets go of what is older than it is kept there.
    fn forget(&mut self, now: EventTime, ends: &AtomicBool) -> Result<(), String> {
        let store = &self.shared.store;
        let mut old = vec![];
        for query in store.all_queries().map_err(|error| self.said(&error))? {
            let hours = store.hours_of_tails(&query).map_err(|error| self.said(&error))?;
            let is_old = |hour: &Hour| is_too_old(*hour, self.bucket.options.keep, now);
            for hour in hours.into_iter().filter(is_old) {
                let _order = self.shared.order();
                let _turn = self.shared.waiting();
                for part in store.tails(&query, hour).map_err(|error| self.said(&error))? {
                    store.remove_tail(&part).map_err(|error| self.said(&error))?;
                    old.extend(HourFile::of(&part.path));
                }
            }
        }
        old.into_iter().for_each(|file| self.forget_one(now, file));
        // What is not too old any more, since the clock was set back, is learned of again.
        let keep = self.bucket.options.keep;
        self.forgotten.retain(|(_, file)| is_too_old(file.hour, keep, now));
        let is_due = |(since, _): &(EventTime, HourFile)| now.0.saturating_sub(since.0) >= GONE_FOR_NS;
        let due: Vec<HourFile> =
            self.forgotten.iter().filter(|one| is_due(one)).map(|(_, file)| file.clone()).collect();
        if due.is_empty() {
            return Ok(());
        }
        self.bucket.remove(&due, ends)?;
        self.forgotten.retain(|one| !is_due(one));
        Ok(())
    }

    fn forget_one(&mut self, now: EventTime, file: HourFile) {
        if !self.forgotten.iter().any(|(_, known)| *known == file) {
            self.forgotten.push((now, file));
        }
    }

    fn said(&self, error: &dyn Display) -> String {
        let (folder, url) = (self.shared.store.root().display(), self.bucket.options.url());
        format!("files of {folder} cannot go to {url}: {error}")
    }
}
