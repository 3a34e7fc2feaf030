//! Moves files to a bucket, on a thread of its own: those that do not change any more, and those of hours that have to
//! leave the folder.
//!
//! What does not change any more has a tail, from then on; so it is put under the same key, whatever happens in between,
//! and is there once. When it is there, its mark is kept. Whether it is there still is known by what the bucket lists, at
//! the start and every hour, by name, octets and mark: files that it has and this disk does not know are known from then on. Nobody waits for any of it; what cannot be done is tried again, and
//! a file that cannot be read is in the way of no other one.

use crate::bucket::{Bucket, Object, Put};
use crate::layout::Layout;
use crate::place::{Hour, HourFile, query_folder};
use crate::policy::{is_over, is_too_old, nanoseconds, to_merge};
use crate::rollup::{Rolls, rolls};
use crate::shared::Shared;
use crate::store::Part;
use crate::tails::tail_of;
use crate::turns::Turns;
use datafusion::common::Result as QueryResult;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tapline_record::EventTime;
use tapline_sinks::{Told, Turn};
use tapline_sources::Clock;

/// Between two looks at all that a bucket has.
const LOOK_EVERY_NS: i64 = 3600 * 1_000_000_000;
/// How long what is too old stays in a bucket, for whoever has begun to read it.
const GONE_FOR_NS: i64 = 10 * 60 * 1_000_000_000;

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
            self.note(looked.and(put).err());
        }
    }

    /// Notes what is wrong, and tells which files cannot be read, as far as the outlet does not tell that by itself.
    fn note(&self, wrong: Option<String>) {
        let mut moved = self.shared.moved();
        moved.unread.forget_gone();
        let is_told = moved.trouble.is_none() && wrong.is_none();
        moved.trouble = wrong.or_else(|| moved.unread.said());
        let news = moved.unread.take_news();
        drop(moved);
        news.iter().filter(|_| !is_told).for_each(|what| (self.told)(Turn::Worse, what));
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
            let (mut lacking, doubtful) =
                self.compare(query, &mut found).map_err(|error| self.said(&error))?;
            for part in &doubtful {
                lacking += u64::from(!self.is_copy(part, &mut found, ends)?);
            }
            if lacking > 0 {
                let url = self.bucket.options.url();
                let what = format!("{lacking} files of `{query}` are in {url} no more");
                (self.told)(Turn::Worse, &format!("{what}, or others are in their places"));
            }
            self.learn(found, now, ends)?;
        }
        self.looked = Some(now);
        Ok(())
    }

    /// Notes which files are there, and takes them out of what was found; forgets those that are nowhere, and says how
    /// many these are. Gives those that lie there only, under another mark than they had.
    fn compare(&self, query: &str, found: &mut BTreeMap<HourFile, Object>) -> io::Result<(u64, Vec<Part>)> {
        let store = &self.shared.store;
        let (mut lacking, mut doubtful) = (0, vec![]);
        for hour in store.hours_of_tails(query)? {
            // No file leaves the folder meanwhile.
            let _order = self.shared.order();
            for part in store.tails(query, hour)? {
                let Some(file) = HourFile::of(&part.path) else { continue };
                let object = found.get(&file).filter(|object| object.octets == part.octets);
                let is_there = object.map_or(Ok(false), |object| self.has_mark(&part, object))?;
                match (part.path.exists(), is_there) {
                    (true, true) => self.shared.moved().note(&part),
                    (true, false) => self.shared.moved().forget(&part),
                    (false, true) => {}
                    (false, false) if object.is_some() => doubtful.push(part),
                    (false, false) => {
                        store.remove_tail(&part)?;
                        lacking += 1;
                    }
                }
                if is_there {
                    found.remove(&file);
                }
            }
        }
        Ok((lacking, doubtful))
    }

    /// Whether an object is this file, by its mark; keeps that where nobody did, and it was there.
    fn has_mark(&self, part: &Part, object: &Object) -> io::Result<bool> {
        let store = &self.shared.store;
        if let Some(mark) = store.mark(part)? {
            return Ok(mark == object.mark || mark.is_empty() || object.mark.is_empty());
        }
        // Of one that lies here and was on its way, the content is compared when it is put there.
        let was_there = !part.path.exists() || self.shared.moved().has(part);
        if was_there {
            store.put_mark(part, &object.mark)?;
        }
        Ok(was_there)
    }

    /// Whether what is found in the place of a file that lies there only is a copy of it; else the file is forgotten.
    fn is_copy(
        &self,
        part: &Part,
        found: &mut BTreeMap<HourFile, Object>,
        ends: &AtomicBool,
    ) -> Result<bool, String> {
        let store = &self.shared.store;
        let file = HourFile::of(&part.path);
        let Some((file, object)) = file.and_then(|file| found.remove_entry(&file)) else { return Ok(false) };
        let tail = store.tail(part).map_err(|error| self.said(&error))?;
        let is_copy = self.bucket.tail(&file, object.octets, ends)?.is_some_and(|found| found == tail);
        let kept = if is_copy { store.put_mark(part, &object.mark) } else { store.remove_tail(part) };
        kept.map_err(|error| self.said(&error))?;
        if !is_copy {
            // It is learned of.
            found.insert(file, object);
        }
        Ok(is_copy)
    }

    /// Learns of files that are there and not known, as those of a disk that is lost.
    fn learn(
        &mut self,
        found: BTreeMap<HourFile, Object>,
        now: EventTime,
        ends: &AtomicBool,
    ) -> Result<(), String> {
        for (file, Object { octets, mark }) in found {
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
            if let Some(tail) = self.bucket.tail(&file, octets, ends)? {
                let store = &self.shared.store;
                let kept = store.put_tail(&part, &tail).and_then(|()| store.put_mark(&part, &mark));
                kept.map_err(|error| self.said(&error))?;
            } else {
                let what = format!("{} is no file of results", self.bucket.key(&file));
                (self.told)(Turn::Worse, &what);
            }
        }
        Ok(())
    }

    /// Puts all files there that are ready, the oldest first.
    fn put_all(&mut self, now: EventTime, ends: &AtomicBool) -> Result<(), String> {
        for (hour, query) in self.due(now)? {
            for part in self.ready(&query, hour, now) {
                if ends.load(Ordering::Acquire) {
                    return Ok(());
                }
                self.put(&query, &part, now, ends)?;
            }
        }
        Ok(())
    }

    /// The hours whose files may be ready, the oldest first.
    fn due(&self, now: EventTime) -> Result<Vec<(Hour, String)>, String> {
        let (store, keep) = (&self.shared.store, self.bucket.options.keep);
        let mut due = vec![];
        for query in store.queries().map_err(|error| self.said(&error))? {
            let hours = store.hours(&query).unwrap_or_else(|error| {
                self.leave_alone(&store.root().join(query_folder(&query)), &error, now);
                vec![]
            });
            let is_due = |hour: &Hour| is_over(*hour, now) && !is_too_old(*hour, keep, now);
            due.extend(hours.into_iter().filter(is_due).map(|hour| (hour, query.clone())));
        }
        due.sort();
        Ok(due)
    }

    /// The files of an hour that are not there yet and do not change any more, from now on.
    fn ready(&self, query: &str, hour: Hour, now: EventTime) -> Vec<Part> {
        let store = &self.shared.store;
        // Nobody merges or rolls up files meanwhile.
        let _order = self.shared.order();
        let listed = store.parts(query, hour).and_then(|parts| Ok((parts, store.loose_parts(query, hour)?)));
        let (mut parts, mut loose) = listed.unwrap_or_else(|error| {
            self.leave_alone(&store.hour_folder(query, hour), &error, now);
            (vec![], vec![])
        });
        let moved = self.shared.moved();
        let has_to_leave = moved.is_wanted(query, hour);
        parts.retain(|part| !moved.has(part) && !moved.unread.rests(&part.path, now));
        // What cannot be read is merged with nothing.
        loose.retain(|part| !moved.unread.rests(&part.path, now));
        drop(moved);
        let is_settled = to_merge(&loose, hour, now).is_none();
        let is_ready = |part: &Part| match self.freeze(query, part, (is_settled, has_to_leave)) {
            Ok(is_frozen) => is_frozen,
            Err(why) => {
                self.shared.moved().unread.note(&part.path, why, now);
                false
            }
        };
        parts.into_iter().filter(is_ready).collect()
    }

    /// Lets a file not change any more, if it is to go there; whether it does not.
    fn freeze(
        &self,
        query: &str,
        part: &Part,
        (is_settled, has_to_leave): (bool, bool),
    ) -> Result<bool, String> {
        let store = &self.shared.store;
        if store.has_tail(part) {
            return Ok(true);
        }
        let is_last = if is_settled { self.is_last(query, part) } else { Ok(false) };
        match is_last {
            Ok(true) => {}
            Ok(false) | Err(_) if has_to_leave => {}
            Ok(false) => return Ok(false),
            Err(error) => return Err(error.message().into_owned()),
        }
        let kept = tail_of(&part.path).and_then(|tail| store.put_tail(part, &tail));
        kept.map(|()| true).map_err(|error| said_of(&part.path, &error))
    }

    /// Leaves a file, or a folder of some, alone for a while.
    fn leave_alone(&self, path: &Path, why: &dyn Display, now: EventTime) {
        self.shared.moved().unread.note(path, said_of(path, why), now);
    }

    /// Whether no roll-up will take a file's place.
    fn is_last(&self, query: &str, part: &Part) -> QueryResult<bool> {
        let layout = Layout::read(self.shared.schema_of(query, part)?.as_ref());
        let rollup = &self.shared.options.rollup;
        Ok(rollup.iter().all(|one| rolls(layout.as_ref(), nanoseconds(one.window)) != Rolls::Yes))
    }

    /// Puts a file there; where another one has its name, it takes another one.
    fn put(&mut self, query: &str, part: &Part, now: EventTime, ends: &AtomicBool) -> Result<(), String> {
        let Some(file) = HourFile::of(&part.path) else { return Ok(()) };
        let store = &self.shared.store;
        let opened = File::open(&part.path).and_then(|content| Ok((content, store.mark(part)?)));
        let (content, known) = match opened {
            Ok(opened) => opened,
            // There was no room for it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => {
                self.leave_alone(&part.path, &error, now);
                return Ok(());
            }
        };
        match self.bucket.put(&file, (part.octets, content), known, ends)? {
            Put::There(mark) => self.keep(part, &mark),
            Put::Taken => {
                let what = format!("another file than this node's lies at {}", self.bucket.key(&file));
                (self.told)(Turn::Worse, &format!("{what}; give each node a folder of its own"));
                if let Err(error) = self.rename(query, part) {
                    self.leave_alone(&part.path, &error, now);
                }
                // What is there is learned of.
                self.looked = None;
            }
            Put::Unread(why) => self.leave_alone(&part.path, &why, now),
        }
        Ok(())
    }

    /// Notes that a file is there.
    fn keep(&self, part: &Part, mark: &str) {
        // No file leaves the folder meanwhile; of one that has, another one may get the name.
        let _order = self.shared.order();
        self.shared.moved().unread.forget(&part.path);
        if part.path.exists() {
            self.shared.moved().note(part);
            // Where there is no room for it, it is kept when the bucket is listed next.
            let _ = self.shared.store.put_mark(part, mark);
        }
    }

    /// Gives a file a number that none has.
    fn rename(&self, query: &str, part: &Part) -> io::Result<()> {
        let store = &self.shared.store;
        let _order = self.shared.order();
        let _turn = self.shared.waiting();
        let _changes = store.changes(query, part.hour);
        let path = store.next_path(query, part.hour, part.columns)?;
        // First: left behind, it would be taken for that of the file which has the name there.
        store.remove_tail(part)?;
        store.remove_sums(&part.path)?;
        fs::rename(&part.path, path)
    }

    /// Lets go of what is older than it is kept there.
    fn forget(&mut self, now: EventTime, ends: &AtomicBool) -> Result<(), String> {
        if self.bucket.options.keep.is_none() {
            return Ok(());
        }
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

/// What is wrong with a file, as a sentence.
fn said_of(path: &Path, why: &dyn Display) -> String {
    format!("{} cannot go to the bucket: {why}", path.display())
}
