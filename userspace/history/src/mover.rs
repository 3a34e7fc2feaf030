//! Moves files to a bucket, on a thread of its own: those that do not change any more, and those of hours that have to
//! leave the folder.
//!
//! What does not change any more has a tail, from then on; so it is put under the same key, whatever happens in between,
//! and is there once. When it is there, its mark is kept. Whether it is there still is known by what the bucket lists, at
//! the start and every hour, by name, octets and mark: files that it has and this disk does not know are known from then on.
//! Nobody waits for any of it; what cannot be done is tried again. A file that cannot be read, and an object that the store
//! does not take or give, are in the way of no other one.

use crate::bucket::{Bucket, Object, Put, Refused};
use crate::content::Content;
use crate::damage::is_readable;
use crate::layout::Layout;
use crate::place::{Hour, HourFile, query_folder};
use crate::policy::{is_over, is_too_old, nanoseconds, to_merge};
use crate::rollup::{Rolls, rolls};
use crate::shared::{Shared, reader};
use crate::store::Part;
use crate::tails::tail_of;
use crate::tries::{Before, Tries};
use crate::turns::Turns;
use crate::unread::{RESTS_FOR_NS, Wrong};
use bytes::Bytes;
use datafusion::common::Result as QueryResult;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
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
    /// When it was looked at all that the bucket has, and how long that is enough.
    looked: Option<(EventTime, i64)>,
    /// Files that are removed from the bucket, and since when nobody looks for them.
    forgotten: Vec<(EventTime, HourFile)>,
    /// Files that the bucket did not take or give when it was asked last: others come first.
    suspects: BTreeSet<PathBuf>,
    /// Objects that are none of ours although they are called so, and their marks.
    strangers: BTreeMap<PathBuf, String>,
    /// By query, files that were in the bucket, and are not, of which nobody was told.
    lacking: BTreeMap<String, u64>,
}

/// An object that is not known to be what lies here.
struct Unsure {
    part: Part,
    file: HourFile,
    object: Object,
    /// Whether a file that was there is known under its name.
    is_known: bool,
}

/// When something is done, and whether it is to end.
type Turning<'a> = (EventTime, &'a AtomicBool);

impl Moving {
    pub(crate) fn new(shared: Arc<Shared>, bucket: Arc<Bucket>, told: Told) -> Self {
        Self {
            shared,
            bucket,
            told,
            looked: None,
            forgotten: vec![],
            suspects: BTreeSet::new(),
            strangers: BTreeMap::new(),
            lacking: BTreeMap::new(),
        }
    }

    /// Does what is due, as long as it does not end.
    pub(crate) fn turn(&mut self, now: EventTime, ends: &AtomicBool) {
        // What cannot be listed or read there keeps nothing here: each file is compared when it is put.
        let looked = self.look((now, ends));
        self.tell_lacking();
        let put = self.put_all((now, ends)).and_then(|()| self.forget(now, ends));
        if !ends.load(Ordering::Acquire) {
            self.note(looked.and(put).err());
        }
    }

    /// Notes what is wrong, and tells which files cannot be read, as far as the outlet does not tell that by itself.
    fn note(&self, wrong: Option<String>) {
        let news = self.shared.moved().settle(wrong);
        news.iter().for_each(|what| (self.told)(Turn::Worse, what));
    }

    /// Compares what the bucket has with what is known of it, when that was long ago.
    fn look(&mut self, (now, ends): Turning<'_>) -> Result<(), String> {
        // A clock that was ahead and is set back is none that says when that was.
        let is_recent =
            |(looked, enough): (EventTime, i64)| (0..enough).contains(&now.0.saturating_sub(looked.0));
        if self.looked.is_some_and(is_recent) {
            return Ok(());
        }
        let mut queries: BTreeSet<String> = self.bucket.queries(ends)?.into_iter().collect();
        queries.extend(self.shared.store.all_queries().map_err(|error| self.said(&error))?);
        self.shared.moved().unread.begin_look();
        let (mut tries, mut last) = (Tries::default(), vec![]);
        for query in &queries {
            let found = self.bucket.files(query, ends)?;
            let unsure = self.compare(query, found).map_err(|error| self.said(&error))?;
            let is_suspect = |one: &Unsure| self.suspects.contains(&one.part.path);
            let (suspects, others): (Vec<Unsure>, Vec<Unsure>) = unsure.into_iter().partition(is_suspect);
            last.extend(suspects);
            self.read_all(others, (now, ends), &mut tries)?;
        }
        // Those that were not asked for of late come first.
        last.sort_by_key(|one: &Unsure| self.shared.moved().unread.since(&one.part.path));
        self.read_all(last, (now, ends), &mut tries)?;
        if ends.load(Ordering::Acquire) {
            return Ok(());
        }
        self.blame(tries, Wrong::NotGiven, now)?;
        let mut moved = self.shared.moved();
        moved.unread.end_look();
        self.looked = Some((now, if moved.unread.lacks_some() { RESTS_FOR_NS } else { LOOK_EVERY_NS }));
        self.suspects.retain(|path| path.exists() || moved.unread.wrong(path).is_some());
        Ok(())
    }

