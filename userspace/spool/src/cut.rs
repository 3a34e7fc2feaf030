//! Cuts as octets, and what is left of them.
//!
//! ```text
//! "CUT1" · records (4) · first number (8) · safe (8) · time (8) · a length (4) and a CRC-32 (4) of each record ·
//! CRC-32 of all before (4) · the records, one behind the other · zeros up to a multiple of eight
//! ```
//! Numbers are little-endian. `safe` is the last number that was safe when the cut was written: so a later cut tells of
//! an earlier one that it was whole. Checksums begin with a number of the file's own, so that octets of a record that
//! look like a cut are none. All places are known from the front: where one record is damaged the others are there, and
//! where the front is, the next cut is looked for.

use crate::mutation::{Mutation, is_mutated};
use std::ops::Range;

const MAGIC: u32 = u32::from_le_bytes(*b"CUT1");
/// Octets before the first length.
const FIXED: usize = 32;
/// Octets of what is said of each record.
const ENTRY: usize = 8;
const SUM: usize = 4;
/// Where a cut may begin: a multiple of so many octets.
const ALIGNMENT: usize = 8;

/// Where a record is in its file, and what it is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) offset: u64,
    pub(crate) length: u32,
    sum: u32,
}

impl Place {
    /// Behind its last octet.
    pub(crate) const fn end(self) -> u64 {
        self.offset + self.length as u64
    }

    /// Whether these are its octets.
    pub(crate) fn is_of(self, octets: &[u8]) -> bool {
        is_mutated(Mutation::NoChecksum) || crc32fast::hash(octets) == self.sum
    }
}

/// What is said in front of a cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Front {
    /// The number of its first record.
    pub(crate) first: u64,
    /// The last number that was safe when it was written.
    pub(crate) safe: u64,
    /// When it was written, by whom appended it.
    pub(crate) written_ns: i64,
}

/// What is found of a cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) front: Front,
    /// Of each record, unless it is damaged.
    pub(crate) places: Vec<Option<Place>>,
    /// Behind its last octet.
    pub(crate) end: u64,
}

impl Found {
    /// Behind its last number.
    pub(crate) const fn next(&self) -> u64 {
        self.front.first + self.places.len() as u64
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.places.iter().all(Option::is_some)
    }
}

/// Octets of a cut of these records.
pub(crate) fn octets<R: AsRef<[u8]>>(records: &[R]) -> u64 {
    let payloads: u64 = records.iter().map(|record| record.as_ref().len() as u64).sum();
    let octets = (FIXED + SUM) as u64 + records.len() as u64 * ENTRY as u64 + payloads;
    octets.next_multiple_of(ALIGNMENT as u64)
}

/// With what the checksums of a file begin.
pub(crate) fn seed_of(identity: u64, first: u64) -> u32 {
    crc32fast::hash([identity, first].map(u64::to_le_bytes).as_flattened())
}

/// Appends a cut to octets that begin at `start` of their file; gives where its records are.
pub(crate) fn encode<R: AsRef<[u8]>>(
    front: Front,
    records: &[R],
    seed: u32,
    (out, start): (&mut Vec<u8>, u64),
) -> Vec<Place> {
    let begun = out.len();
    out.extend_from_slice(&MAGIC.to_le_bytes());
    out.extend_from_slice(&(records.len() as u32).to_le_bytes());
    out.extend_from_slice(&front.first.to_le_bytes());
    out.extend_from_slice(&front.safe.to_le_bytes());
    out.extend_from_slice(&front.written_ns.to_le_bytes());
    let mut places = Vec::with_capacity(records.len());
    let mut offset = start + (begun + FIXED + records.len() * ENTRY + SUM) as u64;
    for record in records.iter().map(AsRef::as_ref) {
        let place = Place { offset, length: record.len() as u32, sum: crc32fast::hash(record) };
        out.extend_from_slice(&place.length.to_le_bytes());
        out.extend_from_slice(&place.sum.to_le_bytes());
        offset = place.end();
        places.push(place);
    }
    let sum = sum_of(seed, out.get(begun..).unwrap_or_default());
    out.extend_from_slice(&sum.to_le_bytes());
    records.iter().for_each(|record| out.extend_from_slice(record.as_ref()));
    out.resize(begun + (out.len() - begun).next_multiple_of(ALIGNMENT), 0);
    places
}

fn sum_of(seed: u32, octets: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(seed);
    hasher.update(octets);
    hasher.finalize()
}

/// The cuts of a file from a place on, in the order of their numbers, which begin no earlier than `first`.
pub(crate) fn scan(file: &[u8], start: usize, first: u64, seed: u32) -> Vec<Found> {
    let mut cuts: Vec<Found> = vec![];
    let (mut place, mut next) = (start, first);
    while place < file.len() {
        if let Some(cut) = read(file, place, seed).filter(|cut| cut.front.first >= next) {
            next = cut.next();
            place = usize::try_from(cut.end).unwrap_or(file.len()).next_multiple_of(ALIGNMENT);
            cuts.push(cut);
        } else {
            place += ALIGNMENT;
        }
    }
    cuts
}

