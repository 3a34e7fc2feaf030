//! Several capture files as one.
//!
//! Takes files, gives their frames by time: the next frame is the earliest of the files' next
//! frames, of equal ones that of the file named first. Within a file its own order is kept. One
//! file costs nothing extra. Whoever must know of which file a frame is reads turn by turn: a turn is what one
//! file gives before it is another one's turn.

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
    /// The files as they were named.
    paths: Vec<String>,
    /// Whether a read ends with the turn of a file.
    by_turns: bool,
    /// Time of the next frame of each file for which it is known, with the file's index; not used for
    /// a single file.
    heads: BinaryHeap<Reverse<(EventTime, usize)>>,
    /// Files whose next frame is to be looked for.
    unknown: Vec<usize>,
}

impl CaptureSet {
    /// Opens all `paths`.
    ///
    /// # Errors
    /// The first that cannot be opened, as for [`CaptureFile::open`], or standard input given twice.
    pub fn open<P: AsRef<Path>>(paths: &[P]) -> Result<Self, OpenError> {
        open::check_standard_input(paths)?;
        let files: Result<_, _> = paths.iter().map(|path| CaptureFile::open(path.as_ref())).collect();
        let paths = paths.iter().map(|path| path.as_ref().display().to_string()).collect();
        Ok(Self { paths, ..Self::new(files?) })
    }

    /// Merges files from where they stand.
    #[must_use]
    pub fn new(files: Vec<CaptureFile>) -> Self {
        let unknown = (0..files.len()).collect();
        let paths = files.iter().map(|file| file.name().to_owned()).collect();
        Self { files, paths, by_turns: false, heads: BinaryHeap::new(), unknown }
    }

    /// Lets each read end with the turn of a file, so that all of its frames are of the one that
    /// [`CaptureSet::turn`] names before it.
    pub const fn read_by_turns(&mut self) {
        self.by_turns = true;
    }

    /// The place of the file that the next frame is of; `None` at the end, and while a pipe has had none for a while.
    pub fn turn(&mut self) -> Option<usize> {
        if let [file] = self.files.as_slice() {
            return file.end().is_none().then_some(0);
        }
        let heads = self.knows_heads().then_some(&self.heads)?;
        heads.peek().map(|Reverse((_, file))| *file)
    }

    /// Lends up to `frames_max` (at least 1) next frames to `visit`; returns how many.
    ///
    /// May return fewer before the end, and none at the end or when a pipe has had none for a while:
    /// [`CaptureSet::is_at_end`] tells which.
    pub fn read(&mut self, frames_max: usize, visit: &mut impl FnMut(&Frame<'_>)) -> usize {
        match self.files.as_mut_slice() {
            [file] => file.read(frames_max, visit),
            _ => self.read_merged(frames_max, visit),
        }
    }

    /// Whether every file is read to its end.
    #[must_use]
    pub fn is_at_end(&self) -> bool {
        self.files.iter().all(|file| file.end().is_some())
    }

    /// The files, in the order in which they were named.
    #[must_use]
    pub fn files(&self) -> &[CaptureFile] {
        &self.files
    }

    /// The files as they were named, in the same order.
    #[must_use]
    pub fn paths(&self) -> &[String] {
        &self.paths
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
        let mut again = self.again()?;
        let mut scan = TimeScan::EMPTY;
        while again.read(usize::MAX, &mut |frame| scan.add(frame.ts)) > 0 {}
        Some(scan)
    }

    /// The same files from their beginning, without disturbing this reader; `None` if one is a pipe.
    #[must_use]
    pub fn again(&self) -> Option<Self> {
        self.files.iter().map(CaptureFile::again).collect::<Option<_>>().map(Self::new)
    }

    fn read_merged(&mut self, frames_max: usize, visit: &mut impl FnMut(&Frame<'_>)) -> usize {
        let mut frames = 0;
        while frames < frames_max
            && self.knows_heads()
            && let Some(Reverse((_, index))) = self.heads.pop()
        {
            let latest = turn_end(&self.heads, index);
            let until = Until { frames_max: (frames_max - frames) as u64, latest };
            let (more, next) = self.files[index].read_until(until, visit);
            frames += more;
            match next {
                Some(next) => self.heads.push(Reverse((next, index))),
                None => self.unknown.push(index),
            }
            if self.by_turns {
                break;
            }
        }
        frames
    }

    /// Looks for the next frame of each file; `false` while a pipe has none, so that the earliest of all
    /// cannot be told.
    fn knows_heads(&mut self) -> bool {
        let Self { files, heads, unknown, .. } = self;
        unknown.retain(|&index| match files[index].next_time() {
            Some(next) => {
                heads.push(Reverse((next, index)));
                false
            }
            None => files[index].end().is_none(),
        });
        unknown.is_empty()
    }
}

/// Latest time that the file at `index` may deliver before it is another one's turn.
fn turn_end(others: &BinaryHeap<Reverse<(EventTime, usize)>>, index: usize) -> EventTime {
    match others.peek() {
        None => EventTime::MAX,
        Some(Reverse((time, other))) if index < *other => *time,
        Some(Reverse((time, _))) => time.plus(-1),
    }
}
