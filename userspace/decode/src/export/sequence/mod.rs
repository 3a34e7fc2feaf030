//! Sequence numbers: what was lost, what came late, what came twice, and who started anew.
//!
//! Takes the number and the length of each message in the protocol's unit (flows, datagrams, records,
//! samples), modulo 2^32. A gap counts as lost when it is seen; what arrives late takes it back. Numbers that
//! make no sense begin a rival run: when it goes on twice where the known one does not, the exporter has started
//! anew, and its messages count as the rival run has it from its beginning.

mod counts;
mod gaps;
mod run;

pub use counts::SequenceCounts;

use run::{Fit, Run};

/// What is missing may come so many messages late. What comes later is rather a new beginning, or comes twice.
const LATE_MESSAGES: u32 = 128;

/// Messages with one and the same number after which the exporter is said not to count.
const REPEATS_MAX: u32 = 8;

/// Messages that must follow the first one of a rival run.
const CONFIRMATIONS: u32 = 2;

/// Follows the numbers of one exporter and domain.
#[derive(Clone, Debug)]
pub struct SequenceTracker {
    late_messages: u32,
    /// `None` until a number was told.
    run: Option<Run>,
    /// The run before it, of which messages may still wait to be understood.
    former: Option<Box<Run>>,
    rival: Option<Box<Rival>>,
    /// What the runs before those have come to, and how often numbers began anew.
    before: SequenceCounts,
    last: Option<u32>,
    repeats: u32,
    /// Where the last message ended, as far as it is known.
    end: u32,
    /// Whether it goes on from an earlier run, and no message has come since.
    is_resumed: bool,
    /// Units that went missing since that earlier run, before the first message of this one.
    missed: u64,
    /// Whether that first message says nothing of them.
    is_cut_off: bool,
}

/// A run that would explain numbers which make no sense.
#[derive(Clone, Debug)]
struct Rival {
    run: Run,
    confirmations: u32,
    /// Messages that count as repeated for as long as this is not the run.
    messages: u64,
}

/// How a message relates to those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The first one, or the first after a restart; nothing can be said of what came before.
    First,
    /// The message is the expected one.
    InOrder,
    /// So many units are missing before the message, or belong to messages of unknown length.
    Gap(u32),
    /// The message fills a gap.
    Late,
    /// The message's number was seen already, or makes no sense.
    Repeated,
}

impl Default for SequenceTracker {
    fn default() -> Self {
        Self::with_late_messages(LATE_MESSAGES)
    }
}

impl SequenceTracker {
    /// A tracker that recognises what comes so many messages late. It remembers two gaps a message.
    #[must_use]
    pub(crate) const fn with_late_messages(late_messages: u32) -> Self {
        Self {
            late_messages,
            run: None,
            former: None,
            rival: None,
            before: SequenceCounts::NONE,
            last: None,
            repeats: 0,
            end: 0,
            is_resumed: false,
            missed: 0,
            is_cut_off: false,
        }
    }

    /// Notes a message that begins at `sequence` and holds `units`; `restarted` says that its sender is known
    /// to have started anew.
    pub(crate) fn observe(&mut self, sequence: u32, units: u32, restarted: bool) -> Arrival {
        self.end = sequence.wrapping_add(units);
        let never_counts = self.never_counts(sequence, units);
        let Some(run) = self.run.as_mut().filter(|_| !never_counts) else {
            return self.begin(Run::new(sequence, units, self.late_messages));
        };
        let is_expected = run.next() == sequence;
        let is_resumed = std::mem::take(&mut self.is_resumed);
        if restarted && !is_expected {
            self.is_cut_off |= is_resumed;
            return self.begin_anew(sequence, units);
        }
        // That a rival run goes on just there tells more than that a gap might be filled.
        let rival_expects = |rival: &Rival| units > 0 && rival.run.next() == sequence;
        if !is_expected && self.rival.as_deref().is_some_and(rival_expects) {
            return self.note_stray(sequence, units);
        }
        let fit = run.note(sequence, units);
        match fit {
            Fit::Gap(missing) if is_resumed => self.missed += u64::from(missing),
            Fit::Stray if is_resumed => self.is_cut_off = true,
            _ => {}
        }
        match fit {
            Fit::Stray => self.note_stray(sequence, units),
            Fit::Late => Arrival::Late,
            Fit::InOrder => self.go_on(units, Arrival::InOrder),
            Fit::Gap(missing) => self.go_on(units, Arrival::Gap(missing)),
        }
    }

    /// Goes on where another one was: the next message should have this number.
    pub(super) fn resume(&mut self, next: u32) {
        self.run = Some(Run::new(next, 0, self.late_messages));
        self.is_resumed = true;
    }

    /// Units that went missing between the tracker that it was resumed from and its first message.
    pub(super) const fn missed_units(&self) -> u64 {
        self.missed
    }

