//! What is found in a folder.
//!
//! In: the files that a process left, by whatever ended it. Out: where each record is that counts, which ones are
//! missing, and the first number that none has nor had.
//!
//! A number up to which something says that all was safe belongs to a record that was there: what is missing up to it is
//! damaged. Behind it stands what was written last, which counts by whole cuts: it is made safe, and then read from the
//! disk. Memory may have what a sync before could not write, and the next one says nothing of that.

use crate::cut::{Found, scan, seed_of};
use crate::error::SpoolError;
use crate::files::{File, Files, read_all};
use crate::header::{self, Known, NoHeader, SegmentHeader};
use crate::mutation::{Mutation, is_mutated};
use crate::segment::Segment;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::ops::RangeInclusive;
use std::path::Path;

/// Octets of the shortest record with what is said of it.
const RECORD_OCTETS_MIN: u64 = 8;

/// What a start found besides records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Numbers of records that are damaged or missing between others. What was written last before a crash may be among
    /// them though nobody was told that it is safe, and where the header of a file is damaged, numbers that none had.
    pub missing: Vec<RangeInclusive<u64>>,
    /// Octets at the end of the newest file that are no whole cut: a crash tore what was being written, or it is damaged.
    pub torn_octets: u64,
}

/// What a folder holds.
#[derive(Debug)]
pub(crate) struct Holdings {
    pub(crate) segments: VecDeque<Segment>,
    /// The last record.
    pub(crate) last: u64,
    /// What something says of the newest file.
    pub(crate) known: Known,
    /// The next number.
    pub(crate) next: u64,
    pub(crate) recovered: Recovered,
}

/// A file as it was read.
struct Read {
    first: u64,
    /// The last number before it; `None` when its header is damaged.
    after: Option<u64>,
    /// What its header says of a file before it, if it is whole.
    known: Option<Known>,
    octets: u64,
    cuts: Vec<Found>,
    /// Behind whatever number may have been used in it.
    next: u64,
}

/// Reads all files of the spool with this identity, and makes safe what it counts.
pub(crate) fn recover(files: &dyn Files, folder: &Path, identity: u64) -> Result<Holdings, SpoolError> {
    let names = files.names().map_err(SpoolError::io(folder, "list its files"))?;
    let mut numbers: Vec<_> = names.iter().filter_map(|name| Segment::number_of(name)).collect();
    numbers.sort_unstable();
    let mut reads = Vec::with_capacity(numbers.len());
    for number in numbers {
        reads.extend(read(files, folder, identity, number)?);
    }
    let safe = known_safe(&reads);
    let is_unknown = |read: &Read, safe: u64| read.next > safe + 1;
    for (found, _) in reads.iter_mut().zip(&safe).filter(|(found, safe)| is_unknown(found, **safe)) {
        let name = Segment::new(found.first).name();
        let made_safe = files.open(&name).and_then(|file| make_safe(&*file));
        made_safe.map_err(SpoolError::io(folder, "sync a file of its own"))?;
        let again = read(files, folder, identity, found.first)?;
        found.cuts = again.map_or_else(Vec::new, |again| again.cuts);
    }
    leave_out(&mut reads, &safe);
    let newest = reads.last().zip(safe.last());
    let known = newest.map_or(Known::default(), |(newest, safe)| Known { file: newest.first, safe: *safe });
    let holdings = holdings(reads, known);
    files.sync().map_err(SpoolError::io(folder, "be synced"))?;
    Ok(holdings)
}

/// Reads a file; one in which nothing was ever whole is removed.
fn read(files: &dyn Files, folder: &Path, identity: u64, first: u64) -> Result<Option<Read>, SpoolError> {
    let name = Segment::new(first).name();
    let file = files.open(&name).map_err(SpoolError::io(folder, "open a file of its own"))?;
    let octets = read_all(&*file).map_err(SpoolError::io(folder, "read a file of its own"))?;
    if octets.len() <= header::OCTETS {
        files.remove(&name).map_err(SpoolError::io(folder, "remove an empty file"))?;
        return Ok(None);
    }
    let header = match SegmentHeader::decode(&octets) {
        Ok(header) if (header.identity, header.first) == (identity, first) => Some(header),
        Ok(_) => {
            let why = format!("{name} belongs to another one; move it to where it came from");
            return Err(SpoolError::refused(folder, why));
        }
        Err(NoHeader::Version(version)) => return Err(newer(folder, &name, version)),
        Err(NoHeader::Damaged) => None,
    };
    let cuts = scan(&octets, header::OCTETS, first, seed_of(identity, first));
    // Where the header is damaged, the first cut says the same.
    let after = header
        .map(|header| header.after)
        .or_else(|| Some(cuts.first().filter(|cut| cut.front.first == first)?.front.safe));
    let octets = octets.len() as u64;
    let (next, end) = cuts.last().map_or((first, header::OCTETS as u64), |cut| (cut.next(), cut.end));
    // Records that cannot be told any more had numbers, too, and somebody may have read them.
    let unknown = if is_mutated(Mutation::NumbersAgain) { 0 } else { octets.saturating_sub(end) };
    let next = next.saturating_add(unknown / RECORD_OCTETS_MIN).max(first + 1);
    Ok(Some(Read { first, after, known: header.map(|header| header.known), octets, cuts, next }))
}