/// The cut that begins at a place, if its front is whole.
fn read(file: &[u8], start: usize, seed: u32) -> Option<Found> {
    let octets = file.get(start..)?;
    let word = |place: Range<usize>| octets.get(place)?.try_into().ok().map(u32::from_le_bytes);
    let long = |place: Range<usize>| octets.get(place)?.try_into().ok().map(u64::from_le_bytes);
    word(0..4).filter(|magic| *magic == MAGIC)?;
    let count = word(4..8).filter(|count| *count > 0)? as usize;
    let entries_end = FIXED + count.checked_mul(ENTRY)?;
    let sum = word(entries_end..entries_end + SUM)?;
    if sum_of(seed, octets.get(..entries_end)?) != sum {
        return None;
    }
    let front = Front { first: long(8..16)?, safe: long(16..24)?, written_ns: long(24..32)?.cast_signed() };
    front.first.checked_add(count as u64)?;
    let mut end = start + entries_end + SUM;
    let mut places = Vec::with_capacity(count);
    for entry in octets.get(FIXED..entries_end)?.chunks_exact(ENTRY) {
        let (length, sum) = entry.split_first_chunk::<4>()?;
        let (length, sum) = (u32::from_le_bytes(*length), u32::from_le_bytes(sum.try_into().ok()?));
        let place = Place { offset: end as u64, length, sum };
        end = end.saturating_add(length as usize);
        let is_there = file.get(end - length as usize..end).is_some_and(|record| place.is_of(record));
        places.push(is_there.then_some(place));
    }
    Some(Found { front, places, end: end.min(file.len()) as u64 })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: u32 = 77;
    /// Where cuts begin.
    const START: usize = 80;

    /// Three cuts of two records each, with numbers from 5 on, and where each ends.
    fn file() -> (Vec<u8>, Vec<usize>) {
        let mut file = vec![9; START];
        let mut ends = vec![];
        for cut in 0..3u8 {
            let records = [vec![cut; 30], vec![cut + 10; 21 + usize::from(cut)]];
            let front = Front { first: 5 + 2 * u64::from(cut), safe: 4, written_ns: -3 };
            let octets = octets(&records);
            let before = file.len();
            let places = encode(front, &records, SEED, (&mut file, 0));
            assert_eq!(file.len() - before, usize::try_from(octets).unwrap());
            assert!(places.iter().all(|place| place.is_of(octets_of(*place, &file))));
            ends.push(file.len());
        }
        (file, ends)
    }

    fn octets_of(place: Place, file: &[u8]) -> &[u8] {
        &file[usize::try_from(place.offset).unwrap()..usize::try_from(place.end()).unwrap()]
    }

    /// The numbers of records that are there, and octets of each.
    fn found(file: &[u8]) -> Vec<(u64, Vec<u8>)> {
        let cuts = scan(file, START, 5, SEED);
        let records = |cut: &Found| {
            let numbers = (cut.front.first..).zip(cut.places.clone());
            numbers
                .filter_map(|(number, place)| Some((number, octets_of(place?, file).to_vec())))
                .collect::<Vec<_>>()
        };
        cuts.iter().flat_map(records).collect()
    }

    #[test]
    fn cuts_come_back_from_whatever_is_left_of_a_file() {
        let (file, _) = file();
        let (all, whole) = (scan(&file, START, 5, SEED), found(&file));
        assert_eq!(whole.iter().map(|(number, _)| *number).collect::<Vec<_>>(), (5..11).collect::<Vec<_>>());
        for length in START..file.len() {
            let cuts = scan(&file[..length], START, 5, SEED);
            let count = cuts.iter().filter(|cut| cut.is_whole()).count();
            // The zeros at the end are not missed.
            assert_eq!(count, all.iter().filter(|cut| cut.end <= length as u64).count(), "{length}");
            assert!(found(&file[..length]).iter().all(|record| whole.contains(record)));
        }
    }

    #[test]
    fn damage_takes_one_cut_at_most_and_of_a_record_only_that() {
        let (file, ends) = file();
        let whole = found(&file);
        for place in START..file.len() {
            let mut changed = file.clone();
            changed[place] ^= 0x41;
            let left = found(&changed);
            assert!(left.iter().all(|record| whole.contains(record)), "{place}");
            let cut = ends.iter().position(|end| place < *end).unwrap();
            let own = whole.iter().skip(2 * cut).take(2).filter(|record| !left.contains(record)).count();
            assert_eq!(whole.len() - left.len(), own, "{place}");
            let begin = if cut == 0 { START } else { ends[cut - 1] };
            let is_front = place - begin < FIXED + 2 * ENTRY + SUM;
            assert!(if is_front { own == 2 } else { own <= 1 }, "{place} {own}");
        }
    }

    #[test]
    fn a_cut_within_a_record_is_none() {
        let inner = Front { first: 6, safe: 4, written_ns: 0 };
        for (seed, is_found) in [(SEED, true), (SEED + 1, false)] {
            let mut lies = vec![0; 4];
            encode(inner, &[b"a lie"], seed, (&mut lies, 0));
            let mut file = vec![0; START];
            encode(Front { first: 5, ..inner }, &[lies], SEED, (&mut file, 0));
            file[START] = 0;
            // What is found where somebody knows the seed: nobody outside does.
            assert_eq!(!found(&file).is_empty(), is_found);
        }
    }

    #[test]
    fn no_octets_make_it_panic() {
        let (file, _) = file();
        let mut bits = 1u64;
        for round in 0..20_000usize {
            let mut changed = file.clone();
            for _ in 0..1 + round % 5 {
                bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let place = START + (bits >> 33) as usize % (file.len() - START);
                changed[place] = (bits >> 20) as u8;
            }
            // A sum that is right over a front that is not.
            let count = u32::from_le_bytes(changed[START + 4..START + 8].try_into().unwrap()) as usize;
            let end = FIXED + count.min(1000) * ENTRY;
            if let Some(front) = changed.get(START..START + end) {
                let sum = sum_of(SEED, front).to_le_bytes();
                if let Some(place) = changed.get_mut(START + end..START + end + SUM) {
                    place.copy_from_slice(&sum);
                }
            }
            scan(&changed, START, 5, SEED).iter().for_each(|cut| assert!(cut.end <= changed.len() as u64));
        }
    }
}