    /// Whether its first message did not go on where the tracker was that it was resumed from: nobody knows what went
    /// missing between them.
    pub(super) const fn is_cut_off(&self) -> bool {
        self.is_cut_off
    }

    /// Notes that the length of the last message is not wholly known, so that the next number is not either;
    /// `is_waiting` says that it may become known.
    pub(crate) fn lose_track(&mut self, is_waiting: bool) {
        if let Some(run) = &mut self.run {
            run.lose_track(self.end, is_waiting);
        }
    }

    /// Notes units of a message that waited, from that number on.
    pub fn settle(&mut self, from: u32, units: u32) {
        let mut runs = self.run.as_mut().into_iter().chain(self.former.as_deref_mut());
        if !runs.any(|run| run.settle(from, units)) {
            self.before.duplicates += 1;
        }
    }

    /// Notes that a message waited in vain: its numbers from there on will not become known, up to those of
    /// the next message that waits.
    pub fn give_up(&mut self, from: u32, until: Option<u32>) {
        if let Some(run) = &mut self.run {
            run.give_up(from, until);
        }
    }

    /// Notes that no message waits any more: what is still missing was lost.
    pub(crate) fn settle_all(&mut self) {
        let runs = self.run.as_mut().into_iter().chain(self.former.as_deref_mut());
        runs.for_each(Run::settle_all);
    }

    /// Notes that the sender is gone: the next message begins anew, and that is no restart.
    pub(super) fn end_run(&mut self) {
        *self = Self { before: self.counts(), ..Self::with_late_messages(self.late_messages) };
    }

    /// The number that the next message should have.
    #[must_use]
    pub fn next(&self) -> Option<u32> {
        self.run.as_ref().map(Run::next)
    }

    /// Whether this number is missing so far, so that its message comes late.
    pub(super) fn is_missing(&self, sequence: u32) -> bool {
        self.run.as_ref().is_some_and(|run| run.is_missing(sequence))
    }

    /// What was seen so far.
    #[must_use]
    pub fn counts(&self) -> SequenceCounts {
        let mut counts = self.before;
        let runs = self.run.iter().chain(self.former.as_deref());
        runs.for_each(|run| counts += run.counts());
        counts
    }

    /// Units of [`Self::counts`] that did not arrive; asked for at every message.
    pub(super) fn missing_units(&self) -> u64 {
        let runs = [self.run.as_ref(), self.former.as_deref()];
        runs.into_iter().flatten().fold(self.before.missing_units(), |units, run| units + run.missing_units())
    }

    /// The known run goes on, and a rival one is none.
    fn go_on(&mut self, units: u32, arrival: Arrival) -> Arrival {
        if units > 0 {
            self.rival = None;
        }
        arrival
    }

    /// Another run takes the place of the known one.
    fn begin(&mut self, run: Run) -> Arrival {
        self.rival = None;
        let former = std::mem::replace(&mut self.former, self.run.replace(run).map(Box::new));
        if let Some(former) = former {
            self.before += former.counts();
        }
        Arrival::First
    }

    /// The first message of a sender that is known to have started anew, or one soon after it.
    fn begin_anew(&mut self, sequence: u32, units: u32) -> Arrival {
        if let Some(rival) = self.rival.take().and_then(|rival| rival.with(sequence, units)) {
            return self.adopt(rival);
        }
        self.before.restarts += 1;
        self.begin(Run::new(sequence, units, self.late_messages))
    }

    /// A message that makes no sense in the known run: the first of a rival one, or one more of it.
    fn note_stray(&mut self, sequence: u32, units: u32) -> Arrival {
        if let Some(run) = &mut self.run {
            run.duplicates += 1;
        }
        let new =
            || Rival { run: Run::new(sequence, units, self.late_messages), confirmations: 0, messages: 1 };
        let known = self.rival.take().and_then(|rival| rival.with(sequence, units));
        let rival = known.map_or_else(new, |rival| Rival { messages: rival.messages + 1, ..rival });
        if rival.confirmations < CONFIRMATIONS {
            self.rival = Some(Box::new(rival));
            return Arrival::Repeated;
        }
        self.adopt(rival)
    }

    /// The rival run is the true one: its messages were no repetitions.
    fn adopt(&mut self, rival: Rival) -> Arrival {
        if let Some(run) = &mut self.run {
            run.duplicates = run.duplicates.saturating_sub(rival.messages);
        }
        self.before.restarts += 1;
        self.begin(rival.run)
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
        if let Some(run) = self.run.as_mut().filter(|_| self.repeats == REPEATS_MAX) {
            run.duplicates = run.duplicates.saturating_sub(u64::from(REPEATS_MAX) - 1);
        }
        self.repeats >= REPEATS_MAX
    }
}

