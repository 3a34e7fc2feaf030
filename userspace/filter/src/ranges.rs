//! Sets of numbers.
//!
//! Whatever a condition compares a number with is such a set: `=`, `<>`, `<`, BETWEEN, IN and prefixes are sets, NOT is
//! the set of all others, OR is the set of both.

use std::sync::Arc;

/// Numbers, as ranges that neither overlap nor touch, ascending. They may be a million; clones share them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ranges(Arc<[(u128, u128)]>);

impl Ranges {
    /// Those from `first` to `last`, both included; none if `last` is less.
    #[must_use]
    pub fn between(first: u128, last: u128) -> Self {
        [(first, last)].into_iter().collect()
    }

    /// These.
    #[must_use]
    pub fn of(numbers: impl IntoIterator<Item = u128>) -> Self {
        numbers.into_iter().map(|number| (number, number)).collect()
    }

    /// Whether a number is among them.
    #[must_use]
    #[inline]
    pub fn holds(&self, number: u128) -> bool {
        let behind = self.0.partition_point(|(first, _)| *first <= number);
        behind.checked_sub(1).and_then(|at| self.0.get(at)).is_some_and(|(_, last)| number <= *last)
    }

    /// All others from 0 to `max`.
    pub(crate) fn others(&self, max: u128) -> Self {
        let mut gaps = vec![];
        let mut next = Some(0);
        for (first, last) in self.as_slice() {
            if let (Some(from), Some(to)) = (next, first.checked_sub(1)) {
                gaps.push((from, to.min(max)));
            }
            next = last.checked_add(1);
        }
        gaps.extend(next.map(|from| (from, max)));
        gaps.into_iter().collect()
    }

    pub(crate) fn as_slice(&self) -> &[(u128, u128)] {
        &self.0
    }

    /// The fewest prefixes that hold them, as addresses: the first one of each, and its bits.
    pub(crate) fn prefixes(&self) -> impl Iterator<Item = (u128, u32)> {
        self.0.iter().flat_map(|range| blocks(*range))
    }

    /// How many numbers they are, or more than fit.
    pub(crate) fn numbers(&self) -> u128 {
        let of = |(first, last): &(u128, u128)| (last - first).saturating_add(1);
        self.0.iter().map(of).fold(0, u128::saturating_add)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The numbers themselves, if there are no two beside each other.
    pub(crate) fn points(&self) -> Option<Vec<u128>> {
        self.0.iter().map(|(first, last)| (first == last).then_some(*first)).collect()
    }
}

impl FromIterator<(u128, u128)> for Ranges {
    fn from_iter<I: IntoIterator<Item = (u128, u128)>>(ranges: I) -> Self {
        let mut ranges: Vec<_> = ranges.into_iter().filter(|(first, last)| first <= last).collect();
        ranges.sort_unstable();
        ranges.dedup_by(|next, before| {
            let touches = next.0 <= before.1.saturating_add(1);
            if touches {
                before.1 = before.1.max(next.1);
            }
            touches
        });
        Self(ranges.into())
    }
}

/// The fewest prefixes that cover a range: the first address of each, and its bits.
fn blocks((first, last): (u128, u128)) -> impl Iterator<Item = (u128, u32)> {
    let mut next = Some(first);
    std::iter::from_fn(move || {
        let first = next?;
        let aligned = 128 - first.trailing_zeros();
        let bits = (aligned..=128).find(|bits| last_of(first, *bits) <= last).unwrap_or(128);
        next = last_of(first, bits).checked_add(1).filter(|next| *next <= last);
        Some((first, bits))
    })
}

/// The last address of a prefix.
pub(crate) fn last_of(first: u128, bits: u32) -> u128 {
    first | u128::MAX.checked_shr(bits).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_touch_are_one() {
        let ranges: Ranges = [(8, 9), (3, 5), (1, 2), (4, 4), (7, 6)].into_iter().collect();
        assert_eq!(ranges.as_slice(), [(1, 5), (8, 9)]);
        let held: Vec<u128> = (0..12).filter(|number| ranges.holds(*number)).collect();
        assert_eq!(held, [1, 2, 3, 4, 5, 8, 9]);
    }

    #[test]
    fn the_others_are_all_that_are_left() {
        for ranges in [vec![], vec![(0, 3)], vec![(2, 2), (4, 9)], vec![(0, 9)], vec![(5, u128::MAX)]] {
            let ranges: Ranges = ranges.into_iter().collect();
            let others = ranges.others(9);
            assert!((0..10).all(|number| others.holds(number) != ranges.holds(number)), "{others:?}");
            assert!(!others.holds(10));
        }
        assert_eq!(Ranges::of([u128::MAX]).others(u128::MAX).as_slice(), [(0, u128::MAX - 1)]);
        assert_eq!(Ranges::of([70_000]).others(65_535).as_slice(), [(0, 65_535)]);
    }

    #[test]
    fn prefixes_hold_the_same_numbers() {
        let ranges: Ranges = [(1, 6), (9, 9), (16, 31)].into_iter().collect();
        let prefixes: Vec<_> = ranges.prefixes().collect();
        assert_eq!(prefixes, [(1, 128), (2, 127), (4, 127), (6, 128), (9, 128), (16, 124)]);
        assert_eq!(ranges.numbers(), 6 + 1 + 16);
        let all = Ranges::between(0, u128::MAX);
        assert_eq!((all.prefixes().collect::<Vec<_>>(), all.numbers()), (vec![(0, 0)], u128::MAX));
    }

    #[test]
    fn points_are_told_one_by_one() {
        assert_eq!(Ranges::of([9, 5]).points(), Some(vec![5, 9]));
        assert_eq!(Ranges::of([5, 6]).points(), None);
    }
}
