//! Which records of a sender were taken: all up to a mark, and some above it.
//!
//! A bare high-water mark would take what overtook others for all that was before it. The records above the mark are
//! kept apart until those between have come, and so are their watermarks: a watermark says that nothing is missing
//! before it, which is so only when the mark has passed it.

use crate::message::Covered;
use crate::names::{HalfId, Lineage, Position, SensorName};
use std::collections::BTreeMap;

/// How far a sender has come with a half, and who behind it has not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reach {
    pub(crate) half: HalfId,
    pub(crate) watermark: i64,
    pub(crate) behind: Vec<(SensorName, i64)>,
}

/// Octets that it takes to keep who is behind somebody, about.
pub(crate) fn octets_of(behind: &[(SensorName, i64)]) -> u64 {
    behind.iter().map(|(name, _)| 40 + name.as_str().len() as u64).sum()
}

/// Which records were taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    mark: Position,
    /// By its last position, a stretch of the chain; none touches another one.
    above: BTreeMap<Position, Stretch>,
    /// Octets of who is behind, of all stretches.
    behind_octets: u64,
}

/// Adjacent records of a chain, above the mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub(crate) after: Position,
    pub(crate) reaches: Vec<Reach>,
}

impl Stretch {
    fn behind_octets(&self) -> u64 {
        self.reaches.iter().map(|reach| octets_of(&reach.behind)).sum()
    }
}

/// How much of a stretch was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overlap {
    None,
    Some,
    All,
}

impl Seen {
    pub(crate) fn from_parts(mark: Position, above: BTreeMap<Position, Stretch>) -> Self {
        let behind_octets = above.values().map(Stretch::behind_octets).sum();
        Self { mark, above, behind_octets }
    }

    pub(crate) const fn mark(&self) -> Position {
        self.mark
    }

    pub(crate) const fn above(&self) -> &BTreeMap<Position, Stretch> {
        &self.above
    }

    /// Octets of who is behind, above the mark.
    pub(crate) const fn behind_octets(&self) -> u64 {
        self.behind_octets
    }

    pub(crate) fn contains(&self, position: Position) -> bool {
        let above = self.above.range(position..).next();
        position <= self.mark || above.is_some_and(|(_, stretch)| stretch.after < position)
    }

    pub(crate) fn overlap(&self, after: Position, last: Position) -> Overlap {
        let covers = self.above.range(last..).next().is_some_and(|(_, stretch)| stretch.after <= after);
        if last <= self.mark || covers {
            return Overlap::All;
        }
        if self.mark > after || self.meeting(after, last).next().is_some() {
            return Overlap::Some;
        }
        Overlap::None
    }

    /// The stretches that have records in common with this one.
    fn meeting(&self, after: Position, last: Position) -> impl Iterator<Item = Position> {
        let stretches = self.above.range(after..).skip_while(move |(end, _)| **end <= after);
        stretches.take_while(move |(_, stretch)| stretch.after < last).map(|(end, _)| *end)
    }

    /// Takes a stretch; gives what holds since the mark has passed it.
    pub(crate) fn take(&mut self, after: Position, last: Position, reach: Option<Reach>) -> Vec<Reach> {
        let (mut after, mut end, mut reaches) = (after, last, vec![]);
        for met in self.meeting(after, last).collect::<Vec<_>>() {
            if let Some(stretch) = self.above.remove(&met) {
                self.behind_octets -= stretch.behind_octets();
                (after, end) = (after.min(stretch.after), end.max(met));
                reaches.extend(stretch.reaches);
            }
        }
        reaches.extend(reach);
        if end > self.mark {
            let reaches = if reaches.len() > 1 { latest(reaches) } else { reaches };
            let stretch = Stretch { after, reaches };
            self.behind_octets += stretch.behind_octets();
            self.above.insert(end, stretch);
        }
        self.advance()
    }

    fn advance(&mut self) -> Vec<Reach> {
        let mut passed = vec![];
        while let Some(entry) = self.above.first_entry().filter(|entry| entry.get().after <= self.mark) {
            let (last, stretch) = entry.remove_entry();
            self.behind_octets -= stretch.behind_octets();
            self.mark = self.mark.max(last);
            passed.extend(stretch.reaches);
        }
        passed
    }

