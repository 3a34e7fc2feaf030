//! A folder of records that is ours.

use crate::cut::{self, Front};
use crate::disk::Disk;
use crate::error::SpoolError;
use crate::files::{File, Files, Lock, read_all};
use crate::header::{self, Known, NoHeader, SegmentHeader, SpoolHeader};
use crate::limits::{SpoolLimits, on_disk};
use crate::mutation::{Mutation, is_mutated};
use crate::records::Records;
use crate::recovery::{Holdings, Recovered, newer, recover};
use crate::segment::Segment;
use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Says whose a folder is.
const HEADER: &str = "spool";
/// The same while it is written.
const NEW_HEADER: &str = "spool.new";
const LOCK: &str = "lock";
/// What may be in a folder that is still to be made a spool.
const NOBODYS: [&str; 3] = [LOCK, NEW_HEADER, "lost+found"];

/// Which folder is a spool, of what, and how much it may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoolOptions {
    /// The folder; it is made.
    pub folder: PathBuf,
    /// What is in it, in sixteen octets at most: a folder of another kind is refused.
    pub kind: &'static str,
    /// Drawn at random by whoever opens it; a folder that is made now is known by it.
    pub drawn: u64,
    /// What it may take.
    pub limits: SpoolLimits,
}

/// Records of the oldest file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Oldest {
    /// Their numbers.
    pub numbers: Range<u64>,
    /// Octets that are free when they are forgotten.
    pub octets: u64,
    /// When the last of them was appended.
    pub written_ns: i64,
}

/// Numbered records on a disk.
#[derive(Debug)]
pub struct Spool {
    files: Box<dyn Files>,
    folder: PathBuf,
    limits: SpoolLimits,
    identity: u64,
    /// Oldest first; the last one is appended to while `active` is open.
    segments: VecDeque<Segment>,
    active: Option<Active>,
    /// Files were made or removed since the folder was synced.
    is_folder_dirty: bool,
    /// The first number that is not forgotten.
    floor: u64,
    safe: u64,
    /// What the next file says of the newest one: of what was found at the start only what something else says.
    known: Known,
    last: u64,
    next: u64,
    _lock: Box<dyn Lock>,
}

/// The file that is appended to.
#[derive(Debug)]
struct Active {
    file: Box<dyn File>,
    seed: u32,
    /// Octets of it that are safe.
    safe_octets: u64,
    is_dirty: bool,
    /// A write failed: what is behind it is not known.
    is_broken: bool,
}

impl Spool {
    /// Opens a folder, or makes it; all that is found is safe then.
    ///
    /// # Errors
    /// A sentence, when the folder is somebody else's, of another kind or version, held by another process, or the disk
    /// does not let us.
    pub fn open(options: &SpoolOptions) -> Result<(Self, Recovered), SpoolError> {
        Self::open_on(Box::new(Disk::new(&options.folder)), options)
    }

    pub(crate) fn open_on(
        files: Box<dyn Files>,
        options: &SpoolOptions,
    ) -> Result<(Self, Recovered), SpoolError> {
        let SpoolOptions { folder, limits, .. } = options;
        limits.check(folder)?;
        if options.kind.len() > header::KIND_OCTETS {
            let why = format!(
                "the kind {} has more than {} octets; call it shorter",
                options.kind,
                header::KIND_OCTETS
            );
            return Err(SpoolError::refused(folder, why));
        }
        let lock = take(&*files, folder)?;
        let identity = identify(&*files, options)?;
        let Holdings { segments, last, known, next, recovered } = recover(&*files, folder, identity)?;
        let spool = Self {
            files,
            folder: folder.clone(),
            limits: *limits,
            identity,
            floor: segments.front().map_or(next, |oldest| oldest.first),
            segments,
            active: None,
            is_folder_dirty: false,
            safe: last,
            known,
            last,
            next,
            _lock: lock,
        };
        Ok((spool, recovered))
    }

    /// What was drawn when the folder was made.
    #[must_use]
    pub const fn identity(&self) -> u64 {
        self.identity
    }

    /// The last record that is safe; 0 when there is none.
    #[must_use]
    pub const fn safe(&self) -> u64 {
        self.safe
    }

    /// The last record that is there; after an error some that were appended are not.
    #[must_use]
    pub const fn last(&self) -> u64 {
        self.last
    }

    /// Octets of all files, as the disk counts them.
    #[must_use]
    pub fn octets(&self) -> u64 {
        self.segments.iter().map(Segment::on_disk).sum()
    }

