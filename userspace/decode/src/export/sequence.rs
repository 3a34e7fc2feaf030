//! Sequence numbers: what was lost, what came late, what came twice, and who started anew.
//!
//! Takes the number and the length of each message in the protocol's unit (flows, datagrams, records,
//! samples), modulo 2^32. A gap counts as lost when it is seen; what arrives late takes it back. Numbers that
//! make no sense change nothing until the next one follows them: then the exporter has started anew.

use std::collections::VecDeque;

/// Gaps that are remembered, so that what arrives late is told from what arrives twice.
const GAPS_MAX: usize = 256;

/// A gap larger than this is no loss but another beginning.
const GAP_UNITS_MAX: u32 = 1 << 24;

/// Messages with one and the same number after which the exporter is said not to count.
const REPEATS_MAX: u32 = 8;

/// Follows the numbers of one exporter and domain.
#[derive(Clone, Debug)]
pub struct SequenceTracker {
    gaps_max: usize,
    /// The number that the next message should have; `None` until one told.
    next: Option<u32>,
    /// Where the last message of known length ended, while the next number is not known.
    uncertain_from: Option<u32>,
    /// What follows the last message that made no sense.
    candidate: Option<u32>,
    gaps: VecDeque<Gap>,
    last: Option<u32>,
    repeats: u32,
    /// Units of uncertain messages that became known, perhaps before the numbers told of them.
    settled_units: u64,
    counts: SequenceCounts,
}

/// Units that are missing.
#[derive(Clone, Copy, Debug)]
struct Gap {
    from: u32,
    units: u32,
}

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
    /// Times that messages of unknown length made the next number unknown.
    pub uncertain: u64,
    /// Units of those messages, as far as the numbers after them tell; some of them may have been lost.
    pub uncertain_units: u64,
}

/// How a message relates to those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The first one, or the first after a restart or an uncertain stretch; nothing can be said of what came before.
    First,
    /// Just the expected one.
    InOrder,
    /// So many units are missing before it.
    Gap(u32),
    /// It fills a gap.
    Late,
    /// Its number was seen already, or makes no sense.
    Repeated,
}

impl Default for SequenceTracker {
    fn default() -> Self {
        Self::with_gaps_max(GAPS_MAX)
    }
}

impl SequenceCounts {
    /// In a sum, puts the counts `after` in the place of those `before`.
    pub(super) fn replace(&mut self, before: Self, after: Self) {
        let Self { lost, reordered, duplicates, restarts, uncertain, uncertain_units } = self;
        *lost = *lost - before.lost + after.lost;
        *reordered = *reordered - before.reordered + after.reordered;
        *duplicates = *duplicates - before.duplicates + after.duplicates;
        *restarts = *restarts - before.restarts + after.restarts;
        *uncertain = *uncertain - before.uncertain + after.uncertain;
        *uncertain_units = *uncertain_units - before.uncertain_units + after.uncertain_units;
    }
}

impl SequenceTracker {
    /// A tracker that remembers so many gaps.
    #[must_use]
    pub fn with_gaps_max(gaps_max: usize) -> Self {
        Self {
            gaps_max,
            next: None,
            uncertain_from: None,
            candidate: None,
            gaps: VecDeque::new(),
            last: None,
            repeats: 0,
            settled_units: 0,
            counts: SequenceCounts::default(),
        }
    }

    /// Notes a message that begins at `sequence` and holds `units`; `restarted` says that its sender is known
    /// to have started anew.
    pub fn observe(&mut self, sequence: u32, units: u32, restarted: bool) -> Arrival {
        let end = sequence.wrapping_add(units);
        if let Some(from) = self.uncertain_from.take().filter(|_| !restarted) {
            let units = sequence.wrapping_sub(from);
            self.counts.uncertain_units += u64::from(if units <= GAP_UNITS_MAX { units } else { 0 });
        }
        let Some(next) = self.next.filter(|_| !self.never_counts(sequence, units)) else {
            return self.begin(end);
        };
        let ahead = sequence.wrapping_sub(next);
        if ahead == 0 {
            (self.next, self.candidate) = (Some(end), None);
            return Arrival::InOrder;
        }
        if restarted || self.candidate == Some(sequence) && !self.is_missing(sequence, units) {
            // The one before began the new numbers; it was taken for a repetition.
            self.counts.duplicates -= u64::from(self.candidate == Some(sequence)).min(self.counts.duplicates);
            self.counts.restarts += 1;
            return self.begin(end);
        }
        if ahead <= GAP_UNITS_MAX {
            self.note_gap(Gap { from: next, units: ahead });
            (self.next, self.candidate) = (Some(end), None);
            return Arrival::Gap(ahead);
        }
        if units == 0 || self.fill(sequence, units) {
            self.counts.reordered += u64::from(units > 0);
            return Arrival::Late;
        }
        self.counts.duplicates += 1;
        self.candidate = Some(end);
        Arrival::Repeated
    }

    /// Notes that the length of the last message is not known, so that the next number is not either.
    pub fn lose_track(&mut self) {
        self.uncertain_from = self.next.take();
        self.counts.uncertain += u64::from(self.uncertain_from.is_some());
    }

    /// Notes that so many units of uncertain messages became known after all.
    pub fn settle(&mut self, units: u64) {
        self.settled_units += units;
    }

