//! How much of the records of windows arrived, of panes of several sensors.
//!
//! A sensor says of each pane how many records were delivered in its seconds and how many are missing. Seconds that lie
//! in one pane as a whole are one entry, since a window holds all of them or none; those at a border keep their number,
//! so that a window which holds both panes counts them once. What is said of all is what an engine says of its windows
//! itself: per stream the part of the records that arrived and was read, and the least of all streams.

use std::collections::BTreeMap;
use tapline_engine::{CoveredSecond, Unread};
use tapline_operators::Span;
use tapline_record::StreamId;

const SECOND_NS: i64 = 1_000_000_000;

/// Entries of one stream that are told apart: a pane has its inner seconds, and one at each border.
const ENTRIES_MAX: usize = 8;

/// Records of one entry, at most: whatever others say, sums stay numbers.
const RECORDS_MAX: f64 = 1e15;

/// Records of a stream in a second, or in the inner seconds of a pane.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Records {
    /// Delivered.
    pub(crate) delivered: f64,
    /// Missing; not a number where nobody knows how many.
    pub(crate) missing: f64,
}

/// Records by stream and second.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Covered([BTreeMap<i64, Records>; StreamId::COUNT]);

impl Covered {
    /// What is known of the seconds of a pane.
    pub(crate) fn of_pane(pane: Span, seconds: &[CoveredSecond]) -> Self {
        let mut covered = Self::default();
        let first = pane.start.0.div_euclid(SECOND_NS);
        let first = if pane.start.0.rem_euclid(SECOND_NS) == 0 { first } else { first.saturating_add(1) };
        let inner = first..pane.end.0.div_euclid(SECOND_NS);
        for &CoveredSecond { stream, second, delivered, missing } in seconds {
            let second = if inner.contains(&second) { inner.start } else { second };
            // What a flow table gives counts as what it stands for.
            covered.add(stream.named(), second, Records { delivered, missing });
        }
        covered
    }

    /// Adds records to a second; beyond so many, to the last one that is known.
    pub(crate) fn add(&mut self, stream: StreamId, second: i64, news: Records) {
        let Some(entries) = self.0.get_mut(stream as usize) else { return };
        let has_room = entries.len() < ENTRIES_MAX || entries.contains_key(&second);
        let last = entries.last_key_value().map_or(second, |(last, _)| *last);
        let known = entries.entry(if has_room { second } else { last }).or_default();
        known.delivered = (known.delivered + news.delivered).min(RECORDS_MAX);
        // What is no number stays none.
        known.missing = (known.missing + news.missing).clamp(-RECORDS_MAX, RECORDS_MAX);
    }

    /// Adds what others say of the same pane.
    pub(crate) fn append(&mut self, other: &Self) {
        other.entries().for_each(|(stream, second, records)| self.add(stream, second, records));
    }

    /// Puts another pane beside it: a second at the border of both is said by both.
    fn put_beside(&mut self, other: &Self) {
        for (own, others) in self.0.iter_mut().zip(&other.0) {
            for (second, records) in others {
                let known = own.entry(*second).or_insert(*records);
                let is_known = !(known.missing.is_nan() || records.missing.is_nan());
                known.delivered = known.delivered.max(records.delivered);
                known.missing = if is_known { known.missing.max(records.missing) } else { f64::NAN };
            }
        }
    }

    /// A part of all of them.
    pub(crate) fn part(&self, part: f64) -> Self {
        let mut covered = self.clone();
        for records in covered.0.iter_mut().flat_map(BTreeMap::values_mut) {
            records.delivered *= part;
            records.missing *= part;
        }
        covered
    }

    /// All entries.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (StreamId, i64, Records)> + '_ {
        let of = |(stream, entries): (StreamId, &BTreeMap<i64, Records>)| {
            entries.iter().map(move |(second, records)| (stream, *second, *records)).collect::<Vec<_>>()
        };
        StreamId::ALL.into_iter().zip(&self.0).flat_map(of)
    }

    /// Records delivered and missing, as far as that is known.
    pub(crate) fn records(&self) -> u64 {
        let of = |(_, _, records): (StreamId, i64, Records)| records.delivered + records.missing.max(0.0);
        self.entries().map(of).sum::<f64>().round() as u64
    }

    /// Records delivered and missing, of each stream of which something is known.
    fn sums(&self) -> Vec<Records> {
        let sum = |entries: &BTreeMap<i64, Records>| {
            entries.values().fold(Records::default(), |sum, records| Records {
                delivered: sum.delivered + records.delivered,
                missing: sum.missing + records.missing,
            })
        };
        self.0.iter().filter(|entries| !entries.is_empty()).map(sum).collect()
    }
}

/// What is known of the records of one half in a window.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    covered: Covered,
    unread: Unread,
    /// Records that are missing besides: nobody knows of which stream.
    missing: u64,
    /// Whether somebody may have records of it that are not here, or nobody knows how many are missing.
    is_unknown: bool,
}

impl Seen {
    /// Adds a pane: so many records are missing from it besides, or nobody knows how many.
    pub(crate) fn add(&mut self, (covered, unread): (&Covered, Unread), (missing, is_unknown): (u64, bool)) {
        self.covered.put_beside(covered);
        self.unread = all_unread(self.unread, unread);
        self.missing = self.missing.saturating_add(missing);
        self.is_unknown |= is_unknown;
    }