    /// Records of the oldest file, which go first where there is no room; `None` when there are none.
    #[must_use]
    pub fn oldest(&self) -> Option<Oldest> {
        let holds = |segment: &&Segment| segment.next() > self.floor;
        let segment = self.segments.iter().find(holds)?;
        let (_, written_ns) = segment.written_ns?;
        Some(Oldest {
            numbers: self.floor.max(segment.first)..segment.next(),
            octets: segment.on_disk(),
            written_ns,
        })
    }

    /// The first number of which no file is older than may be: those before it should be forgotten.
    #[must_use]
    pub fn aged_before(&self, now_ns: i64) -> u64 {
        let is_old = |segment: &&Segment| {
            segment
                .written_ns
                .is_none_or(|(_, youngest)| now_ns.saturating_sub(youngest) > self.limits.age_max_ns)
        };
        let old = self.segments.iter().take_while(is_old).last();
        old.map_or(self.floor, |segment| segment.next().max(self.floor))
    }

    /// Appends records as one cut, in one write, and gives their numbers. They are not safe yet.
    ///
    /// # Errors
    /// When there is no room, or never is for what is so long, nothing was written. When the disk refuses, they are not
    /// there, and [`last`](Self::last) says what is: a file that is full is synced before the next one is begun.
    pub fn append<R: AsRef<[u8]>>(&mut self, records: &[R], now_ns: i64) -> Result<Range<u64>, SpoolError> {
        if records.is_empty() {
            return Ok(self.next..self.next);
        }
        let octets = self.limits.cut_octets(records)?;
        let begins_file = self.begins_file(octets, now_ns);
        if self.check_room(octets, begins_file).is_err() {
            // What could not be removed before may be now.
            if self.safe < self.last {
                self.sync()?;
            }
            self.remove_forgotten()?;
            self.check_room(octets, begins_file)?;
        }
        if begins_file {
            self.end_file()?;
        }
        let first = self.next;
        let written = if begins_file { self.begin(records, now_ns) } else { self.go_on(records, now_ns) };
        if written.is_ok() || !is_mutated(Mutation::GoOnAfterError) {
            // Whatever becomes of it, no other record gets these numbers.
            self.next = first + records.len() as u64;
        }
        written.map_err(SpoolError::io(&self.folder, "be appended to"))?;
        self.last = self.next - 1;
        Ok(first..self.next)
    }

    fn begins_file(&self, octets: u64, now_ns: i64) -> bool {
        let (Some(active), Some(newest)) = (&self.active, self.segments.back()) else { return true };
        let age = newest.written_ns.map_or(0, |(oldest, _)| now_ns.saturating_sub(oldest));
        active.is_broken
            || newest.octets + octets > self.limits.segment_octets
            || age > self.limits.segment_age_ns()
    }

    fn check_room(&self, octets: u64, begins_file: bool) -> Result<(), SpoolError> {
        let held = self.octets();
        let grown = match self.segments.back().filter(|_| !begins_file) {
            Some(newest) => on_disk(newest.octets + octets) - newest.on_disk(),
            None => on_disk(header::OCTETS as u64 + octets),
        };
        let most = self.limits.octets_max;
        if held + grown > most && !is_mutated(Mutation::NoBound) {
            return Err(SpoolError::Full { folder: self.folder.clone(), octets: grown, held, most });
        }
        Ok(())
    }

    /// Ends the file that is appended to, all of which is safe then.
    fn end_file(&mut self) -> Result<(), SpoolError> {
        if self.safe < self.last {
            self.sync()?;
        }
        self.active = None;
        Ok(())
    }

    /// A new file with one cut in it.
    fn begin<R: AsRef<[u8]>>(&mut self, records: &[R], now_ns: i64) -> io::Result<()> {
        let mut segment = Segment::new(self.next);
        let mut file = self.files.create(&segment.name())?;
        self.is_folder_dirty = true;
        let seed = cut::seed_of(self.identity, segment.first);
        let header = SegmentHeader {
            identity: self.identity,
            first: segment.first,
            after: self.last,
            known: self.known,
            record_octets_max: self.limits.record_octets_max,
            segment_octets: self.limits.segment_octets,
        };
        let mut octets = header.encode().to_vec();
        let front = Front { first: segment.first, safe: self.safe, written_ns: now_ns };
        let places = cut::encode(front, records, seed, (&mut octets, 0));
        segment.octets = octets.len() as u64;
        let written = file.append(&octets);
        if written.is_ok() {
            segment.add(segment.first, places.into_iter().map(Some), now_ns);
            self.active = Some(Active { file, seed, safe_octets: 0, is_dirty: true, is_broken: false });
        } else if self.files.remove(&segment.name()).is_ok() {
            return written;
        }
        self.segments.push_back(segment);
        written
    }

