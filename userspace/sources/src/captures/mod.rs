//! A folder of captures that appear, as one source of frames.
//!
//! Takes a folder in which somebody rotates captures, or puts them; gives the frames of all of them, those of an
//! earlier time first, each once. A file that is written still is followed. It is done with when a later one of its
//! series is there and it is left alone, or when it is gone. What was read of each file is remembered, so that
//! another run goes on behind it; and of each capture by its content, so that one that is delivered again counts once.
//!
//! ```text
//!          look ──► Unbegun ──first frame──► Waiting ──its turn──► Open ──its end──► Done
//!                      ▲                                                              │
//!                      └──────────────── it grew, or is another capture ◄─────────────┘
//! ```

mod delivered;
mod known;
mod look;
mod memory;
mod notices;
mod reading;
mod take_up;
mod time;

pub use memory::FolderMemory;

use crate::clock::Clock;
use crate::notice::Notice;
use crate::options::SourceOptions;
use delivered::Delivered;
use known::{FileId, Known, Stage};
use look::Look;
use notices::FolderNotices;
use reading::Reading;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tapline_capture::{Beginning, Counters, End, FollowedFile};
use tapline_decode::Frame;
use tapline_record::{EventTime, StreamId};
use time::FolderTime;

/// How long it waits where nothing came.
const WAIT: Duration = Duration::from_millis(10);

/// Frames that are read before something else is done: what is compressed takes its time.
const FRAMES_A_TURN: usize = 1024;

/// Between two looks at the ends of open files.
const POLL_EVERY: Duration = Duration::from_millis(5);

/// So long files wait at most for others that appear with them and are of an earlier time.
const GATHER: Duration = Duration::from_secs(1);

/// Files that are open at once.
const OPEN_MAX: usize = 64;

/// Between two times that what was read is noted.
const NOTE_EVERY: Duration = Duration::from_secs(1);

/// What was read of a folder, as whoever opens it keeps it.
#[derive(Clone, Debug, Default)]
pub struct SharedMemory(Arc<MemoryCell>);

#[derive(Debug, Default)]
struct MemoryCell {
    memory: Mutex<FolderMemory>,
    /// Whether somebody reads the folder.
    is_open: AtomicBool,
}

impl SharedMemory {
    /// What was read by some moment of the last second, or by the end.
    pub fn lock(&self) -> MutexGuard<'_, FolderMemory> {
        self.0.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether somebody reads the folder.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.0.is_open.load(Ordering::Acquire)
    }
}

/// A folder of captures.
#[derive(Debug)]
pub struct CaptureFolder {
    name: String,
    folder: PathBuf,
    clock: Arc<dyn Clock>,
    look: Look,
    /// Why the folder could not be read the last time.
    trouble: Option<String>,
    files: BTreeMap<FileId, Known>,
    /// Those whose first frame is to be looked for.
    to_begin: VecDeque<FileId>,
    /// Those that may be captures which were read before, or are being read elsewhere.
    doubtful: Vec<FileId>,
    /// Captures that were read, by their content; and whether others were forgotten for them.
    delivered: Delivered,
    has_forgotten: bool,
    /// Those that wait for their turn, by time and name; since when there are some.
    waiting: BTreeMap<(EventTime, OsString), FileId>,
    waiting_since: Instant,
    /// Whether all files that appeared so far are there to be chosen from.
    is_settled: bool,
    open: Vec<Reading>,
    polled: Instant,
    /// Octets of all files that are captures or may become some, but for hidden ones, and how many they are.
    extent: (u64, u64),
    counters: Counters,
    /// What was found in files that are open no longer, whether or not it was read before.
    found: Counters,
    /// About so many frames were in what was deleted before it was read, as far as was not told yet.
    missing: u64,
    time: FolderTime,
    /// Streams that nobody but folders of captures carries.
    alone_in: Vec<StreamId>,
    memory: SharedMemory,
    noted: Instant,
    is_changed: bool,
    is_full: bool,
    notices: FolderNotices,
}

