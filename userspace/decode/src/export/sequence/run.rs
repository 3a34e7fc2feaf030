//! One run of numbers, from a beginning on: how far it has come, and what is missing of it.

use super::counts::SequenceCounts;
use super::gaps::{Gap, Gaps};

/// A gap larger than this is no loss but another beginning.
const GAP_UNITS_MAX: u32 = 1 << 24;

/// Among so many first messages of a run there may be some from before its first one, which are late.
const EARLY_MESSAGES: u32 = 8;
/// A message from before the first one is late, and no other beginning, when the first one is no further away than so
/// many messages of its length.
const EARLY_REACH: u32 = 16;
/// The length that is assumed of a message whose length is not known.
const UNKNOWN_UNITS: u32 = 64;

/// Numbers that follow each other.
#[derive(Clone, Debug)]
pub(super) struct Run {
    first: u32,
    next: u32,
    messages: u32,
    late_messages: u32,
    tail: Tail,
    gaps: Gaps,
    reordered: u64,
    pub(super) duplicates: u64,
    uncertain: u64,
}

/// What is known of the last message's length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tail {
    /// All.
    Known,
    /// A part of the message waits to be understood.
    Waiting,
    /// A part of the message was not understood.
    Unknown,
}

/// How a message fits in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    InOrder,
    Gap(u32),
    Late,
    /// The message's numbers are known already, or far from all others.
    Stray,
}

impl Run {
    pub(super) fn new(sequence: u32, units: u32, late_messages: u32) -> Self {
        Self {
            first: sequence,
            next: sequence.wrapping_add(units),
            messages: 1,
            late_messages,
            tail: Tail::Known,
            gaps: Gaps::new(2 * late_messages as usize),
            reordered: 0,
            duplicates: 0,
            uncertain: 0,
        }
    }

    /// The number that the next message should have.
    pub(super) const fn next(&self) -> u32 {
        self.next
    }

    /// Whether the number is within the run.
    pub(super) const fn reaches(&self, sequence: u32) -> bool {
        sequence.wrapping_sub(self.first) < self.next.wrapping_sub(self.first)
    }

    /// Whether a message of this number would go on with the run, perhaps behind a gap.
    pub(super) const fn is_ahead(&self, sequence: u32) -> bool {
        sequence.wrapping_sub(self.next) <= GAP_UNITS_MAX
    }

    /// Whether the number lies in a gap.
    pub(super) fn is_missing(&self, sequence: u32) -> bool {
        self.gaps.hold(sequence)
    }

    /// What this run has come to.
    pub(super) const fn counts(&self) -> SequenceCounts {
        SequenceCounts {
            lost: self.gaps.lost,
            reordered: self.reordered,
            duplicates: self.duplicates,
            restarts: 0,
            uncertain: self.uncertain,
            uncertain_units: self.gaps.uncertain,
        }
    }

    /// The run's units that did not arrive, as far as is known or may be.
    pub(super) const fn missing_units(&self) -> u64 {
        self.gaps.lost + self.gaps.uncertain
    }

    /// Notes a message; one that strays is the caller's to count.
    pub(super) fn note(&mut self, sequence: u32, units: u32) -> Fit {
        self.messages = self.messages.saturating_add(1);
        if self.is_ahead(sequence) {
            return self.go_on(sequence.wrapping_sub(self.next), units);
        }
        if units == 0 {
            return Fit::Late;
        }
        let oldest = self.messages.saturating_sub(self.late_messages);
        if self.gaps.take(sequence, units, oldest) || self.begin_earlier(sequence, units, units) {
            self.reordered += 1;
            return Fit::Late;
        }
        Fit::Stray
    }

    /// Notes that the length of the message that seems to end there is not wholly known; `is_waiting` says that
    /// it may become known.
    pub(super) fn lose_track(&mut self, end: u32, is_waiting: bool) {
        self.uncertain += 1;
        if end == self.next {
            self.tail = if is_waiting { Tail::Waiting } else { Tail::Unknown };
            return;
        }
        if !self.begin_earlier(end, 0, UNKNOWN_UNITS) {
            self.gaps.doubt(end);
        }
        if !is_waiting {
            self.gaps.give_up(end, None);
        }
    }

    /// Notes units that waited, from there on; says whether they were missing.
    pub(super) fn settle(&mut self, from: u32, units: u32) -> bool {
        if from == self.next && self.tail == Tail::Waiting {
            self.next = self.next.wrapping_add(units);
            return true;
        }
        units == 0 || self.gaps.take(from, units, 0)
    }

    /// Notes that a message will not become known: what it has from there on, up to the next that waits.
    pub(super) fn give_up(&mut self, from: u32, until: Option<u32>) {
        if from == self.next && self.tail == Tail::Waiting {
            self.tail = Tail::Unknown;
        }
        self.gaps.give_up(from, until);
    }

    /// Notes that no message waits any more.
    pub(super) fn settle_all(&mut self) {
        self.gaps.settle();
        if self.tail == Tail::Waiting {
            self.tail = Tail::Known;
        }
    }

    fn go_on(&mut self, ahead: u32, units: u32) -> Fit {
        match self.tail {
            _ if ahead == 0 => {}
            Tail::Unknown => self.gaps.note_unknown(ahead),
            tail => {
                let is_uncertain = tail == Tail::Waiting;
                let gap = Gap { from: self.next, units: ahead, is_uncertain, seen_at: self.messages };
                self.gaps.note(gap);
            }
        }
        if ahead + units > 0 {
            self.tail = Tail::Known;
        }
        self.next = self.next.wrapping_add(ahead).wrapping_add(units);
        if ahead == 0 { Fit::InOrder } else { Fit::Gap(ahead) }
    }

    /// Whether the run began with that message and not with the one that came first. Of `units` it is known that
    /// they arrived, `length` is what the message seems to hold.
    fn begin_earlier(&mut self, sequence: u32, units: u32, length: u32) -> bool {
        let from = sequence.wrapping_add(units);
        let missing = self.first.wrapping_sub(from);
        let is_early = self.messages <= EARLY_MESSAGES && missing <= length.saturating_mul(EARLY_REACH);
        if is_early && missing > 0 {
            let (is_uncertain, seen_at) = (units < length, self.messages);
            self.gaps.note(Gap { from, units: missing, is_uncertain, seen_at });
        }
        if is_early {
            self.first = sequence;
        }
        is_early
    }
}
