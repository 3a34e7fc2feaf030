//! The units that are missing between those that arrived.
//!
//! A gap is lost, or uncertain as long as messages of unknown length lie in it. What arrives late, or becomes
//! known late, is taken out of its gap. Of many gaps only the latest can be filled; the others stay counted.

use std::collections::VecDeque;

/// Units that are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) from: u32,
    pub(super) units: u32,
    /// Whether some of them may have arrived in messages that are not yet understood.
    pub(super) is_uncertain: bool,
    /// How many messages the run had when the gap was seen.
    pub(super) seen_at: u32,
}

/// The gaps of one run of numbers.
#[derive(Clone, Debug)]
pub(super) struct Gaps {
    list: VecDeque<Gap>,
    max: usize,
    /// Units of all gaps ever, less what was taken out of them.
    pub(super) lost: u64,
    pub(super) uncertain: u64,
}

impl Gaps {
    pub(super) const fn new(max: usize) -> Self {
        Self { list: VecDeque::new(), max, lost: 0, uncertain: 0 }
    }

    /// Counts a gap and remembers it.
    pub(super) fn note(&mut self, gap: Gap) {
        *self.sum_of(gap) += u64::from(gap.units);
        if let Some(last) = self.list.back_mut().filter(|last| last.goes_on_in(&gap)) {
            last.units += gap.units;
            last.seen_at = gap.seen_at;
            return;
        }
        if self.list.len() >= self.max {
            self.list.pop_front();
        }
        self.list.push_back(gap);
    }

    /// Whether a unit is missing.
    pub(super) fn hold(&self, unit: u32) -> bool {
        self.list.iter().any(|gap| gap.holds(unit, 1))
    }

    /// Counts units that nobody will ever know more about.
    pub(super) const fn note_unknown(&mut self, units: u32) {
        self.uncertain += units as u64;
    }

    /// Takes units out of the gap that holds them all, if it was seen no earlier than after `oldest` messages;
    /// says whether one did.
    pub(super) fn take(&mut self, from: u32, units: u32, oldest: u32) -> bool {
        let is_holder = |gap: &Gap| gap.holds(from, units) && gap.seen_at >= oldest;
        let holder = self.list.iter().position(is_holder);
        let Some(gap) = holder.and_then(|place| self.cut(place, from, units)) else { return false };
        let sum = self.sum_of(gap);
        *sum = sum.saturating_sub(u64::from(units));
        true
    }

    /// A message of unknown length begins there: its gap, if it lies in one, is lost no more.
    pub(super) fn doubt(&mut self, at: u32) {
        let Self { list, lost, uncertain, .. } = self;
        let gap = list.iter_mut().find(|gap| gap.holds(at, 1) && !gap.is_uncertain);
        if let Some(gap) = gap {
            gap.is_uncertain = true;
            let units = u64::from(gap.units).min(*lost);
            (*lost, *uncertain) = (*lost - units, *uncertain + units);
        }
    }

    /// A message of unknown length, which begins there, will not become known: neither will what follows it in
    /// its gap, up to the beginning of another one.
    pub(super) fn give_up(&mut self, from: u32, until: Option<u32>) {
        let Some(place) = self.list.iter().position(|gap| gap.holds(from, 1) && gap.is_uncertain) else {
            return;
        };
        let gap = self.list[place];
        let rest = gap.units - from.wrapping_sub(gap.from);
        let units = until.map_or(rest, |until| until.wrapping_sub(from)).clamp(1, rest);
        self.cut(place, from, units);
    }

    /// No message of unknown length is left: what is still missing was lost.
    pub(super) fn settle(&mut self) {
        for gap in self.list.iter_mut().filter(|gap| gap.is_uncertain) {
            gap.is_uncertain = false;
            let units = u64::from(gap.units).min(self.uncertain);
            self.uncertain -= units;
            self.lost += units;
        }
    }

    /// Cuts units out of a gap, leaving what was before and behind them; gives the gap as it was.
    fn cut(&mut self, place: usize, from: u32, units: u32) -> Option<Gap> {
        let gap = self.list.remove(place)?;
        let before = from.wrapping_sub(gap.from);
        let behind = Gap { from: from.wrapping_add(units), units: gap.units - before - units, ..gap };
        let parts = [Gap { units: before, ..gap }, behind];
        for part in parts.into_iter().filter(|part| part.units > 0).rev() {
            self.list.insert(place, part);
        }
        Some(gap)
    }

    fn sum_of(&mut self, gap: Gap) -> &mut u64 {
        if gap.is_uncertain { &mut self.uncertain } else { &mut self.lost }
    }
}

impl Gap {
    fn holds(&self, from: u32, units: u32) -> bool {
        let before = from.wrapping_sub(self.from);
        units > 0 && before < self.units && units <= self.units - before
    }

    /// Whether the other gap is the rest of this one. Their sum stays far from the numbers' own range.
    fn goes_on_in(&self, other: &Self) -> bool {
        const UNITS_MAX: u32 = 1 << 30;
        self.is_uncertain == other.is_uncertain
            && self.from.wrapping_add(self.units) == other.from
            && self.units <= UNITS_MAX - other.units.min(UNITS_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gap(from: u32, units: u32, is_uncertain: bool) -> Gap {
        Gap { from, units, is_uncertain, seen_at: from }
    }

    #[test]
    fn a_gap_is_cut_into_parts() {
        let mut gaps = Gaps::new(4);
        gaps.note(gap(u32::MAX - 4, 20, false));
        assert!(gaps.take(0, 5, 0) && !gaps.take(0, 5, 0) && !gaps.take(4, 2, 0) && gaps.take(5, 10, 0));
        assert_eq!(gaps.list, [gap(u32::MAX - 4, 5, false)]);
        assert_eq!(gaps.lost, 5);
    }

    #[test]
    fn the_oldest_gap_is_forgotten_but_counts() {
        let mut gaps = Gaps::new(2);
        [10, 20, 30].iter().for_each(|from| gaps.note(gap(*from, 1, false)));
        assert!(!gaps.take(10, 1, 0) && !gaps.take(20, 1, 21) && gaps.take(20, 1, 20));
        assert_eq!(gaps.lost, 2);
    }

    #[test]
    fn what_is_doubtful_is_lost_in_the_end_unless_it_is_given_up() {
        let mut gaps = Gaps::new(4);
        gaps.note(gap(0, 10, true));
        gaps.note(gap(10, 10, true));
        gaps.note(gap(30, 10, false));
        gaps.doubt(35);
        assert_eq!((gaps.lost, gaps.uncertain, gaps.list.len()), (0, 30, 2));
        gaps.give_up(5, Some(15));
        assert!(!gaps.take(5, 1, 0) && gaps.take(15, 5, 0));
        gaps.settle();
        assert_eq!((gaps.lost, gaps.uncertain), (15, 10));
    }
}