impl CaptureFolder {
    /// Opens a folder, of which so much is known from before.
    ///
    /// # Errors
    /// What stands in the way, with the mend.
    pub fn open(
        name: &str,
        folder: &Path,
        memory: &SharedMemory,
        options: &SourceOptions,
    ) -> Result<Self, String> {
        fs::read_dir(folder).map_err(|error| match error.kind() {
            ErrorKind::NotFound => {
                format!("there is no folder {}; make it, or name another one", folder.display())
            }
            _ => format!("{}: {error}", folder.display()),
        })?;
        if memory.0.is_open.swap(true, Ordering::Acquire) {
            return Err("whoever read it before has not ended yet".to_owned());
        }
        let before = memory.lock().clone();
        let files = before.files.into_iter().map(|(id, file)| (id, Known::of_memory(file))).collect();
        let now = Instant::now();
        Ok(Self {
            name: name.to_owned(),
            folder: folder.to_owned(),
            clock: Arc::clone(&options.clock),
            look: Look::new(folder),
            trouble: None,
            files,
            to_begin: VecDeque::new(),
            doubtful: vec![],
            delivered: before.delivered,
            has_forgotten: false,
            waiting: BTreeMap::new(),
            waiting_since: now,
            is_settled: false,
            open: vec![],
            polled: now,
            extent: (0, 0),
            counters: Counters::default(),
            found: Counters::default(),
            missing: 0,
            time: FolderTime::new(before.newest, options.packets_lateness_ns()),
            alone_in: vec![],
            memory: memory.clone(),
            noted: now,
            is_changed: false,
            is_full: false,
            notices: FolderNotices::new(),
        })
    }

    /// Nobody but folders of captures carries these streams: how far time has come in them, they alone know.
    #[must_use]
    pub fn alone_in(mut self, streams: &[StreamId]) -> Self {
        self.alone_in = streams.to_vec();
        self
    }

    /// Tells this first.
    #[must_use]
    pub fn telling(mut self, what: Option<String>) -> Self {
        let now = self.clock.now();
        what.into_iter().for_each(|what| self.notices.tell(what, now));
        self
    }

    /// What its rows name as their source.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// What was read since it was opened.
    pub(crate) const fn counters(&self) -> Counters {
        self.counters
    }

    /// About so many frames were in what was deleted before it was read, since the last call: nobody knows, and what is
    /// read has frames of some length.
    pub(crate) const fn newly_missing(&mut self) -> u64 {
        std::mem::replace(&mut self.missing, 0)
    }

    /// The latest time of a frame.
    pub(crate) const fn newest(&self) -> EventTime {
        self.time.newest()
    }

    /// How far a stream has come.
    pub(crate) fn watermark(&self, stream: StreamId) -> EventTime {
        self.time.watermark(self.is_alone_in(stream))
    }

    /// Whether nobody but folders of captures carries a stream.
    pub(crate) fn is_alone_in(&self, stream: StreamId) -> bool {
        self.alone_in.contains(&stream)
    }

    /// Whether nothing has come for so long that time goes on without.
    pub(crate) fn is_silent(&self) -> bool {
        self.time.is_silent()
    }

    /// What somebody should hear of.
    pub(crate) fn notice(&mut self) -> Option<Notice> {
        self.notices.next()
    }

    /// Lends up to so many frames; gives how many.
    pub(crate) fn read(&mut self, frames_max: usize, visit: &mut impl FnMut(&Frame<'_>)) -> usize {
        let mut has_moved = self.look_on();
        has_moved |= self.begin_some();
        self.poll();
        let frames_max = frames_max.min(FRAMES_A_TURN);
        let (mut frames, mut latest) = (0, EventTime::MIN);
        let mut visit = |frame: &Frame<'_>| {
            latest = latest.max(frame.ts);
            visit(frame);
        };
        while frames < frames_max
            && let Some((place, until)) = self.next_turn()
        {
            let news = self.open[place].read(frames_max - frames, until, &mut visit);
            self.count(news);
            frames += news.frames as usize;
            has_moved = true;
            if self.open[place].file.end().is_some() {
                self.close(place);
            } else if news.frames == 0 {
                // What was read before is passed over bit by bit.
                break;
            }
        }
        self.pass_time(frames, latest, has_moved);
        if has_moved {
            self.is_changed = true;
        } else {
            sleep(WAIT);
        }
        if self.is_changed && self.noted.elapsed() >= NOTE_EVERY {
            self.note();
        }
        frames
    }

