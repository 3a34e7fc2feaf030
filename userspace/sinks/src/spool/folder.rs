//! The files of a spool.
//!
//! ```text
//! 00000000000000000017.spool   records, one behind the other, behind eight octets that say what this is
//! position                     of the oldest file, how far its records are safe with whoever gets them
//! lock                         held by the one that writes here
//! ```
//! A file is only ever appended to, by one process; a new start begins a new file. What a crash left of a record at the
//! end of a file is not read. Where the position was not written any more, records are sent again.

use super::record::{FRAME, first, query_of};
use crate::hidden_file::sync_folder;
use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// What a file begins with.
const MAGIC: &[u8; 8] = b"TAPSPL01";
/// Octets before the first record.
pub(super) const HEADER: u64 = MAGIC.len() as u64;
const EXTENSION: &str = "spool";
/// Octets that are read at once, unless a record is longer.
const READ_OCTETS: u64 = 4 << 20;

/// A folder that is ours.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    position: File,
    _lock: File,
}

/// A file of records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) number: u64,
    /// Octets up to the end of its last whole record.
    pub(super) octets: u64,
    /// Where the first record begins that is not safe yet.
    pub(super) safe: u64,
    /// Records from there on, by query.
    pub(super) waiting: BTreeMap<String, u64>,
}

impl Segment {
    pub(super) const fn new(number: u64) -> Self {
        Self { number, octets: HEADER, safe: HEADER, waiting: BTreeMap::new() }
    }

    /// A record of so many octets was appended.
    pub(super) fn add(&mut self, query: &str, octets: u64) {
        self.octets += octets;
        match self.waiting.get_mut(query) {
            Some(results) => *results += 1,
            None => drop(self.waiting.insert(query.to_owned(), 1)),
        }
    }

    /// The next record is safe, or given up.
    pub(super) fn remove(&mut self, query: &str) {
        if let Some(results) = self.waiting.get_mut(query) {
            *results = results.saturating_sub(1);
        }
    }

    /// Whether nothing of it waits.
    pub(super) const fn is_done(&self) -> bool {
        self.safe >= self.octets
    }
}

