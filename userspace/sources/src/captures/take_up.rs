//! What becomes of files that a look finds in a folder, until they are read, and when they are gone.

use super::CaptureFolder;
use super::delivered::{LEFT_ALONE_NS, Recognised};
use super::known::{FileId, FileMemory, Known, Seen, Stage, plain_name, series};
use super::look::Found;
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Instant;
use tapline_capture::{FollowedFile, OpenError};
use tapline_record::EventTime;

/// Files of which something is known, and among them those that are not there any more.
const FILES_MAX: usize = 65_536;
const GONE_MAX: usize = 4096;

/// Files that are begun before something else is done.
const BEGUN_A_TURN: usize = 16;

/// Octets of a frame where none was read yet, and those that a capture has besides for each.
const TYPICAL_OCTETS: u64 = 500;
const RECORD_OCTETS: u64 = 16;

impl CaptureFolder {
    /// Looks at the folder, a few files at a time; whether something moved in it.
    pub(super) fn look_on(&mut self) -> bool {
        match self.look.go_on() {
            Ok(None) => false,
            Ok(Some(found)) => {
                if self.trouble.take().is_some() {
                    self.tell(format!("{} can be read again", self.folder.display()));
                }
                self.take_up(&found)
            }
            Err(error) => {
                let trouble =
                    format!("{} cannot be read: {error}; it is looked at again", self.folder.display());
                if self.trouble.replace(trouble.clone()).as_ref() != Some(&trouble) {
                    self.tell(trouble);
                }
                false
            }
        }
    }

    /// Takes up what a look found; whether something moved since the last one.
    fn take_up(&mut self, found: &Found) -> bool {
        self.files.values_mut().for_each(|known| known.is_there = false);
        let mut is_any_new = false;
        for seen in &found.files {
            is_any_new |= self.take_up_file(seen);
        }
        // Files that appear together are put in order before the first one is read.
        self.is_settled = !is_any_new && self.to_begin.is_empty();
        self.finish_some();
        std::mem::take(&mut self.doubtful).into_iter().for_each(|id| self.begin(id, false));
        if self.to_begin.is_empty() {
            self.let_go();
        }
        let mut extent: (u64, u64) = (0, 0);
        for seen in found.files.iter().filter(|seen| !self.files.get(&seen.id).is_some_and(Known::is_foreign))
        {
            extent = (extent.0.wrapping_add(seen.octets), extent.1 + 1);
        }
        std::mem::replace(&mut self.extent, extent) != extent
    }

    /// Takes up a file that was seen; whether it is new.
    fn take_up_file(&mut self, seen: &Seen) -> bool {
        let now = self.clock.now();
        let Some(known) = self.files.get_mut(&seen.id) else { return self.add(seen) };
        known.is_there = true;
        let memory = &mut known.memory;
        let is_changed = (memory.octets, memory.altered) != (seen.octets, seen.altered);
        let has_grown = seen.octets > memory.octets;
        if is_changed {
            known.changed = now;
        }
        if matches!(known.stage, Stage::Waiting(_)) && memory.name != seen.name {
            self.waiting.remove(&(known.begins(), known.memory.name.clone()));
            self.waiting.insert((known.begins(), seen.name.clone()), seen.id);
        }
        let memory = &mut known.memory;
        if memory.name != seen.name {
            memory.name.clone_from(&seen.name);
            known.series = series(&seen.name);
        }
        (memory.octets, memory.altered) = (seen.octets, seen.altered);
        known.held_octets = known.held_octets.max(seen.octets);
        let has_read = known.memory.beginning;
        match known.stage {
            Stage::Unbegun if is_changed || !known.is_tried => self.to_begin.push_back(seen.id),
            Stage::Done if is_changed => {
                let path = self.folder.join(&seen.name);
                let is_same = has_read.is_some_and(|beginning| beginning.is_at(&path));
                if !is_same {
                    known.begin_anew();
                }
                if !is_same || has_grown {
                    (known.stage, known.memory.is_done) = (Stage::Unbegun, false);
                    self.to_begin.push_back(seen.id);
                }
            }
            _ => {}
        }
        false
    }

