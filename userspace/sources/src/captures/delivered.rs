//! Captures by their content, so that one that is delivered again counts once.
//!
//! A capture that was read is known by the time of its first frame, by what it begins with, and by what it ended with
//! when it was read that far. A file that begins so, and has the same octets at that place, is the same capture, under
//! whichever name and wherever on the device: it is gone on with behind what was read. One that is shorter is looked at
//! again while somebody writes it.

use super::CaptureFolder;
use super::known::{FileId, Stage};
use super::reading::Reading;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use tapline_capture::{Beginning, Ending};
use tapline_record::EventTime;

/// Captures that are remembered by their content.
const CAPTURES_MAX: usize = 4096;

/// A file that grows no more for so long is left alone, in nanoseconds.
pub(super) const LEFT_ALONE_NS: i64 = 2_000_000_000;

/// How far a capture was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DeliveredCapture {
    /// What it begins with.
    pub(super) beginning: Beginning,
    /// What it ended with by then.
    pub(super) ending: Ending,
    /// Frames that were read of it.
    pub(super) frames: u64,
    /// Frames of it that could not be delivered.
    pub(super) undecodable: u64,
    /// When that was, by our clock.
    pub(super) read: EventTime,
}

/// The captures that were read last, by the time of their first frame and by what they begin with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Delivered(BTreeMap<(EventTime, u32), DeliveredCapture>);

/// Whether some capture that was read is the one in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Nothing,
    /// One begins so, and is longer.
    Longer,
    Same(DeliveredCapture),
}

impl Delivered {
    /// All of them, with the times of their first frames.
    pub(super) fn iter(&self) -> impl Iterator<Item = (EventTime, &DeliveredCapture)> {
        self.0.iter().map(|((first, _), capture)| (*first, capture))
    }

    /// Remembers one; says whether another one was forgotten for it.
    pub(super) fn add(&mut self, first: EventTime, capture: DeliveredCapture) -> bool {
        self.0.insert((first, capture.beginning.checksum), capture);
        if self.0.len() <= CAPTURES_MAX {
            return false;
        }
        let oldest = self.0.iter().min_by_key(|(_, capture)| capture.read).map(|(key, _)| *key);
        oldest.is_some_and(|oldest| self.0.remove(&oldest).is_some())
    }

    /// Remembers how far a file was read whose frames were all read that are there; says whether another one was
    /// forgotten for it.
    fn note(&mut self, reading: &Reading, now: EventTime) -> bool {
        let (Some(first), Some((octets, _))) = (reading.file.first(), reading.before) else { return false };
        let beginning = reading.file.beginning();
        let known = self.0.get(&(first, beginning.checksum));
        let is_known = known.is_some_and(|known| known.ending.octets >= octets);
        if is_known || reading.file.is_overwritten() || reading.left_to_pass() > 0 {
            return false;
        }
        let Some(ending) = reading.file.ending(octets) else { return false };
        let (frames, undecodable) = (reading.frames, reading.undecodable);
        self.add(first, DeliveredCapture { beginning, ending, frames, undecodable, read: now })
    }

    /// The capture that is in the file at `path`, of so many octets and with a first frame of this time; of several, the
    /// one that was read furthest.
    fn find(&self, first: EventTime, path: &Path, octets: u64) -> Found {
        let mut found = Found::Nothing;
        for capture in self.0.range((first, 0)..=(first, u32::MAX)).map(|(_, capture)| capture) {
            if !capture.beginning.is_at(path) {
                continue;
            }
            let is_further = match found {
                Found::Same(before) => capture.ending.octets > before.ending.octets,
                Found::Nothing | Found::Longer => true,
            };
            if capture.ending.octets > octets {
                found = if found == Found::Nothing { Found::Longer } else { found };
            } else if is_further && capture.ending.is_at(path) {
                found = Found::Same(*capture);
            }
        }
        found
    }
}