    /// No more is read: looks at all open files once more, and notes what was read.
    pub(crate) fn end(&mut self) {
        self.look_at_open();
        self.note();
    }

    /// Notes what was read, where whoever keeps it finds it.
    fn note(&mut self) {
        (self.noted, self.is_changed) = (Instant::now(), false);
        self.note_delivered(|_| true);
        for reading in &self.open {
            let Some(known) = self.files.get_mut(&reading.id) else { continue };
            (known.memory.frames, known.memory.undecodable) = (reading.frames, reading.undecodable);
            // As far as is known nothing more comes; if it has grown by then, it is gone on with.
            let is_read = reading.file.position_octets() >= known.memory.octets;
            known.memory.is_done = reading.head.is_none() && is_read;
        }
        let files = self.files.iter().map(|(id, known)| (*id, known.memory.clone())).collect();
        let delivered = self.delivered.clone();
        let memory = FolderMemory { newest: self.time.newest(), files, delivered };
        *self.memory.lock() = memory;
    }

    fn count(&mut self, news: Counters) {
        self.counters += news;
    }

    fn pass_time(&mut self, frames: usize, latest: EventTime, has_moved: bool) {
        let now = self.clock.now();
        if frames > 0 {
            self.time.come(latest, now);
        } else if self.is_any_next() {
            self.time.expect(now);
        } else if has_moved {
            self.time.stir(now);
        } else {
            self.time.be_silent(now);
        }
    }

    /// Whether a frame is there that comes next.
    fn is_any_next(&self) -> bool {
        !self.waiting.is_empty() || self.open.iter().any(|reading| reading.head.is_some())
    }

    /// Tells something, of a file or of all.
    fn tell(&mut self, what: String) {
        let now = self.clock.now();
        self.notices.tell(what, now);
    }

    fn path_of(&self, id: FileId) -> Option<PathBuf> {
        self.files.get(&id).map(|known| self.folder.join(&known.memory.name))
    }

    /// The open file whose turn it is, and until when; a file that waits is opened when its turn has come.
    fn next_turn(&mut self) -> Option<(usize, EventTime)> {
        while self.is_turn_of_waiting() && self.may_open() {
            if let Some((_, id)) = self.waiting.pop_first() {
                self.begin_reading(id);
            }
        }
        let heads =
            || self.open.iter().enumerate().filter_map(|(place, reading)| Some((reading.head?, place)));
        let (_, place) = heads().min()?;
        let others = heads().filter(|(_, other)| *other != place).map(|(head, _)| head);
        let waiting = self.waiting.keys().next().map(|key| key.0).filter(|_| self.is_settled);
        Some((place, others.chain(waiting).min().unwrap_or(EventTime::MAX)))
    }

    /// Whether a file that waits has an earlier frame than all that are open.
    fn is_turn_of_waiting(&self) -> bool {
        let Some(((first, _), _)) = self.waiting.first_key_value() else { return false };
        self.open.iter().filter_map(|reading| reading.head).all(|head| *first < head)
    }

    /// Whether a file that waits may be opened now.
    fn may_open(&mut self) -> bool {
        let is_gathered =
            self.is_settled || self.waiting_since.elapsed() >= GATHER && self.to_begin.is_empty();
        is_gathered && (self.open.len() < OPEN_MAX || self.close_idle())
    }

    /// Closes the open file that was left alone for the longest, if there is one; when it grows, it is opened anew.
    fn close_idle(&mut self) -> bool {
        let changed = |reading: &Reading| self.files.get(&reading.id).map(|known| known.changed);
        let idle = self.open.iter().enumerate().filter(|(_, reading)| reading.head.is_none());
        let Some((place, _)) = idle.min_by_key(|(_, reading)| changed(reading)) else { return false };
        let reading = self.open.remove(place);
        self.leave(&reading);
        true
    }