    /// Gets to know a file.
    fn add(&mut self, seen: &Seen) -> bool {
        if self.files.len() >= FILES_MAX {
            if !std::mem::replace(&mut self.is_full, true) {
                let folder = self.folder.display();
                self.tell(format!(
                    "{folder} holds more than {FILES_MAX} files; more are read when some of them are gone"
                ));
            }
            return false;
        }
        self.files.insert(seen.id, Known::new(seen));
        self.to_begin.push_back(seen.id);
        true
    }

    /// Looks for the first frames of a few files; whether there were some to look at.
    pub(super) fn begin_some(&mut self) -> bool {
        let count = self.to_begin.len().min(BEGUN_A_TURN);
        for _ in 0..count {
            if let Some(id) = self.to_begin.pop_front() {
                self.begin(id, false);
            }
        }
        count > 0
    }

    /// Looks for the first frame of a file.
    fn begin(&mut self, id: FileId, is_whole: bool) {
        // It may have been asked for twice.
        if self.files.get(&id).is_none_or(|known| known.stage != Stage::Unbegun) {
            return;
        }
        let Some(file) = self.open_file(id, is_whole) else { return };
        let Some(known) = self.files.get_mut(&id) else { return };
        let Some(first) = file.first() else {
            known.stage = Stage::Done;
            known.memory.is_done = true;
            return self.tell_end(id, &file);
        };
        known.memory.first = Some(first);
        if self.is_copy(id) {
            return;
        }
        match self.recognise(id) {
            Recognised::New => {}
            Recognised::Later => return self.doubtful.push(id),
            Recognised::Again(before) => {
                if self.go_on_behind(id, before) {
                    return;
                }
            }
        }
        let Some(known) = self.files.get_mut(&id) else { return };
        known.stage = Stage::Waiting(first);
        if self.waiting.is_empty() {
            self.waiting_since = Instant::now();
        }
        self.waiting.insert((first, known.memory.name.clone()), id);
    }

    /// Whether a file is one that was read, compressed: then it is done with, or gone on with where the other was left.
    fn is_copy(&mut self, id: FileId) -> bool {
        let Some(known) = self.files.get(&id) else { return false };
        let (name, first) = (plain_name(&known.memory.name), known.memory.first);
        if name == known.memory.name {
            return false;
        }
        let is_plain = |other: &Known| other.memory.name == name && other.memory.first == first;
        let Some(plain) = self.files.iter().find(|(other, known)| **other != id && is_plain(known)) else {
            return false;
        };
        let (plain, stage, memory) = (*plain.0, plain.1.stage, plain.1.memory.clone());
        let is_read = matches!(stage, Stage::Open | Stage::Done);
        if let Some(known) = self.files.get_mut(&id) {
            (known.memory.frames, known.memory.undecodable) = (memory.frames, memory.undecodable);
            if is_read {
                (known.stage, known.memory.is_done) = (Stage::Done, true);
            }
        }
        if !is_read {
            // It is about to go.
            self.waiting.remove(&(memory.first.unwrap_or(memory.altered), memory.name));
            if let Some(known) = self.files.get_mut(&plain) {
                (known.stage, known.memory.is_done) = (Stage::Done, true);
            }
        }
        is_read
    }

