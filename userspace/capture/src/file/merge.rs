//! Several capture files as one.
//!
//! Takes files, gives their frames by time: the next frame is the earliest of the files' next
//! frames, of equal ones that of the file named first. Within a file its own order is kept. One
//! file costs nothing extra.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::Path;

use tapline_decode::Frame;
use tapline_record::EventTime;

use super::parser::Until;
use super::{CaptureFile, Counters, OpenError, TimeScan, open};

/// Capture files, read as one in the order of time.
#[derive(Debug)]
pub struct CaptureSet {
    files: Vec<CaptureFile>,
    /// Time of the next frame of each file that has one, with the file's index; filled at the first
    /// read, and not used for a single file.
    heads: Option<BinaryHeap<Reverse<(EventTime, usize)>>>,
}

impl CaptureSet {
    /// Opens all `paths`.
    ///
    /// # Errors
    /// The first that cannot be opened, as for [`CaptureFile::open`], or standard input given twice.
    pub fn open<P: AsRef<Path>>(paths: &[P]) -> Result<Self, OpenError> {
        if paths.iter().filter(|path| open::is_standard_input(path.as_ref())).count() > 1 {
            return Err(OpenError::StandardInputTwice);
        }
        let files: Result<_, _> = paths.iter().map(|path| CaptureFile::open(path.as_ref())).collect();
        Ok(Self::new(files?))
    }

    /// Merges files from where they stand.
    #[must_use]
    pub const fn new(files: Vec<CaptureFile>) -> Self {
        Self { files, heads: None }
    }

    /// Lends up to `frames_max` (at least 1) next frames to `visit`; returns how many, 0 = end.
    ///
    /// May return fewer before the end.
    pub fn read(&mut self, frames_max: usize, visit: &mut impl FnMut(&Frame<'_>)) -> usize {
        match self.files.as_mut_slice() {
            [file] => file.read(frames_max, visit),
            _ => self.read_merged(frames_max, visit),
        }
    }

    /// The files, in the order in which they were named.
    #[must_use]
    pub fn files(&self) -> &[CaptureFile] {
        &self.files
    }

    /// What was read of all files so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let mut sum = Counters::default();
        self.files.iter().for_each(|file| sum += file.counters());
        sum
    }

    /// Octets read of all files as they are stored.
    #[must_use]
    pub fn position_octets(&self) -> u64 {
        self.files.iter().map(CaptureFile::position_octets).sum()
    }

    /// Octets of all files as they are stored; `None` if one of them is a pipe.
    #[must_use]
    pub fn total_octets(&self) -> Option<u64> {
        self.files.iter().map(CaptureFile::total_octets).sum()
    }

    /// Reads the times of all frames, from the beginning, in the order of [`CaptureSet::read`];
    /// `None` if one of the files is a pipe, which can be read once only.
    #[must_use]
    pub fn scan_times(&self) -> Option<TimeScan> {
        let files: Option<_> = self.files.iter().map(CaptureFile::again).collect();
        let mut again = Self::new(files?);
        let mut scan = TimeScan::EMPTY;
        while again.read(usize::MAX, &mut |frame| scan.add(frame.ts)) > 0 {}
        Some(scan)
    }

    fn read_merged(&mut self, frames_max: usize, visit: &mut impl FnMut(&Frame<'_>)) -> usize {
        let mut heads = self.heads.take().unwrap_or_else(|| heads(&mut self.files));
        let mut frames = 0;
        while frames < frames_max
            && let Some(Reverse((_, index))) = heads.pop()
        {
            let file = &mut self.files[index];
            let until = Until { frames_max: (frames_max - frames) as u64, latest: turn_end(&heads, index) };
            let (more, next) = file.read_until(until, visit);
            frames += more;
            if let Some(next) = next.or_else(|| file.next_time()) {
                heads.push(Reverse((next, index)));
            }
        }
        self.heads = Some(heads);
        frames
    }
}

fn heads(files: &mut [CaptureFile]) -> BinaryHeap<Reverse<(EventTime, usize)>> {
    let times = files.iter_mut().enumerate();
    times.filter_map(|(index, file)| Some(Reverse((file.next_time()?, index)))).collect()
}

/// Latest time that the file at `index` may deliver before it is another one's turn.
fn turn_end(others: &BinaryHeap<Reverse<(EventTime, usize)>>, index: usize) -> EventTime {
    match others.peek() {
        None => EventTime::MAX,
        Some(Reverse((time, other))) if index < *other => *time,
        Some(Reverse((time, _))) => time.plus(-1),
    }
}