    pub(crate) fn covered(&self, lineage: Lineage) -> Covered {
        let above = self.above.iter().map(|(last, stretch)| (stretch.after, *last)).collect();
        Covered { lineage, mark: self.mark, above }
    }
}

/// Of each half what was said last, and how far it had come by then: however many records a stretch has, it is no longer
/// than that.
fn latest(reaches: Vec<Reach>) -> Vec<Reach> {
    let mut of_halves: BTreeMap<HalfId, Reach> = BTreeMap::new();
    for reach in reaches {
        let before = of_halves.get(&reach.half).map_or(i64::MIN, |before| before.watermark);
        let watermark = reach.watermark.max(before);
        of_halves.insert(reach.half, Reach { watermark, ..reach });
    }
    of_halves.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Incarnation;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn position(number: u64) -> Position {
        Position { incarnation: Incarnation(u64::from(number > 0)), number }
    }

    fn reach(watermark: i64) -> Reach {
        Reach { half: HalfId(0), watermark, behind: vec![] }
    }

    #[test]
    fn a_watermark_holds_when_all_before_it_has_come() {
        let mut seen = Seen::default();
        assert_eq!(seen.take(position(1), position(2), Some(reach(20))), []);
        assert!(seen.contains(position(2)) && !seen.contains(position(1)));
        assert_eq!(seen.take(position(0), position(1), Some(reach(10))), [reach(10), reach(20)]);
        assert_eq!((seen.mark(), seen.above().len()), (position(2), 0));
    }

    #[test]
    fn a_chain_goes_on_in_another_incarnation() {
        let later = Position { incarnation: Incarnation(9), number: 1 };
        let mut seen = Seen::default();
        assert_eq!(seen.take(position(3), later, Some(reach(5))), []);
        seen.take(position(0), position(3), None);
        assert_eq!(seen.mark(), later);
        assert!(seen.contains(position(4)), "what an incarnation did not make before it ended never comes");
    }

    #[test]
    fn of_records_that_cover_each_other_one_watermark_of_a_half_is_kept() {
        let mut seen = Seen::default();
        for number in 3..100 {
            assert_eq!(seen.take(position(1), position(number), Some(reach(number as i64))), []);
        }
        assert_eq!(seen.above().values().map(|stretch| stretch.reaches.len()).collect::<Vec<_>>(), [1]);
        assert_eq!(seen.take(position(0), position(1), None), [reach(99)]);
    }

    proptest! {
        #[test]
        fn it_is_what_a_set_of_numbers_is(stretches in prop::collection::vec((0_u64..40, 1_u64..6), 1..40)) {
            let (mut seen, mut model) = (Seen::default(), BTreeSet::new());
            for (after, length) in stretches {
                let numbers = after + 1..=after + length;
                let known = numbers.clone().filter(|number| model.contains(number)).count() as u64;
                let overlap = match known {
                    0 => Overlap::None,
                    _ if known == length => Overlap::All,
                    _ => Overlap::Some,
                };
                let said = seen.overlap(position(after), position(after + length));
                // Stretches that touch are apart above the mark: of both together some is said, never none.
                prop_assert!(said == overlap || (overlap, said) == (Overlap::All, Overlap::Some));
                prop_assert!(length > 1 || said == overlap, "of one record it is always known");
                let behind = vec![(SensorName::new("pop-1"), 0); length as usize];
                seen.take(position(after), position(after + length), Some(Reach { behind, ..reach(0) }));
                let octets: u64 = seen.above().values().map(Stretch::behind_octets).sum();
                prop_assert_eq!(seen.behind_octets(), octets);
                model.extend(numbers);
                for number in 1..60 {
                    prop_assert_eq!(seen.contains(position(number)), model.contains(&number));
                }
                let mark = (1..).find(|number| !model.contains(number)).unwrap_or(1) - 1;
                prop_assert_eq!(seen.mark(), position(mark));
            }
        }
    }
}
