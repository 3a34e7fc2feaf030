//! A capture of a folder while it is read.

use super::known::FileId;
use std::os::unix::fs::MetadataExt as _;
use tapline_capture::{Counters, FollowedFile};
use tapline_decode::Frame;
use tapline_record::EventTime;

/// Frames that were read by an earlier run and are passed over before something else is done.
const PASSED_OVER_MAX: u64 = 1024;

/// An open capture.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) id: FileId,
    pub(super) file: FollowedFile,
    /// Time of the next frame, where it is there.
    pub(super) head: Option<EventTime>,
    /// Frames that were read of it in all, and those that could not be delivered; an earlier run may have read more
    /// than this one has passed over yet.
    pub(super) frames: u64,
    pub(super) undecodable: u64,
    /// Its octets, and when it was altered last, before it was looked at last: what came since is not read.
    pub(super) before: Option<(u64, EventTime)>,
}

impl Reading {
    /// A file of which so many frames were read, and so many could not be delivered.
    pub(super) fn new(id: FileId, file: FollowedFile, frames: u64, undecodable: u64) -> Self {
        let head = file.first();
        let mut reading = Self { id, file, head, frames, undecodable, before: None };
        reading.note_before();
        reading
    }

    /// Frames that are to be passed over.
    pub(super) fn left_to_pass(&self) -> u64 {
        self.frames.saturating_sub(self.file.counters().frames)
    }

    /// Lends up to so many frames that are no later than `latest`; gives what was read that no earlier run had.
    pub(super) fn read(
        &mut self,
        frames_max: usize,
        latest: EventTime,
        visit: &mut impl FnMut(&Frame<'_>),
    ) -> Counters {
        let left = self.left_to_pass().min(PASSED_OVER_MAX) as usize;
        if left > 0 {
            self.head = self.file.read_until(left, EventTime::MAX, &mut |_| {}).1;
        } else {
            self.head = self.file.read_until(frames_max, latest, visit).1;
        }
        if self.head.is_none() && self.file.end().is_none() {
            self.head = self.file.next_time();
        }
        self.count()
    }

    /// Looks whether the next frame is there; gives what was found on the way.
    pub(super) fn look(&mut self) -> Counters {
        self.note_before();
        self.head = self.file.next_time();
        self.count()
    }

    /// Notes how the file is before it is looked at.
    fn note_before(&mut self) {
        if let Ok(metadata) = self.file.metadata() {
            let altered = EventTime::from_parts(metadata.ctime(), metadata.ctime_nsec());
            self.before = Some((metadata.len(), altered));
        }
    }

    /// What is new among what was read.
    fn count(&mut self) -> Counters {
        let Counters { frames, undecodable, .. } = self.file.counters();
        let news = Counters {
            frames: frames.saturating_sub(self.frames),
            undecodable: undecodable.saturating_sub(self.undecodable),
            ..Counters::default()
        };
        self.frames = self.frames.max(frames);
        self.undecodable = self.undecodable.max(undecodable);
        news
    }
}
