//! Looks at what is in a folder, a few files at a time.

use super::known::{FileId, Seen};
use std::fs::{self, DirEntry, ReadDir};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tapline_record::EventTime;

/// Between two looks; one that takes long is not repeated so soon.
const LOOK_EVERY: Duration = Duration::from_millis(200);
const PAUSE_TIMES: u32 = 10;

/// Files that are looked at before something else is done.
const FILES_A_TURN: usize = 128;

/// What a look found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Files that may be captures.
    pub(super) files: Vec<Seen>,
}

/// Looks at a folder, time after time.
#[derive(Debug)]
pub(super) struct Look {
    folder: PathBuf,
    entries: Option<ReadDir>,
    found: Found,
    /// When the look at hand began, and the time that it took so far.
    begun: Option<Instant>,
    taken: Duration,
    next: Option<Instant>,
}

impl Look {
    pub(super) fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            entries: None,
            found: Found::default(),
            begun: None,
            taken: Duration::ZERO,
            next: None,
        }
    }

    /// Looks on, where it is time to; gives what a look found that has come to its end.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub(super) fn go_on(&mut self) -> io::Result<Option<Found>> {
        let now = Instant::now();
        if self.entries.is_none() {
            if self.next.is_some_and(|next| now < next) {
                return Ok(None);
            }
            self.next = Some(now + LOOK_EVERY);
            self.entries = Some(fs::read_dir(&self.folder)?);
            (self.found, self.begun, self.taken) = (Found::default(), Some(now), Duration::ZERO);
        }
        let is_at_end = self.look_at_some();
        self.taken += now.elapsed();
        if !is_at_end {
            return Ok(None);
        }
        self.entries = None;
        self.next = self.begun.map(|begun| begun + LOOK_EVERY.max(self.taken * PAUSE_TIMES));
        Ok(Some(std::mem::take(&mut self.found)))
    }

    /// Looks at a few files; whether these were the last ones.
    fn look_at_some(&mut self) -> bool {
        let Self { entries: Some(entries), found, .. } = self else { return true };
        for _ in 0..FILES_A_TURN {
            match entries.next() {
                None => return true,
                // One that cannot be told is looked at the next time.
                Some(entry) => entry.ok().into_iter().for_each(|entry| found.add(&entry)),
            }
        }
        false
    }
}

impl Found {
    fn add(&mut self, entry: &DirEntry) {
        let name = entry.file_name();
        // Who copies something in may write it under such a name first: nobody knows whether it becomes a capture.
        if name.as_bytes().starts_with(b".") {
            return;
        }
        // A file may have gone since.
        let Ok(metadata) = fs::metadata(entry.path()) else { return };
        if !metadata.is_file() {
            return;
        }
        self.files.push(Seen {
            id: FileId { device: metadata.dev(), inode: metadata.ino() },
            name,
            octets: metadata.len(),
            altered: EventTime::from_parts(metadata.ctime(), metadata.ctime_nsec()),
        });
    }
}