impl Rival {
    /// The run with one message more; `None` when that one is not of it.
    fn with(mut self, sequence: u32, units: u32) -> Option<Self> {
        let is_known = self.run.reaches(sequence);
        match self.run.note(sequence, units) {
            Fit::InOrder | Fit::Late => self.confirmations += 1,
            Fit::Gap(_) => {}
            Fit::Stray if is_known => self.run.duplicates += 1,
            Fit::Stray => return None,
        }
        Some(self)
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
    fn a_restart_is_seen_by_its_third_message() {
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
    fn a_restart_loses_what_is_missing_behind_it() {
        let counts = lost_of(&[(500, 10), (0, 10), (30, 10), (10, 10), (40, 10), (50, 10)]);
        assert_eq!((counts.lost, counts.reordered, counts.restarts), (10, 1, 1));
        assert_eq!(counts.duplicates, 0);
    }

    #[test]
    fn what_went_missing_between_two_runs_is_known() {
        let resumed = |next: u32, messages: &[(u32, u32)]| {
            let mut tracker = SequenceTracker::default();
            tracker.resume(next);
            for &(sequence, units) in messages {
                tracker.observe(sequence, units, false);
            }
            (tracker.missed_units(), tracker.counts().lost, tracker.counts().restarts)
        };
        assert_eq!(resumed(100, &[(100, 10), (110, 10)]), (0, 0, 0));
        assert_eq!(resumed(100, &[(150, 10), (160, 10), (175, 5)]), (50, 55, 0));
        assert_eq!(resumed(u32::MAX, &[(9, 10)]), (10, 10, 0), "numbers wrap");
        assert_eq!(resumed(1 << 30, &[(0, 10), (10, 10), (20, 10)]), (0, 0, 1), "the exporter began anew");
    }

    #[test]
    fn a_restart_may_look_like_what_was_missing() {
        let counts = lost_of(&[(0, 10), (10, 10), (30, 10), (40, 10), (0, 10), (10, 10), (20, 10)]);
        assert_eq!((counts.lost, counts.reordered, counts.restarts), (10, 0, 1));
    }

    #[test]
    fn two_that_come_again_in_order_are_no_restart() {
        let counts = lost_of(&[(0, 10), (10, 10), (20, 10), (0, 10), (10, 10), (30, 10)]);
        assert_eq!((counts.lost, counts.duplicates, counts.restarts), (0, 2, 0));
    }

    #[test]
    fn the_first_ones_may_be_late() {
        let counts = lost_of(&[(30, 10), (40, 10), (0, 10), (50, 10), (10, 10)]);
        assert_eq!((counts.lost, counts.reordered, counts.duplicates), (10, 2, 0));
    }

    /// A message of which nothing is known but its number.
    fn observe_unknown(tracker: &mut SequenceTracker, sequence: u32) {
        tracker.observe(sequence, 0, false);
        tracker.lose_track(true);
    }

    #[test]
    fn messages_of_unknown_length_are_uncertain() {
        let mut tracker = SequenceTracker::default();
        tracker.observe(0, 10, false);
        tracker.lose_track(true);
        assert_eq!(tracker.observe(500, 10, false), Arrival::Gap(490));
        let counts = tracker.counts();
        assert_eq!((counts.uncertain, counts.lost, counts.uncertain_units), (1, 0, 490));
        tracker.settle(10, 400);
        assert_eq!((tracker.counts().lost, tracker.counts().uncertain_units), (0, 90));
        tracker.settle_all();
        assert_eq!((tracker.counts().lost, tracker.counts().uncertain_units), (90, 0));
    }

    #[test]
    fn what_becomes_known_twice_came_twice() {
        let mut tracker = SequenceTracker::default();
        [0, 0, 20, 10].iter().for_each(|sequence| observe_unknown(&mut tracker, *sequence));
        assert_eq!(tracker.counts().uncertain_units, 20);
        [0, 0, 20, 10].iter().for_each(|sequence| tracker.settle(*sequence, 10));
        tracker.settle_all();
        tracker.observe(30, 10, false);
        let counts = tracker.counts();
        assert_eq!((counts.lost, counts.uncertain_units, counts.duplicates), (0, 0, 1));
    }

    #[test]
    fn what_is_given_up_stays_uncertain_and_the_rest_is_lost() {
        let mut tracker = SequenceTracker::default();
        [0, 10, 30].iter().for_each(|sequence| observe_unknown(&mut tracker, *sequence));
        tracker.give_up(0, Some(10));
        tracker.settle(10, 10);
        tracker.settle(30, 10);
        tracker.settle_all();
        let counts = tracker.counts();
        assert_eq!((counts.lost, counts.uncertain_units, counts.duplicates), (10, 10, 0));
        tracker.observe(40, 10, false);
        assert_eq!(tracker.counts(), counts);
    }
}