    /// One cut more in the file that is appended to.
    fn go_on<R: AsRef<[u8]>>(&mut self, records: &[R], now_ns: i64) -> io::Result<()> {
        let (Some(active), Some(segment)) = (&mut self.active, self.segments.back_mut()) else {
            return Ok(());
        };
        let front = Front { first: self.next, safe: self.safe, written_ns: now_ns };
        let mut octets = vec![];
        let places = cut::encode(front, records, active.seed, (&mut octets, segment.octets));
        let written = active.file.append(&octets);
        if written.is_ok() {
            segment.add(self.next, places.into_iter().map(Some), now_ns);
            active.is_dirty = true;
        } else if is_mutated(Mutation::GoOnAfterError) {
            return written;
        } else {
            active.is_broken = true;
            // A disk that is full has some room again.
            if active.file.cut_back(segment.octets).is_ok() {
                return written;
            }
        }
        segment.octets += octets.len() as u64;
        written
    }

    /// Makes safe what was appended, and gives the last number that is safe.
    ///
    /// # Errors
    /// When the disk refuses. If it did not take data, what was not safe before is given up
    /// ([`last`](Self::last)), and has to be appended again.
    pub fn sync(&mut self) -> Result<u64, SpoolError> {
        let is_dirty = self.active.as_ref().is_some_and(|active| active.is_dirty);
        if is_dirty && !is_mutated(Mutation::NoDataSync) {
            let synced = self.active.as_ref().map_or(Ok(()), |active| active.file.sync());
            if let Err(error) = synced {
                self.give_up();
                return Err(SpoolError::io(&self.folder, "be synced")(error));
            }
        }
        if let Some(active) = &mut self.active {
            active.is_dirty = false;
        }
        if !is_mutated(Mutation::NoFolderSync) {
            self.settle()?;
        }
        if let (Some(active), Some(newest)) = (&mut self.active, self.segments.back_mut()) {
            (active.safe_octets, newest.is_safe) = (newest.octets, true);
        }
        if self.safe < self.last {
            self.safe = self.last;
            self.known =
                Known { file: self.segments.back().map_or(0, |newest| newest.first), safe: self.last };
        }
        Ok(self.safe)
    }

    /// Gives up what is not safe: after a sync that failed a disk may say of the next one that all is well.
    fn give_up(&mut self) {
        if is_mutated(Mutation::KeepDoubtful) {
            return;
        }
        self.last = self.safe;
        let (Some(mut active), Some(newest)) = (self.active.take(), self.segments.back_mut()) else { return };
        let is_cut = active.file.cut_back(active.safe_octets).is_ok();
        let left = if is_cut { active.safe_octets } else { newest.octets };
        newest.cut_back(self.safe, left);
        if newest.places.is_empty() && !newest.is_safe {
            // What cannot be removed now is another time.
            let _ = self.remove(self.segments.len() - 1);
        }
    }

    /// Makes safe which files there are. What fails is tried again: it is in the journal of the file system, which takes
    /// all of it or nothing any more.
    fn settle(&mut self) -> Result<(), SpoolError> {
        if self.is_folder_dirty {
            self.files.sync().map_err(SpoolError::io(&self.folder, "be synced"))?;
            self.is_folder_dirty = false;
        }
        Ok(())
    }

    /// Reads safe records from a number on, of one file, within so many of its octets; one at least, if there is one.
    ///
    /// # Errors
    /// When the disk cannot read. Who reads one record at a time finds the one that it cannot read, and may pass it over.
    pub fn read(&self, from: u64, octets: usize) -> Result<Records, SpoolError> {
        let from = from.max(self.floor);
        let mut records = Records { next: from.max(self.safe + 1), ..Records::default() };
        let begin = self.segments.partition_point(|segment| segment.next() <= from);
        for segment in self.segments.range(begin..) {
            let stretch = segment.stretch(from, self.safe, octets);
            let (Some((_, first)), Some((number, last))) = (stretch.first(), stretch.last()) else {
                continue;
            };
            records.next = number + 1;
            records.octets = vec![0; usize::try_from(last.end() - first.offset).unwrap_or(usize::MAX)];
            let read = self.files.open(&segment.name());
            let read = read.and_then(|file| file.read_at(&mut records.octets, first.offset));
            read.map_err(SpoolError::io(&self.folder, "be read"))?;
            let start = first.offset;
            for (number, place) in stretch {
                let within = (place.offset - start) as usize..(place.end() - start) as usize;
                if records.octets.get(within.clone()).is_some_and(|octets| place.is_of(octets)) {
                    records.places.push((number, within));
                } else {
                    records.damaged.push(number);
                }
            }
            break;
        }
        Ok(records)
    }