fn make_safe(file: &dyn File) -> io::Result<()> {
    if !is_mutated(Mutation::NoSyncAtStart) {
        file.sync()?;
    }
    if is_mutated(Mutation::TrustMemory) { Ok(()) } else { file.drop_cached() }
}

/// Of each file the last number of which something says that all was safe up to it: a later cut, or a file behind it
/// that was begun by the same process. Others do not know: what is safe since a start may have had holes by then.
fn known_safe(reads: &[Read]) -> Vec<u64> {
    let mut known = BTreeMap::new();
    for Known { file, safe } in reads.iter().filter_map(|read| read.known) {
        known.entry(file).and_modify(|known| *known = safe.max(*known)).or_insert(safe);
    }
    let own = |read: &Read| read.cuts.iter().map(|cut| cut.front.safe).max().unwrap_or_default();
    reads.iter().map(|read| own(read).max(known.get(&read.first).copied().unwrap_or_default())).collect()
}

/// Why a file of another version is not read.
pub(crate) fn newer(folder: &Path, name: &str, version: u32) -> SpoolError {
    let own = header::VERSION;
    let why = format!(
        "{name} is of version {version}, and this program reads version {own}; run one that reads it, or give another \
         folder"
    );
    SpoolError::refused(folder, why)
}

/// Leaves out cuts that are not whole though nothing says that they were safe, and those that were given up.
fn leave_out(reads: &mut [Read], safe: &[u64]) {
    let mut given_up_after = u64::MAX;
    for (read, safe) in reads.iter_mut().zip(safe).rev() {
        let is_whole =
            |cut: &Found| cut.is_whole() || cut.front.first <= *safe || is_mutated(Mutation::HalfCuts);
        read.cuts.retain(|cut| is_whole(cut) && cut.front.first <= given_up_after);
        if let Some(after) = read.after.filter(|_| !is_mutated(Mutation::GivenUpComesBack)) {
            given_up_after = given_up_after.min(after);
        }
    }
}

/// Puts together what is left, and what is missing of it.
fn holdings(reads: Vec<Read>, known: Known) -> Holdings {
    let mut recovered = Recovered::default();
    let (mut segments, mut last, mut next) = (VecDeque::new(), None, 1);
    let mut forgotten = None;
    for Read { first, after, octets, cuts, next: behind, .. } in reads {
        // Behind a damaged header it is guessed, unless there is nothing: then a crash tore the file when it was new.
        let guessed = || (!cuts.is_empty()).then_some(first.saturating_sub(1));
        if let Some(before) = after.or_else(guessed) {
            recovered.miss(last.or(forgotten).unwrap_or(before) + 1, before);
        }
        // Whatever is before the oldest file.
        forgotten = forgotten.or(Some(first.saturating_sub(1)));
        let mut segment = Segment { octets, is_safe: true, ..Segment::new(first) };
        let whole = cuts.last().map_or(header::OCTETS as u64, |cut| cut.end);
        recovered.torn_octets = octets.saturating_sub(whole);
        for cut in cuts {
            recovered.miss(segment.next(), cut.front.first.saturating_sub(1));
            let damaged = (cut.front.first..).zip(&cut.places).filter(|(_, place)| place.is_none());
            damaged.for_each(|(number, _)| recovered.miss(number, number));
            segment.add(cut.front.first, cut.places, cut.front.written_ns);
        }
        last = if segment.places.is_empty() { last.max(after) } else { Some(segment.next() - 1) };
        next = next.max(behind).max(segment.next());
        segments.push_back(segment);
    }
    // What is left of the zeros behind a cut.
    if recovered.torn_octets < RECORD_OCTETS_MIN {
        recovered.torn_octets = 0;
    }
    Holdings { segments, last: last.unwrap_or_default(), known, next, recovered }
}

impl Recovered {
    /// Notes that records are missing, beside those before them.
    fn miss(&mut self, first: u64, last: u64) {
        if first > last {
            return;
        }
        match self.missing.last_mut().filter(|known| known.end() + 1 == first) {
            Some(known) => *known = *known.start()..=last,
            None => self.missing.push(first..=last),
        }
    }
}