    /// The number that the next message should have.
    #[must_use]
    pub const fn next(&self) -> Option<u32> {
        self.next
    }

    /// What was seen so far.
    #[must_use]
    pub const fn counts(&self) -> SequenceCounts {
        let uncertain_units = self.counts.uncertain_units.saturating_sub(self.settled_units);
        SequenceCounts { uncertain_units, ..self.counts }
    }

    fn begin(&mut self, end: u32) -> Arrival {
        (self.next, self.candidate) = (Some(end), None);
        self.gaps.clear();
        Arrival::First
    }

    /// Whether the exporter gives every message the same number, which is what those do that do not count.
    fn never_counts(&mut self, sequence: u32, units: u32) -> bool {
        if self.last != Some(sequence) {
            (self.last, self.repeats) = (Some(sequence), 0);
            return false;
        }
        if units > 0 {
            self.repeats = self.repeats.saturating_add(1);
        }
        if self.repeats == REPEATS_MAX {
            self.counts.duplicates = self.counts.duplicates.saturating_sub(u64::from(REPEATS_MAX) - 1);
        }
        self.repeats >= REPEATS_MAX
    }

    fn note_gap(&mut self, gap: Gap) {
        self.counts.lost += u64::from(gap.units);
        if self.gaps.len() >= self.gaps_max {
            self.gaps.pop_front();
        }
        self.gaps.push_back(gap);
    }

    fn is_missing(&self, sequence: u32, units: u32) -> bool {
        self.gaps.iter().any(|gap| gap.holds(sequence, units))
    }

    /// Takes units out of the gap that holds them; says whether one did.
    fn fill(&mut self, sequence: u32, units: u32) -> bool {
        let Some(position) = self.gaps.iter().position(|gap| gap.holds(sequence, units)) else {
            return false;
        };
        let Some(gap) = self.gaps.remove(position) else { return false };
        let before = sequence.wrapping_sub(gap.from);
        let after = gap.units - before - units;
        let parts =
            [Gap { from: gap.from, units: before }, Gap { from: sequence.wrapping_add(units), units: after }];
        for part in parts.into_iter().filter(|part| part.units > 0).rev() {
            self.gaps.insert(position, part);
        }
        self.counts.lost -= u64::from(units).min(self.counts.lost);
        true
    }
}

impl Gap {
    fn holds(self, sequence: u32, units: u32) -> bool {
        let before = sequence.wrapping_sub(self.from);
        units > 0 && before < self.units && units <= self.units - before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost_of(messages: &[(u32, u32)]) -> SequenceCounts {
        let mut tracker = SequenceTracker::default();
        for &(sequence, units) in messages {
            tracker.observe(sequence, units, false);
        }
        tracker.counts()
    }

    #[test]
    fn gaps_are_lost_until_they_are_filled() {
        assert_eq!(lost_of(&[(5, 10), (15, 5)]), SequenceCounts::default());
        assert_eq!(lost_of(&[(0, 10), (30, 10)]).lost, 20);
        let counts = lost_of(&[(0, 10), (30, 10), (20, 10), (40, 1)]);
        assert_eq!((counts.lost, counts.reordered, counts.duplicates), (10, 1, 0));
        let counts = lost_of(&[(0, 10), (30, 10), (20, 10), (10, 10), (40, 1)]);
        assert_eq!((counts.lost, counts.reordered), (0, 2));
        assert_eq!(lost_of(&[(u32::MAX, 1), (1, 1)]).lost, 1, "numbers wrap");
    }

    #[test]
    fn what_comes_twice_is_no_loss() {
        let counts = lost_of(&[(0, 10), (10, 10), (10, 10), (20, 10)]);
        assert_eq!((counts.lost, counts.duplicates, counts.restarts), (0, 1, 0));
    }

    #[test]
    fn a_restart_is_seen_by_its_second_message() {
        let counts = lost_of(&[(5_000, 10), (0, 10), (10, 10), (20, 10)]);
        assert_eq!((counts.lost, counts.duplicates, counts.restarts), (0, 0, 1));
        let counts = lost_of(&[(0, 10), (1 << 30, 10), (10, 10)]);
        assert_eq!((counts.lost, counts.duplicates, counts.restarts), (0, 1, 0), "one odd number");
    }

    #[test]
    fn a_sender_known_to_have_restarted_begins_anew() {
        let mut tracker = SequenceTracker::default();
        tracker.observe(100, 10, false);
        assert_eq!(tracker.observe(0, 10, true), Arrival::First);
        assert_eq!(tracker.observe(10, 10, false), Arrival::InOrder);
        assert_eq!(tracker.counts().restarts, 1);
    }

    #[test]
    fn an_exporter_that_does_not_count_loses_nothing() {
        let counts = lost_of(&[(0, 30); 100]);
        assert_eq!((counts.lost, counts.restarts), (0, 0));
        assert_eq!(counts.duplicates, 0);
    }

    #[test]
    fn messages_of_unknown_length_are_uncertain() {
        let mut tracker = SequenceTracker::default();
        tracker.observe(0, 10, false);
        tracker.lose_track();
        assert_eq!(tracker.observe(500, 10, false), Arrival::First);
        assert_eq!((tracker.counts().uncertain, tracker.counts().lost), (1, 0));
        assert_eq!(tracker.counts().uncertain_units, 490);
        tracker.settle(400);
        assert_eq!(tracker.counts().uncertain_units, 90);
    }
}
