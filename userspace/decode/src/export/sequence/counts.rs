//! What sequence numbers have told so far.

use std::ops::AddAssign;

/// What a tracker has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SequenceCounts {
    /// Units that never arrived.
    pub lost: u64,
    /// Messages that came after one with a higher number.
    pub reordered: u64,
    /// Messages whose number was seen already.
    pub duplicates: u64,
    /// Times that the numbers began anew.
    pub restarts: u64,
    /// Messages of unknown length, which made the next number unknown.
    pub uncertain: u64,
    /// Units of those messages, as far as the numbers after them tell; some of them may have been lost.
    pub uncertain_units: u64,
}

impl SequenceCounts {
    /// Units that did not arrive, as far as is known or may be.
    pub(in crate::export) const fn missing_units(&self) -> u64 {
        self.lost + self.uncertain_units
    }

    pub(super) const NONE: Self =
        Self { lost: 0, reordered: 0, duplicates: 0, restarts: 0, uncertain: 0, uncertain_units: 0 };

    /// In a sum, puts the counts `after` in the place of those `before`.
    pub(in crate::export) const fn replace(&mut self, before: Self, after: Self) {
        self.lost = self.lost - before.lost + after.lost;
        self.reordered = self.reordered - before.reordered + after.reordered;
        self.duplicates = self.duplicates - before.duplicates + after.duplicates;
        self.restarts = self.restarts - before.restarts + after.restarts;
        self.uncertain = self.uncertain - before.uncertain + after.uncertain;
        self.uncertain_units = self.uncertain_units - before.uncertain_units + after.uncertain_units;
    }
}

impl AddAssign for SequenceCounts {
    fn add_assign(&mut self, other: Self) {
        self.lost += other.lost;
        self.reordered += other.reordered;
        self.duplicates += other.duplicates;
        self.restarts += other.restarts;
        self.uncertain += other.uncertain;
        self.uncertain_units += other.uncertain_units;
    }
}