/// What is to be done with a file whose first frame is there.
pub(super) enum Recognised {
    /// It is to be read.
    New,
    /// Whether it is to be read shows later.
    Later,
    /// What was read of it before is to be passed over.
    Again(DeliveredCapture),
}

impl CaptureFolder {
    /// Whether a file is a capture that was read before, further than this file was: one that takes the place of a
    /// file that is gone looks as if that one had grown.
    pub(super) fn recognise(&mut self, id: FileId) -> Recognised {
        let Some((path, known)) = self.path_of(id).zip(self.files.get(&id)) else { return Recognised::New };
        let Some(first) = known.memory.first else { return Recognised::New };
        let (octets, changed) = (known.memory.octets, known.changed);
        let read = known.memory.frames + known.memory.undecodable;
        if self.is_being_read(first, id, &path) {
            return Recognised::Later;
        }
        self.note_delivered(|reading| reading.file.first() == Some(first));
        let is_left = self.clock.now().0.saturating_sub(changed.0) >= LEFT_ALONE_NS;
        match self.delivered.find(first, &path, octets) {
            Found::Same(before) if before.frames + before.undecodable > read => Recognised::Again(before),
            Found::Longer if !is_left => Recognised::Later,
            Found::Same(_) | Found::Longer | Found::Nothing => Recognised::New,
        }
    }

    /// Whether another file that begins as the one at `path` is to be read, or not read to its end.
    fn is_being_read(&self, first: EventTime, id: FileId, path: &Path) -> bool {
        let mut open = self.open.iter().filter(|reading| reading.id != id && reading.head.is_some());
        let is_open =
            open.any(|reading| reading.file.first() == Some(first) && reading.file.beginning().is_at(path));
        let waiting = self.waiting.range((first, OsString::new())..);
        let mut waiting = waiting.take_while(|((time, _), _)| *time == first).map(|(_, other)| *other);
        let begins_so = |other: FileId| {
            let beginning = self.files.get(&other).and_then(|known| known.memory.beginning);
            beginning.is_some_and(|beginning| beginning.is_at(path))
        };
        is_open || waiting.any(|other| other != id && begins_so(other))
    }

    /// Remembers how far these of the open files were read of which all frames were read that are there.
    pub(super) fn note_delivered(&mut self, is_meant: impl Fn(&Reading) -> bool) {
        let now = self.clock.now();
        let Self { open, delivered, .. } = self;
        let idle = open.iter().filter(|reading| reading.head.is_none() && is_meant(reading));
        let forgotten = idle.filter(|reading| delivered.note(reading, now)).count();
        self.tell_forgotten(forgotten > 0);
    }

    /// The same of one that is open no longer.
    pub(super) fn note_left(&mut self, reading: &Reading) {
        let is_forgotten = self.delivered.note(reading, self.clock.now());
        self.tell_forgotten(is_forgotten);
    }

    /// Tells once that captures are forgotten.
    fn tell_forgotten(&mut self, is_forgotten: bool) {
        if is_forgotten && !std::mem::replace(&mut self.has_forgotten, true) {
            self.tell(format!(
                "of {} the last {CAPTURES_MAX} captures are remembered: older ones count again if they are delivered again",
                self.folder.display()
            ));
        }
    }

    /// Takes a file for one that was read before; says whether that is all of it.
    pub(super) fn go_on_behind(&mut self, id: FileId, before: DeliveredCapture) -> bool {
        let Some(known) = self.files.get_mut(&id) else { return true };
        (known.memory.frames, known.memory.undecodable) = (before.frames, before.undecodable);
        let is_all = known.memory.octets == before.ending.octets;
        if is_all {
            (known.stage, known.memory.is_done) = (Stage::Done, true);
            let path = self.folder.join(&known.memory.name);
            self.tell(format!(
                "{} is a capture that was read before: its {} frames count once",
                path.display(),
                before.frames
            ));
        }
        is_all
    }
}