    /// The part of the records of each stream that arrived and was read.
    fn parts(&self, sums: &[Records]) -> Vec<f64> {
        let besides = self.missing.saturating_add(self.unread.late) as f64;
        if sums.is_empty() {
            return if besides > 0.0 { vec![0.0] } else { vec![] };
        }
        let all: f64 = sums.iter().map(|records| records.delivered).sum();
        let read = if all > 0.0 { f64::max(1.0 - self.unread.left_out as f64 / all, 0.0) } else { 1.0 };
        let parts = sums.iter().filter_map(|records| {
            let offered = records.delivered + records.missing.max(0.0) + besides;
            (offered > 0.0).then(|| records.delivered * read / offered)
        });
        parts.collect()
    }
}

/// Which part of a window's records arrived and was read, of that half and stream of which the least was; `None` when
/// that is not known, or nothing is known of any.
pub(crate) fn completeness(halves: &[Seen]) -> Option<f64> {
    let mut least: Option<f64> = None;
    for half in halves {
        let sums = half.covered.sums();
        if half.is_unknown || sums.iter().any(|records| records.missing.is_nan()) {
            return None;
        }
        least = half.parts(&sums).into_iter().chain(least).reduce(f64::min);
    }
    least
}

/// Rows that were not read of two.
pub(crate) fn all_unread(one: Unread, other: Unread) -> Unread {
    Unread {
        late: one.late.saturating_add(other.late),
        left_out: one.left_out.saturating_add(other.left_out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_record::EventTime;

    fn pane(start_ms: i64, end_ms: i64) -> Span {
        Span { start: EventTime(start_ms * 1_000_000), end: EventTime(end_ms * 1_000_000) }
    }

    fn second(second: i64, delivered: f64, missing: f64) -> CoveredSecond {
        CoveredSecond { stream: StreamId::Flows, second, delivered, missing }
    }

    fn seen(panes: &[Covered], unread: Unread, missing: u64) -> Seen {
        let mut seen = Seen::default();
        panes.iter().for_each(|covered| seen.add((covered, Unread::default()), (0, false)));
        seen.add((&Covered::default(), unread), (missing, false));
        seen
    }

    const NONE: Unread = Unread { late: 0, left_out: 0 };

    #[test]
    fn seconds_within_a_pane_are_one_and_those_at_borders_keep_their_number() {
        let seconds: Vec<_> = (10..20).map(|number| second(number, 1.0, 0.0)).collect();
        let whole = Covered::of_pane(pane(10_000, 20_000), &seconds);
        assert_eq!((whole.entries().count(), whole.records()), (1, 10));
        let early = Covered::of_pane(pane(10_000, 14_500), &seconds[..5]);
        let late = Covered::of_pane(pane(14_500, 20_000), &seconds[4..]);
        assert_eq!((early.entries().count(), late.entries().count()), (2, 2));
        assert_eq!((early.records(), late.records()), (5, 6));
        let seen = seen(&[early, late], NONE, 0);
        assert_eq!(seen.covered.records(), 10, "a window counts the second in the middle once");
    }

    #[test]
    fn what_is_missing_late_or_lost_is_not_complete() {
        let of = |delivered, missing| Covered::of_pane(pane(0, 10_000), &[second(3, delivered, missing)]);
        let complete = |seen: Seen| completeness(&[seen]);
        assert_eq!(complete(seen(&[of(10.0, 0.0)], NONE, 0)), Some(1.0));
        assert_eq!(complete(seen(&[of(6.0, 2.0)], NONE, 0)), Some(0.75));
        assert_eq!(complete(seen(&[of(6.0, -2.0)], NONE, 0)), Some(1.0));
        assert_eq!(complete(seen(&[of(6.0, 0.0)], NONE, 6)), Some(0.5));
        assert_eq!(complete(seen(&[of(6.0, 0.0)], Unread { late: 2, left_out: 0 }, 0)), Some(0.75));
        assert_eq!(complete(seen(&[of(6.0, 0.0)], Unread { late: 0, left_out: 3 }, 0)), Some(0.5));
        assert_eq!(complete(seen(&[of(6.0, f64::NAN)], NONE, 0)), None);
        assert_eq!(complete(seen(&[], NONE, 0)), None, "nothing is known");
        assert_eq!(complete(seen(&[], NONE, 3)), Some(0.0), "all of it is lost");
        let mut unknown = seen(&[of(6.0, 0.0)], NONE, 0);
        unknown.add((&Covered::default(), NONE), (0, true));
        assert_eq!(completeness(&[seen(&[of(6.0, 0.0)], NONE, 0), unknown]), None);
        let halves = [seen(&[of(6.0, 2.0)], NONE, 0), seen(&[of(1.0, 1.0)], NONE, 0)];
        assert_eq!(completeness(&halves), Some(0.5));
    }

    #[test]
    fn what_several_say_adds_up_within_a_bound() {
        let mut all = Covered::default();
        for number in 0..100 {
            let other = Covered::of_pane(pane(0, 500), &[second(number, 2.0, 1.0)]);
            all.append(&other);
        }
        assert_eq!((all.entries().count(), all.records()), (ENTRIES_MAX, 300));
        assert_eq!(all.part(0.5).records(), 150);
    }

    #[test]
    fn what_somebody_exaggerates_stays_a_number() {
        let said = |delivered, missing| Covered::of_pane(pane(0, 10_000), &[second(3, delivered, missing)]);
        let mut all = said(f64::MAX, f64::MIN);
        (0..3).for_each(|_| all.append(&said(f64::MAX, f64::MAX)));
        let are_finite =
            |(_, _, records): (_, _, Records)| records.delivered.is_finite() && records.missing.is_finite();
        assert!(all.entries().all(are_finite), "{all:?}");
        assert_eq!(completeness(&[seen(&[all.clone()], NONE, u64::MAX)]).map(f64::is_finite), Some(true));
        all.append(&said(1.0, f64::NAN));
        assert_eq!(completeness(&[seen(&[all], NONE, 0)]), None);
    }
}