impl Folder {
    /// Makes the folder, takes it, and gives the files with records that wait, oldest first.
    pub(super) fn open(path: &Path) -> Result<(Self, VecDeque<Segment>), String> {
        let said = |error: io::Error| said(path, &error);
        fs::create_dir_all(path).map_err(said)?;
        let ours = |name: &str| {
            let path = path.join(name);
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
            file.map_err(said)
        };
        let lock = ours("lock")?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => {
                format!(
                    "{} is the spool of another sink or node; give each a folder of its own",
                    path.display()
                )
            }
            TryLockError::Error(error) => said(error),
        })?;
        let folder = Self { path: path.to_owned(), position: ours("position")?, _lock: lock };
        let segments = folder.segments().map_err(said)?;
        Ok((folder, segments))
    }

    /// A new file for records.
    pub(super) fn create(&self, number: u64) -> io::Result<File> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(self.file(number))?;
        file.write_all(MAGIC)?;
        sync_folder(&self.path);
        Ok(file)
    }

    /// Octets of a file from one place on, up to another one at most; all where the first record needs so many.
    pub(super) fn read(&self, number: u64, from: u64, to: u64) -> io::Result<Vec<u8>> {
        let mut file = File::open(self.file(number))?;
        let mut some = |octets: u64| {
            let mut read = vec![];
            file.seek(SeekFrom::Start(from))?;
            io::Read::take(&mut file, octets).read_to_end(&mut read)?;
            Ok::<_, io::Error>(read)
        };
        let all = to.saturating_sub(from);
        let read = some(all.min(READ_OCTETS))?;
        if all > READ_OCTETS && first(&read).is_none() { some(all) } else { Ok(read) }
    }

    /// A number that no file has, nor had when the position was noted.
    pub(super) fn next_number(&self, segments: &VecDeque<Segment>) -> u64 {
        let noted = self.noted().map_or(0, |(number, _)| number);
        segments.back().map_or(0, |segment| segment.number).max(noted) + 1
    }

    /// Removes a file; one that is gone already is no matter.
    pub(super) fn remove(&self, number: u64) {
        let _ = fs::remove_file(self.file(number));
    }

    /// Notes how far the records of the oldest file are safe.
    pub(super) fn note(&self, number: u64, safe: u64) -> io::Result<()> {
        let place = [number.to_le_bytes(), safe.to_le_bytes()].concat();
        let sum = crc32fast::hash(&place).to_le_bytes();
        self.position.write_all_at(&[&place[..], &sum].concat(), 0)
    }

    fn file(&self, number: u64) -> PathBuf {
        self.path.join(format!("{number:020}.{EXTENSION}"))
    }

    /// What was noted last, unless nothing was, or it is damaged.
    fn noted(&self) -> Option<(u64, u64)> {
        let mut octets = [0; 20];
        self.position.read_exact_at(&mut octets, 0).ok()?;
        let (place, sum) = octets.split_at_checked(16)?;
        if crc32fast::hash(place) != u32::from_le_bytes(sum.try_into().ok()?) {
            return None;
        }
        let (number, safe) = place.split_at_checked(8)?;
        let value = |octets: &[u8]| octets.try_into().map(u64::from_le_bytes).ok();
        Some((value(number)?, value(safe)?))
    }

    /// The files that are there; those of which nothing waits are removed.
    fn segments(&self) -> io::Result<VecDeque<Segment>> {
        let mut numbers = vec![];
        for entry in fs::read_dir(&self.path)? {
            let path = entry?.path();
            let is_one = path.extension().is_some_and(|extension| extension == EXTENSION);
            let number = path.file_stem().and_then(|stem| stem.to_str()?.parse::<u64>().ok());
            numbers.extend(number.filter(|_| is_one));
        }
        numbers.sort_unstable();
        let (oldest, safe) = self.noted().unwrap_or((0, HEADER));
        let mut segments = VecDeque::new();
        for number in numbers {
            let safe = if number == oldest { safe } else { HEADER };
            let segment = if number < oldest { Segment::new(number) } else { self.scan(number, safe)? };
            if segment.is_done() {
                self.remove(number);
            } else {
                segments.push_back(segment);
            }
        }
        Ok(segments)
    }

    /// What is in a file, of which so much is safe.
    fn scan(&self, number: u64, safe: u64) -> io::Result<Segment> {
        let path = self.file(number);
        let octets = fs::read(&path)?;
        let mut segment = Segment::new(number);
        let mut rest = records(&octets).ok_or_else(|| of_another_version(&path))?;
        while let Some(payload) = first(rest) {
            if segment.octets == safe {
                (segment.safe, segment.waiting) = (safe, BTreeMap::new());
            }
            rest = rest.get(FRAME + payload.len()..).unwrap_or_default();
            segment.add(query_of(payload).unwrap_or_default(), (FRAME + payload.len()) as u64);
        }
        if segment.octets == safe {
            (segment.safe, segment.waiting) = (safe, BTreeMap::new());
        }
        Ok(segment)
    }
}

/// What stands behind the beginning of a file; nothing where a crash left it without one, `None` where another version
/// wrote it.
fn records(octets: &[u8]) -> Option<&[u8]> {
    let Some((magic, records)) = octets.split_at_checked(MAGIC.len()) else { return Some(&[]) };
    let is_empty = magic.iter().all(|octet| *octet == 0);
    if is_empty { Some(&[]) } else { (magic == MAGIC).then_some(records) }
}

fn of_another_version(path: &Path) -> io::Error {
    let name = path.file_name().unwrap_or_default().display();
    io::Error::other(format!(
        "{name} is none that this version writes; let the one that wrote it send what waits there, or move it away"
    ))
}

/// Why a folder cannot be used.
pub(super) fn said(path: &Path, error: &io::Error) -> String {
    format!("the spool {} cannot be used: {error}", path.display())
}
