//! A capture file that somebody may write still.
//!
//! Takes a path, gives frames as far as they are whole: the rest of one that is half written comes when it is there.
//! When nobody writes any more, the file is read to its end, and only then it is said how that was. It is read
//! through a buffer, not mapped: it grows, and may be cut.
//!
//! A file is told from others by its first octets, of which the first frame is part: a writer that takes an old name
//! or an old file for a new capture begins with others. Whoever does that while the file is read is noticed before
//! anything of the new capture counts.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::octets::Compression;
use super::open::OpenError;
use super::parser::Until;
use super::pcap::{FILE_HEADER_OCTETS, Pcap};
use super::pcapng::Pcapng;
use super::{CaptureFile, Counters, End};
use tapline_decode::Frame;
use tapline_record::EventTime;

/// Octets at the beginning of a file that tell it from others, at most.
const BEGINNING_OCTETS_MAX: usize = 4096;

/// Octets without which nothing can be said of a file.
const MAGIC_OCTETS: usize = 4;

/// What a file begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beginning {
    /// So many octets, as they are stored.
    pub octets: u32,
    /// CRC-32 of them.
    pub checksum: u32,
}

impl Beginning {
    /// That of a file, as far as it is there.
    fn of(file: &File, octets_max: usize) -> io::Result<Self> {
        let mut start = [0; BEGINNING_OCTETS_MAX];
        let start = &mut start[..octets_max.min(BEGINNING_OCTETS_MAX)];
        let mut octets = 0;
        while octets < start.len() {
            match file.read_at(&mut start[octets..], octets as u64) {
                Ok(0) => break,
                Ok(more) => octets += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let checksum = crc32fast::hash(&start[..octets]);
        Ok(Self { octets: u32::try_from(octets).unwrap_or(u32::MAX), checksum })
    }

    /// Whether a file begins so, as far as can be seen.
    fn is_of(&self, file: &File) -> bool {
        Self::of(file, self.octets as usize).is_ok_and(|found| found == *self)
    }

    /// Whether the file at `path` begins so.
    #[must_use]
    pub fn is_at(&self, path: &Path) -> bool {
        File::open(path).is_ok_and(|file| self.is_of(&file))
    }
}

/// Octets before some place in a file that tell it from others, at most.
const ENDING_OCTETS_MAX: u64 = 4096;

/// What is before some place in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// The place: so many octets are before it.
    pub octets: u64,
    /// CRC-32 of the last ones of them.
    pub checksum: u32,
}

impl Ending {
    /// That of a file, if so many octets are there.
    fn of(file: &File, octets: u64) -> io::Result<Self> {
        let mut end = [0; ENDING_OCTETS_MAX as usize];
        let length = octets.min(ENDING_OCTETS_MAX);
        let end = &mut end[..length as usize];
        file.read_exact_at(end, octets - length)?;
        Ok(Self { octets, checksum: crc32fast::hash(end) })
    }

    /// Whether the file at `path` has these octets there, and maybe more behind them.
    #[must_use]
    pub fn is_at(&self, path: &Path) -> bool {
        File::open(path).and_then(|file| Self::of(&file, self.octets)).is_ok_and(|found| found == *self)
    }
}

/// What is known of a file beside its octets.
#[derive(Debug, Default)]
struct Growth {
    /// Whether nobody writes it any more, so that its end is the end.
    is_whole: AtomicBool,
    /// Whether another capture was found in its place.
    is_overwritten: AtomicBool,
}

/// The octets of a file from the first on, as far as they are there.
struct Grown {
    file: File,
    offset: u64,
    beginning: Beginning,
    growth: Arc<Growth>,
}

impl Read for Grown {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let octets = self.file.read_at(buffer, self.offset)?;
        // Looked at afterwards, so that what was read before is of the old capture.
        let is_cut = octets == 0 && self.file.metadata()?.len() < self.offset;
        if is_cut || !self.beginning.is_of(&self.file) {
            self.growth.is_overwritten.store(true, Ordering::Relaxed);
            return Err(io::Error::other("another capture was written in its place"));
        }
        self.offset += octets as u64;
        if octets == 0 && !buffer.is_empty() && !self.growth.is_whole.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(octets)
    }
}

/// A capture file that is followed from its beginning.
#[derive(Debug)]
pub struct FollowedFile {
    file: CaptureFile,
    handle: File,
    growth: Arc<Growth>,
    beginning: Beginning,
    first: Option<EventTime>,
}