    /// Opens a file from its beginning; `None` where that cannot be, or has to wait for more of it.
    pub(super) fn open_file(&mut self, id: FileId, is_whole: bool) -> Option<FollowedFile> {
        let path = self.path_of(id)?;
        let opened = FollowedFile::open(&path, is_whole);
        let known = self.files.get_mut(&id)?;
        known.is_tried = true;
        let file = match opened {
            Ok(file) => file?,
            // The next look tells.
            Err(OpenError::Missing { .. }) => return None,
            Err(error) => {
                // When it is altered, it is looked at again.
                (known.stage, known.memory.is_done) = (Stage::Done, true);
                if !std::mem::replace(&mut known.is_told, true) {
                    self.tell(error.to_string());
                }
                return None;
            }
        };
        if file.metadata().is_ok_and(|metadata| metadata.ino() != id.inode) {
            return None;
        }
        if known.memory.beginning.is_some_and(|beginning| !beginning.is_at(&path)) {
            let lost = known.is_begun().then_some((known.held_octets, known.memory.frames));
            known.begin_anew();
            if let Some((octets, frames)) = lost {
                self.lose_overwritten(&path, octets, frames);
            }
        }
        let known = self.files.get_mut(&id)?;
        known.memory.beginning = Some(file.beginning());
        Some(file)
    }

    /// Lets files come to their end that nobody writes any more.
    fn finish_some(&mut self) {
        let now = self.clock.now();
        let mut latest: BTreeMap<&[u8], EventTime> = BTreeMap::new();
        for known in self.files.values().filter(|known| known.is_there) {
            let begins = latest.entry(&known.series).or_insert(EventTime::MIN);
            *begins = known.begins().max(*begins);
        }
        let is_over = |known: &Known| {
            let is_left = now.0.saturating_sub(known.changed.0) >= LEFT_ALONE_NS;
            let has_successor = latest.get(&*known.series).is_some_and(|last| *last > known.begins());
            !known.is_there || is_left && has_successor
        };
        for reading in self.open.iter_mut().filter(|reading| reading.head.is_none()) {
            if self.files.get(&reading.id).is_none_or(is_over) {
                reading.file.finish();
            }
        }
        let unbegun = self.files.iter().filter(|(_, known)| known.stage == Stage::Unbegun && known.is_there);
        let over: Vec<FileId> = unbegun
            .filter(|(id, known)| is_over(known) && !self.to_begin.contains(id))
            .map(|(id, _)| *id)
            .collect();
        over.into_iter().for_each(|id| self.begin(id, true));
    }

    /// Lets go of files that are not there any more, and tells of those that were not read.
    fn let_go(&mut self) {
        let gone = self.files.iter().filter(|(_, known)| !known.is_there && known.stage != Stage::Open);
        let gone: Vec<FileId> = gone.map(|(id, _)| *id).collect();
        let surplus = gone.len().saturating_sub(GONE_MAX);
        for (number, id) in gone.into_iter().enumerate() {
            let Some(known) = self.files.get(&id) else { continue };
            if known.is_begun() {
                self.lose(id);
            } else if number < surplus || known.stage != Stage::Done {
                self.files.remove(&id);
            }
        }
        self.is_full &= self.files.len() >= FILES_MAX;
    }

    /// Tells of a file that is gone before it was read.
    fn lose(&mut self, id: FileId) {
        let Some(known) = self.files.remove(&id) else { return };
        let begins = known.begins();
        let FileMemory { name, octets, frames, .. } = known.memory;
        let path = self.folder.join(&name);
        self.waiting.remove(&(begins, name));
        self.missing += self.frames_in(octets).saturating_sub(frames);
        self.tell(format!(
            "{} was deleted or moved away before it was read to its end: {octets} octets, of which {frames} frames were \
             read; let it be kept for longer",
            path.display(),
        ));
    }

    /// Tells of a capture of so many octets that was overwritten when so many frames of it were read.
    pub(super) fn lose_overwritten(&mut self, path: &Path, octets: u64, frames: u64) {
        self.missing += self.frames_in(octets).saturating_sub(frames);
        self.tell(format!(
            "{} was overwritten before it was read to its end: {octets} octets, of which {frames} frames were read; let \
             it be kept for longer",
            path.display(),
        ));
    }

    /// About how many frames so many octets hold, by what was read.
    fn frames_in(&self, octets: u64) -> u64 {
        let mut found = self.found;
        self.open.iter().for_each(|reading| found += reading.file.counters());
        let mean = found.captured_octets.checked_div(found.frames).unwrap_or(TYPICAL_OCTETS);
        octets / (mean + RECORD_OCTETS)
    }
}
