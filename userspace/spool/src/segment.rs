//! A file of records, as it is known in memory: where each record is.

use crate::cut::Place;
use crate::limits::on_disk;

/// What the names of files end with.
const EXTENSION: &str = ".segment";
/// Digits of the number in a name.
const DIGITS: usize = 20;

/// A file of records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// The number of its first record, by which it is named.
    pub(crate) first: u64,
    /// Octets that it has, or may have when a write failed.
    pub(crate) octets: u64,
    /// From the first number on; `None` where a record is damaged or missing.
    pub(crate) places: Vec<Option<Place>>,
    /// When its first and its last cut were written.
    pub(crate) written_ns: Option<(i64, i64)>,
    /// Whether it is safe on the disk: which numbers were given is known by the newest of these.
    pub(crate) is_safe: bool,
}

impl Segment {
    pub(crate) const fn new(first: u64) -> Self {
        Self { first, octets: 0, places: vec![], written_ns: None, is_safe: false }
    }

    /// What the file of a first number is called.
    pub(crate) fn name(&self) -> String {
        format!("{:0DIGITS$}{EXTENSION}", self.first)
    }

    /// The first number of the file that is called so, if it is one.
    pub(crate) fn number_of(name: &str) -> Option<u64> {
        let digits = name.strip_suffix(EXTENSION).filter(|digits| digits.len() == DIGITS)?;
        digits.bytes().all(|digit| digit.is_ascii_digit()).then(|| digits.parse().ok())?
    }

    /// Behind its last number.
    pub(crate) const fn next(&self) -> u64 {
        self.first + self.places.len() as u64
    }

    pub(crate) const fn on_disk(&self) -> u64 {
        on_disk(self.octets)
    }

    /// Adds a cut that begins with this number; records that are missing before it are none.
    pub(crate) fn add(
        &mut self,
        first: u64,
        places: impl IntoIterator<Item = Option<Place>>,
        written_ns: i64,
    ) {
        let before = usize::try_from(first - self.first).unwrap_or_default();
        self.places.resize(before.max(self.places.len()), None);
        self.places.extend(places);
        let (oldest, youngest) = self.written_ns.unwrap_or((written_ns, written_ns));
        self.written_ns = Some((oldest, youngest.max(written_ns)));
    }

    /// Gives up what is behind this number, and says that the file ends there.
    pub(crate) fn cut_back(&mut self, last: u64, octets: u64) {
        let left = usize::try_from((last + 1).saturating_sub(self.first)).unwrap_or(usize::MAX);
        self.places.truncate(left);
        self.octets = octets;
    }

    /// Records from a number on, as many as are within so many octets of the file, and one at least.
    pub(crate) fn stretch(&self, from: u64, last: u64, octets: usize) -> Vec<(u64, Place)> {
        let skipped = usize::try_from(from.saturating_sub(self.first)).unwrap_or(usize::MAX);
        let numbered = (from.max(self.first)..=last).zip(self.places.get(skipped..).unwrap_or_default());
        let mut stretch: Vec<(u64, Place)> = vec![];
        for (number, place) in numbered.filter_map(|(number, place)| Some((number, (*place)?))) {
            let start = stretch.first().map_or(place.offset, |(_, first)| first.offset);
            if !stretch.is_empty() && place.end() - start > octets as u64 {
                break;
            }
            stretch.push((number, place));
        }
        stretch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_numbers_of_twenty_digits_and_nothing_else_is_one() {
        let segment = Segment::new(17);
        assert_eq!(segment.name(), "00000000000000000017.segment");
        assert_eq!(Segment::number_of(&segment.name()), Some(17));
        for name in ["17.segment", "00000000000000000017.spool", "+0000000000000000017.segment", "lock"] {
            assert_eq!(Segment::number_of(name), None);
        }
        assert_eq!(Segment::number_of("99999999999999999999.segment"), None);
    }
}