impl FollowedFile {
    /// Opens `path`, which `is_whole` if nobody writes it any more; `None` while its first frame is not there as a
    /// whole.
    ///
    /// # Errors
    /// As for [`CaptureFile::open`], and of a file that is whole when it is empty.
    pub fn open(path: &Path, is_whole: bool) -> Result<Option<Self>, OpenError> {
        let name = path.display().to_string();
        let said = |error| OpenError::unreadable(&name, error);
        let handle = File::open(path).map_err(said)?;
        let octets = handle.metadata().map_err(said)?.len();
        if octets < FILE_HEADER_OCTETS as u64 && !is_whole {
            return check_start(&name, &handle).map(|()| None);
        }
        let beginning = Beginning::of(&handle, BEGINNING_OCTETS_MAX).map_err(said)?;
        // What is there now has to do: nobody waits for the rest here.
        let growth = Arc::new(Growth { is_whole: AtomicBool::new(true), ..Growth::default() });
        let file = handle.try_clone().map_err(said)?;
        let grown = Grown { file, offset: 0, beginning, growth: Arc::clone(&growth) };
        let mut file = match CaptureFile::from_reader(&name, grown) {
            Err(OpenError::Empty { .. }) if !is_whole => return Ok(None),
            opened => opened?,
        };
        let has_header = file.source.available().len() >= FILE_HEADER_OCTETS;
        let first = file.next_time();
        if !is_whole && (first.is_none() || !has_header) && !matches!(file.end, Some(End::Damaged { .. })) {
            return Ok(None);
        }
        growth.is_whole.store(is_whole, Ordering::Relaxed);
        Ok(Some(Self { file, handle, growth, beginning, first }))
    }

    /// Lends up to `frames_max` (at least 1) next frames to `visit`, those that are no later than `latest`; returns
    /// how many, and the time of the next one where it is known.
    pub fn read_until(
        &mut self,
        frames_max: usize,
        latest: EventTime,
        visit: &mut impl FnMut(&Frame<'_>),
    ) -> (usize, Option<EventTime>) {
        self.file.read_until(Until { frames_max: frames_max as u64, latest }, visit)
    }

    /// Time of the next frame; `None` at the end, and while it is not there as a whole.
    pub fn next_time(&mut self) -> Option<EventTime> {
        self.file.next_time()
    }

    /// Nobody writes it any more: what is there is all.
    pub fn finish(&mut self) {
        self.growth.is_whole.store(true, Ordering::Relaxed);
    }

    /// How it ended; `None` as long as frames may follow.
    #[must_use]
    pub const fn end(&self) -> Option<&End> {
        self.file.end()
    }

    /// Whether it ended since another capture was written in its place.
    #[must_use]
    pub fn is_overwritten(&self) -> bool {
        self.growth.is_overwritten.load(Ordering::Relaxed)
    }

    /// What was read so far.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        self.file.counters()
    }

    /// Octets of the file as it is stored that were read.
    #[must_use]
    pub fn position_octets(&self) -> u64 {
        self.file.position_octets()
    }

    /// Time of its first frame; `None` of a file without any.
    #[must_use]
    pub const fn first(&self) -> Option<EventTime> {
        self.first
    }

    /// What it begins with.
    #[must_use]
    pub const fn beginning(&self) -> Beginning {
        self.beginning
    }

    /// What it has before some place; `None` where that cannot be read.
    #[must_use]
    pub fn ending(&self, octets: u64) -> Option<Ending> {
        Ending::of(&self.handle, octets).ok()
    }

    /// What the operating system knows of it, under whichever name, or none any more.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn metadata(&self) -> io::Result<Metadata> {
        self.handle.metadata()
    }
}