    /// Forgets safe records before a number, and removes the files of which nothing is left but the newest that is safe. A crash may
    /// bring back some of them.
    ///
    /// # Errors
    /// When the disk refuses: they are not read any more, and their files are removed another time.
    pub fn forget_before(&mut self, number: u64) -> Result<(), SpoolError> {
        let most = if is_mutated(Mutation::ForgetUnsafe) { u64::MAX } else { self.safe + 1 };
        self.floor = self.floor.max(number.min(most));
        self.remove_forgotten()
    }

    fn remove_forgotten(&mut self) -> Result<(), SpoolError> {
        while let Some(place) = self.empty() {
            self.remove(place)?;
        }
        while self.segments.front().is_some_and(|oldest| oldest.next() <= self.floor)
            && self.is_known_behind(0)
        {
            // One at a time, so that what a crash brings back has no hole.
            if !is_mutated(Mutation::RemoveAtOnce) {
                self.settle()?;
            }
            self.remove(0)?;
        }
        Ok(())
    }

    /// A file without a record that counts, which nobody needs.
    fn empty(&self) -> Option<usize> {
        let is_empty = |(place, segment): (usize, &Segment)| {
            segment.places.is_empty() && (!segment.is_safe || self.is_known_behind(place))
        };
        (0..).zip(&self.segments).position(is_empty)
    }

    /// Whether a file behind this one is safe: by the newest of these it is known which numbers were given.
    fn is_known_behind(&self, place: usize) -> bool {
        let is_known = |segment: &Segment| segment.is_safe || is_mutated(Mutation::LoseNumbers);
        self.segments.iter().skip(place + 1).any(is_known)
    }

    fn remove(&mut self, place: usize) -> Result<(), SpoolError> {
        let Some(segment) = self.segments.get(place) else { return Ok(()) };
        self.files.remove(&segment.name()).map_err(SpoolError::io(&self.folder, "remove a file"))?;
        self.is_folder_dirty = true;
        self.segments.remove(place);
        Ok(())
    }
}

/// Makes a folder and takes it, unless somebody else's files are in it.
fn take(files: &dyn Files, folder: &Path) -> Result<Box<dyn Lock>, SpoolError> {
    files.make().map_err(SpoolError::io(folder, "be made"))?;
    let names = files.names().map_err(SpoolError::io(folder, "list its files"))?;
    let is_ours = names.iter().any(|name| name == HEADER);
    if let Some(name) = names.iter().find(|name| !is_ours && !NOBODYS.contains(&name.as_str())) {
        let why = format!("{name} is in it, which no spool of ours has made; give it a folder of its own");
        return Err(SpoolError::refused(folder, why));
    }
    let lock = files.lock(LOCK).map_err(SpoolError::io(folder, "be locked"))?;
    lock.ok_or_else(|| SpoolError::refused(folder, "another process has it; give each a folder of its own"))
}

/// Whose folder it is: of the same kind, or ours from now on.
fn identify(files: &dyn Files, options: &SpoolOptions) -> Result<u64, SpoolError> {
    let SpoolOptions { folder, kind, drawn, .. } = options;
    let names = files.names().map_err(SpoolError::io(folder, "list its files"))?;
    if names.iter().any(|name| name == HEADER) {
        let octets = files.open(HEADER).and_then(|file| read_all(&*file));
        let octets = octets.map_err(SpoolError::io(folder, "read what it is"))?;
        return match SpoolHeader::decode(&octets) {
            Ok(header) if header.kind == *kind => Ok(header.identity),
            Ok(header) => {
                let why = format!("it holds {}, not {kind}; give it a folder of its own", header.kind);
                Err(SpoolError::refused(folder, why))
            }
            Err(NoHeader::Version(version)) => Err(newer(folder, HEADER, version)),
            Err(NoHeader::Damaged) => {
                let why =
                    format!("{HEADER} in it is damaged; move the folder away, so that another one is begun");
                Err(SpoolError::refused(folder, why))
            }
        };
    }
    let made = || {
        if names.iter().any(|name| name == NEW_HEADER) {
            files.remove(NEW_HEADER)?;
        }
        let header = SpoolHeader { kind: (*kind).to_owned(), identity: *drawn };
        let mut file = files.create(NEW_HEADER)?;
        file.append(&header.encode())?;
        file.sync()?;
        files.rename(NEW_HEADER, HEADER)?;
        files.sync()
    };
    made().map_err(SpoolError::io(folder, "be begun"))?;
    Ok(*drawn)
}