    /// Notes which files are there; forgets those that are nowhere. Gives those objects of which it is not known that they
    /// are what lies here, or lay here.
    fn compare(&mut self, query: &str, mut found: BTreeMap<HourFile, Object>) -> io::Result<Vec<Unsure>> {
        let store = &self.shared.store;
        let (mut lacking, mut unsure) = (0, vec![]);
        for hour in store.hours_of_tails(query)? {
            // No file leaves the folder meanwhile.
            let _order = self.shared.order();
            for part in store.tails(query, hour)? {
                let Some(file) = HourFile::of(&part.path) else { continue };
                let object = found.get(&file).filter(|object| object.octets == part.octets);
                let is_there = object.map_or(Ok(false), |object| self.has_mark(&part, object))?;
                let (is_here, object) = (part.path.exists(), object.cloned());
                if is_there {
                    found.remove(&file);
                }
                match (is_here, is_there, object) {
                    (true, true, _) => self.shared.moved().note(&part),
                    (true, false, _) => self.shared.moved().forget(&part),
                    (false, true, _) => {}
                    (false, false, Some(object)) => {
                        found.remove(&file);
                        unsure.push(Unsure { part, file, object, is_known: true });
                    }
                    (false, false, None) => {
                        store.remove_tail(&part)?;
                        lacking += 1;
                    }
                }
            }
        }
        let unknown = found.into_iter().filter_map(|(file, object)| {
            let part = store.part_of(&file, object.octets)?;
            // One of the same name that lies here is compared with it when it is put there.
            (!part.path.exists()).then_some(Unsure { part, file, object, is_known: false })
        });
        unsure.extend(unknown);
        self.note_lacking(query, lacking);
        Ok(unsure)
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

    /// Finds out what objects are, one after the other, unless the store is away.
    fn read_all(
        &mut self,
        unsure: Vec<Unsure>,
        (now, ends): Turning<'_>,
        tries: &mut Tries,
    ) -> Result<(), String> {
        for one in unsure {
            if ends.load(Ordering::Acquire) {
                return Ok(());
            }
            if tries.are_over() {
                self.shared.moved().unread.is_not_looked_at(&one.part.path);
                continue;
            }
            if !one.is_known && is_too_old(one.file.hour, self.bucket.options.keep, now) {
                self.forget_one(now, one.file);
                continue;
            }
            let mark = &one.object.mark;
            if !mark.is_empty() && self.strangers.get(&one.part.path) == Some(mark) {
                continue;
            }
            match self.bucket.tail(&one.file, one.object.octets, ends) {
                Ok(tail) => {
                    tries.worked();
                    self.suspects.remove(&one.part.path);
                    self.learn(one, tail).map_err(|error| self.said(&error))?;
                }
                // What is known of it stays so: whoever asks for its rows is told.
                Err(Refused { why, .. }) => self.suspect(one.part.path, why, tries),
            }
        }
        Ok(())
    }

    /// Learns what an object is by what it ends with: a copy of what was there, another file of results, as one of a disk
    /// that is lost, or none.
    fn learn(&mut self, one: Unsure, tail: Option<Bytes>) -> io::Result<()> {
        let Unsure { part, file, object, is_known } = one;
        let shared = Arc::clone(&self.shared);
        let store = &shared.store;
        if is_known {
            let known = store.tail(&part)?;
            if tail.as_ref().is_some_and(|tail| *tail == known) {
                return store.put_mark(&part, &object.mark);
            }
            store.remove_tail(&part)?;
            self.note_lacking(&file.query, 1);
        }
        let content =
            |tail: &Bytes| Content::away(Arc::clone(&self.bucket), file.clone(), object.octets, tail.clone());
        if let Some(tail) = tail.filter(|tail| reader(content(tail), &part).is_ok()) {
            self.strangers.remove(&part.path);
            return store.put_tail(&part, &tail).and_then(|()| store.put_mark(&part, &object.mark));
        }
        if self.strangers.insert(part.path, object.mark).is_none() {
            let what = format!("{} is no file of results", self.bucket.key(&file));
            (self.told)(Turn::Worse, &what);
        }
        Ok(())
    }

    fn note_lacking(&mut self, query: &str, files: u64) {
        if files > 0 {
            *self.lacking.entry(query.to_owned()).or_default() += files;
        }
    }

    /// Tells which files are in the bucket no more.
    fn tell_lacking(&mut self) {
        let url = self.bucket.options.url();
        for (query, lacking) in std::mem::take(&mut self.lacking) {
            let what = format!("{lacking} files of `{query}` are in {url} no more");
            (self.told)(Turn::Worse, &format!("{what}, or others are in their places"));
        }
    }

    /// Notes that the store did not take or give an object: others come first from now on.
    fn suspect(&mut self, path: PathBuf, why: String, tries: &mut Tries) {
        let wrong = self.shared.moved().unread.wrong(&path);
        let before = match wrong {
            Some(Wrong::NotTaken | Wrong::NotGiven) => Before::Blamed,
            Some(Wrong::Unread) | None if self.suspects.contains(&path) => Before::Failed,
            Some(Wrong::Unread) | None => Before::Nothing,
        };
        tries.failed(&path, why, before);
        self.suspects.insert(path);
    }

    /// Leaves those alone with which something is wrong; why the store is away, where it is.
    fn blame(&self, tries: Tries, wrong: Wrong, now: EventTime) -> Result<(), String> {
        let (of_objects, of_store) = tries.blamed();
        let mut moved = self.shared.moved();
        for (path, why) in of_objects {
            let object = HourFile::of(&path).filter(|_| wrong == Wrong::NotGiven);
            let why = match object.map(|file| self.bucket.key(&file)) {
                Some(key) => format!("{key} cannot be read: {why}"),
                None => said_of(&path, &why),
            };
            moved.unread.note_as(wrong, &path, why, now);
        }
        of_store.map_or(Ok(()), Err)
    }

    /// Puts all files there that are ready, the oldest first, and behind them those that were not taken before.
    fn put_all(&mut self, (now, ends): Turning<'_>) -> Result<(), String> {
        let (mut tries, mut last) = (Tries::default(), vec![]);
        for (hour, query) in self.due(now)? {
            if tries.are_over() {
                break;
            }
            let is_suspect = |part: &Part| self.suspects.contains(&part.path);
            let ready = self.ready(&query, hour, (now, ends)).into_iter();
            let (suspects, others): (Vec<Part>, Vec<Part>) = ready.partition(is_suspect);
            last.extend(suspects.into_iter().map(|part| (query.clone(), part)));
            for part in others {
                self.try_to_put((&query, &part), (now, ends), &mut tries);
            }
        }
        for (query, part) in &last {
            self.try_to_put((query, part), (now, ends), &mut tries);
        }
        if ends.load(Ordering::Acquire) {
            return Ok(());
        }
        self.blame(tries, Wrong::NotTaken, now)
    }

    /// Puts a file there, unless the store is away.
    fn try_to_put(&mut self, (query, part): (&str, &Part), (now, ends): Turning<'_>, tries: &mut Tries) {
        if ends.load(Ordering::Acquire) || tries.are_over() {
            return;
        }
        match self.put(query, part, now, ends) {
            Ok(true) => {
                tries.worked();
                self.suspects.remove(&part.path);
            }
            Ok(false) => {}
            Err(why) => self.suspect(part.path.clone(), why, tries),
        }
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
    fn ready(&self, query: &str, hour: Hour, (now, ends): Turning<'_>) -> Vec<Part> {
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
        parts.retain(|part| !moved.has(part));
        drop(moved);
        // What cannot be read is merged with nothing, and stays here.
        loose.retain(|part| is_readable(&self.shared, part, (now, ends)));
        parts.retain(|part| is_readable(&self.shared, part, (now, ends)));
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

    /// Puts a file there; where another one has its name, it takes another one. Says whether the store was asked.
    fn put(&mut self, query: &str, part: &Part, now: EventTime, ends: &AtomicBool) -> Result<bool, String> {
        let Some(file) = HourFile::of(&part.path) else { return Ok(false) };
        let store = &self.shared.store;
        let opened = File::open(&part.path).and_then(|content| Ok((content, store.mark(part)?)));
        let (content, known) = match opened {
            Ok(opened) => opened,
            // There was no room for it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => {
                self.leave_alone(&part.path, &error, now);
                return Ok(false);
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
        Ok(true)
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
        let (gone, wrong) = self.bucket.remove(&due, ends)?;
        self.forgotten.retain(|(_, file)| !gone.contains(file));
        // Those that the store does not let go of are tried again.
        wrong.map_or(Ok(()), Err)
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