/// Refuses a file that begins as no capture does, as far as it is there.
fn check_start(name: &str, file: &File) -> Result<(), OpenError> {
    let mut start = [0; FILE_HEADER_OCTETS];
    let octets = file.read_at(&mut start, 0).map_err(|error| OpenError::unreadable(name, error))?;
    let start = &start[..octets];
    let may_be_one = octets < MAGIC_OCTETS
        || Compression::of(start).is_some()
        || Pcap::begin(start).is_some()
        || Pcapng::begin(start).is_some();
    if may_be_one { Ok(()) } else { Err(OpenError::foreign(name, start)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::write::GzEncoder;
    use std::fs;
    use std::io::Write as _;

    /// A capture of so many frames, a second apart, of as many octets as their number.
    fn capture(first: u32, frames: u32) -> Vec<u8> {
        let mut octets = vec![];
        let words = [0xa1b2_c3d4, 2 | 4 << 16, 0, 0, 65_535, 1];
        words.iter().for_each(|word: &u32| octets.extend(word.to_le_bytes()));
        for frame in first..first + frames {
            [frame, 0, 60, 60].iter().for_each(|word: &u32| octets.extend(word.to_le_bytes()));
            octets.extend([0; 60]);
        }
        octets
    }

    fn open(path: &Path) -> Option<FollowedFile> {
        FollowedFile::open(path, false).unwrap()
    }

    /// The seconds of the frames that are there now.
    fn read(file: &mut FollowedFile) -> Vec<i64> {
        let mut seconds = vec![];
        let mut visit = |frame: &Frame<'_>| seconds.push(frame.ts.0 / 1_000_000_000);
        while file.read_until(2, EventTime::MAX, &mut visit).0 > 0 {}
        seconds
    }

    #[test]
    fn every_frame_comes_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.pcap");
        let octets = capture(1, 20);
        let mut writer = File::create(&path).unwrap();
        let (mut followed, mut seconds, mut written) = (None, vec![], 0);
        for chunk in octets.chunks(7) {
            writer.write_all(chunk).unwrap();
            written += chunk.len();
            followed = followed.or_else(|| open(&path));
            followed.iter_mut().for_each(|file| seconds.extend(read(file)));
            assert_eq!(seconds.len(), written.saturating_sub(24) / 76, "after {written} octets");
        }
        let mut followed = followed.unwrap();
        assert_eq!(followed.end(), None);
        writer.write_all(&[1, 2, 3]).unwrap();
        followed.finish();
        seconds.extend(read(&mut followed));
        assert_eq!(seconds, (1..=20).collect::<Vec<i64>>());
        assert_eq!(followed.end(), Some(&End::CutOff { at_octet: octets.len() as u64 }));
        assert_eq!(followed.first(), Some(EventTime(1_000_000_000)));
    }

    #[test]
    fn what_is_compressed_is_followed_too() {
        let folder = tempfile::tempdir().unwrap();
        for zstd in [false, true] {
            let path = folder.path().join(if zstd { "a.zst" } else { "a.gz" });
            let mut packed = vec![];
            if zstd {
                let mut encoder = zstd::Encoder::new(&mut packed, 3).unwrap();
                encoder.write_all(&capture(1, 5000)).unwrap();
                encoder.finish().unwrap();
            } else {
                let mut encoder = GzEncoder::new(&mut packed, flate2::Compression::fast());
                encoder.write_all(&capture(1, 5000)).unwrap();
                encoder.finish().unwrap();
            }
            let mut writer = File::create(&path).unwrap();
            let (mut followed, mut frames) = (None, 0);
            for chunk in packed.chunks(97) {
                writer.write_all(chunk).unwrap();
                followed = followed.or_else(|| open(&path));
                followed.iter_mut().for_each(|file| frames += read(file).len());
            }
            let mut followed = followed.or_else(|| open(&path)).unwrap();
            followed.finish();
            frames += read(&mut followed).len();
            assert_eq!((frames, followed.end()), (5000, Some(&End::Complete)), "zstd: {zstd}");
        }
    }

    #[test]
    fn what_is_before_a_place_is_the_same_in_what_goes_on_behind_it() {
        let folder = tempfile::tempdir().unwrap();
        let [path, longer, other] = ["a.pcap", "b.pcap", "c.pcap"].map(|name| folder.path().join(name));
        for (path, octets) in [(&path, capture(1, 90)), (&longer, capture(1, 95)), (&other, capture(2, 95))] {
            fs::write(path, octets).unwrap();
        }
        let followed = open(&path).unwrap();
        let ending = followed.ending(capture(1, 90).len() as u64).unwrap();
        assert!(ending.is_at(&path) && ending.is_at(&longer) && !ending.is_at(&other));
        assert!(followed.ending(ending.octets + 1).is_none(), "so much is not there");
        fs::write(&path, &capture(1, 90)[..100]).unwrap();
        assert!(!ending.is_at(&path) && followed.ending(100).unwrap().is_at(&longer));
    }

    #[test]
    fn another_capture_in_its_place_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.pcap");
        fs::write(&path, capture(1, 3)).unwrap();
        let mut followed = open(&path).unwrap();
        assert_eq!(read(&mut followed), [1, 2, 3]);
        let beginning = followed.beginning();
        fs::write(&path, capture(50, 9)).unwrap();
        assert!(read(&mut followed).is_empty() && followed.is_overwritten() && !beginning.is_at(&path));
        let mut followed = open(&path).unwrap();
        assert_eq!(read(&mut followed).len(), 9);
        // One that begins the same, and is shorter than what was read.
        fs::write(&path, &capture(50, 9)[..200]).unwrap();
        assert!(read(&mut followed).is_empty() && followed.is_overwritten());
    }

    #[test]
    fn what_is_none_or_nothing_yet() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.pcap");
        let opened = |octets: &[u8], is_whole| {
            fs::write(&path, octets).unwrap();
            FollowedFile::open(&path, is_whole)
                .map(|opened| opened.is_some())
                .map_err(|error| error.to_string())
        };
        assert_eq!(opened(b"", false), Ok(false));
        assert!(
            opened(b"", true)
                .unwrap_err()
                .ends_with("is empty; a capture without packets has a header at least")
        );
        assert_eq!(opened(&capture(1, 1)[..99], false), Ok(false));
        assert_eq!(opened(&capture(1, 1)[..24], true), Ok(true), "a capture without frames");
        assert!(opened(b"hello", false).unwrap_err().contains("it looks like a text file"));
        assert_eq!(opened(b"hel", false), Ok(false));
        assert!(opened(&[b'x'; 40], false).unwrap_err().contains("it looks like a text file"));
        let mut damaged = capture(1, 2);
        damaged[32..36].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(opened(&damaged, false), Ok(true), "what is wrong with it is said at its end");
    }
}