    fn begin_reading(&mut self, id: FileId) {
        let Some(file) = self.open_file(id, false) else {
            // What took its place is looked at by itself.
            if let Some(known) = self.files.get_mut(&id)
                && matches!(known.stage, Stage::Waiting(_))
                && self.folder.join(&known.memory.name).exists()
            {
                (known.stage, known.is_tried) = (Stage::Unbegun, false);
            }
            return;
        };
        let Some(known) = self.files.get_mut(&id) else { return };
        (known.stage, known.memory.first) = (Stage::Open, file.first());
        let (frames, undecodable) = (known.memory.frames, known.memory.undecodable);
        self.open.push(Reading::new(id, file, frames, undecodable));
    }

    /// Looks, now and then, whether open files have grown.
    fn poll(&mut self) {
        if self.polled.elapsed() < POLL_EVERY {
            return;
        }
        self.polled = Instant::now();
        self.look_at_open();
    }

    /// Looks whether open files have grown.
    fn look_at_open(&mut self) {
        for place in (0..self.open.len()).rev() {
            if self.open[place].head.is_none() {
                let news = self.open[place].look();
                self.count(news);
                if self.open[place].file.end().is_some() {
                    self.close(place);
                }
            }
        }
    }

    /// Closes an open file that has come to its end.
    fn close(&mut self, place: usize) {
        let reading = self.open.remove(place);
        self.leave(&reading);
        self.is_changed = true;
        let id = reading.id;
        if !reading.file.is_overwritten() {
            return self.tell_end(id, &reading.file);
        }
        let path = self.path_of(id);
        let Some(known) = self.files.get_mut(&id) else { return };
        let (octets, is_passed) = (known.held_octets, reading.left_to_pass() == 0);
        known.begin_anew();
        let is_told = std::mem::replace(&mut known.is_told, true);
        self.to_begin.push_back(id);
        let Some(path) = path else { return };
        if !is_passed || reading.file.position_octets() < octets {
            self.lose_overwritten(&path, octets, reading.frames);
        }
        if !is_told {
            self.tell(format!(
                "{} is overwritten by one capture after the other, so that the last frames of each may be missed; let each \
                 have a name of its own, such as by -w 'NAME-%s.pcap' of tcpdump",
                path.display()
            ));
        }
    }

    /// Remembers how far an open file was read that is open no longer.
    fn leave(&mut self, reading: &Reading) {
        self.found += reading.file.counters();
        self.note_left(reading);
        let Some(known) = self.files.get_mut(&reading.id) else { return };
        let memory = &mut known.memory;
        (memory.frames, memory.undecodable, memory.is_done) = (reading.frames, reading.undecodable, true);
        known.stage = Stage::Done;
        if let Some((octets, altered)) = reading.before {
            (memory.octets, memory.altered) = (octets, altered);
        }
    }

    /// Tells how a file ended, where that was not at its end.
    fn tell_end(&mut self, id: FileId, file: &FollowedFile) {
        let Some(path) = self.path_of(id) else { return };
        let (path, frames) = (path.display(), file.counters().frames);
        let what = match file.end() {
            None | Some(End::Complete) => return,
            Some(End::CutOff { at_octet }) => format!(
                "{path} ends within a frame, at octet {at_octet}; the {frames} frames before it count"
            ),
            Some(End::Damaged { at_octet, reason }) => format!(
                "{path} is damaged at octet {at_octet}: {reason}; the {frames} frames before it count"
            ),
        };
        let is_told =
            self.files.get_mut(&id).is_some_and(|known| std::mem::replace(&mut known.is_told, true));
        if !is_told {
            self.tell(what);
        }
    }
}

impl Drop for CaptureFolder {
    fn drop(&mut self) {
        self.memory.0.is_open.store(false, Ordering::Release);
    }
}

/// Whether what an earlier run remembers of a folder tells what was written there since: captures are deleted oldest
/// first, so that nothing is missed while one of those that were known is there. Rings use the places of files again:
/// one is the same only if it begins so, too.
#[must_use]
pub fn is_continued(folder: &Path, memory: &FolderMemory) -> bool {
    let known: HashMap<u64, Beginning> =
        memory.files.iter().filter_map(|(id, file)| Some((id.inode, file.beginning?))).collect();
    let mut entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.any(|entry| {
        let path = entry.path();
        let inode = fs::metadata(&path).map(|metadata| metadata.ino());
        inode.is_ok_and(|inode| known.get(&inode).is_some_and(|beginning| beginning.is_at(&path)))
    })
}

#[cfg(test)]
mod tests;
