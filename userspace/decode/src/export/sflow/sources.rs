//! The numbers of samples, by source and kind.
//!
//! Takes each sample's number, gives the sums of its agent. The number of sources is
//! limited; samples of further ones are delivered, but nobody notices when some are missing.

use super::sample::SampleSource;
use crate::export::output::Output;
use crate::export::sequence::{SequenceCounts, SequenceTracker};
use std::collections::HashMap;

/// Sources of all agents that are followed, a few hundred octets each.
const SOURCES_MAX: usize = 1 << 17;
/// A sample may come so many others of its source late.
const LATE_SAMPLES: u32 = 16;

/// The sources of one agent.
#[derive(Debug, Default)]
pub(in crate::export) struct Sources {
    followed: HashMap<SampleSource, Followed>,
    /// The sums over all of them, those that are followed no more among them.
    counts: SequenceCounts,
    /// Samples that went missing since an earlier run, before the first one of their source.
    missed: u64,
    /// Whether nobody knows how many did of some source.
    is_cut_off: bool,
}

#[derive(Debug)]
struct Followed {
    tracker: SequenceTracker,
    /// How often the agent has started anew, as far as this source's numbers follow those beginnings. They may
    /// tell of one before those of the datagrams do.
    restarts: u64,
}

impl Sources {
    /// Notes a sample of an agent that has started anew so often; says whether its source is followed.
    pub(super) fn observe(
        &mut self,
        key: SampleSource,
        sequence: u32,
        restarts: u64,
        output: &mut Output,
    ) -> bool {
        let Some(followed) = self.follow(key, restarts, output) else { return false };
        let (before, missed) = (followed.tracker.counts(), followed.tracker.missed_units());
        followed.tracker.observe(sequence, 1, restarts > followed.restarts);
        let after = followed.tracker.counts();
        followed.restarts = restarts.max(followed.restarts + after.restarts - before.restarts);
        let missed = followed.tracker.missed_units() - missed;
        self.is_cut_off |= followed.tracker.is_cut_off();
        self.counts.replace(before, after);
        self.missed += missed;
        true
    }

    /// The source, which is followed from now on if there is room.
    fn follow(&mut self, key: SampleSource, restarts: u64, output: &mut Output) -> Option<&mut Followed> {
        if !self.followed.contains_key(&key) {
            if output.held.sources >= SOURCES_MAX {
                return None;
            }
            output.held.sources += 1;
        }
        let new = || Followed { tracker: SequenceTracker::with_late_messages(LATE_SAMPLES), restarts };
        Some(self.followed.entry(key).or_insert_with(new))
    }

    /// Goes on where an earlier run was; says whether there is room.
    pub(in crate::export) fn resume(&mut self, key: SampleSource, next: u32, output: &mut Output) -> bool {
        let followed = self.follow(key, 0, output);
        followed.map(|followed| followed.tracker.resume(next)).is_some()
    }

    /// The numbers that come next, by source.
    pub(in crate::export) fn numbers(&self) -> impl Iterator<Item = (SampleSource, u32)> {
        self.followed.iter().filter_map(|(key, followed)| Some((*key, followed.tracker.next()?)))
    }

    /// Samples that went missing since an earlier run, before the first one of their source.
    pub(in crate::export) const fn missed_units(&self) -> u64 {
        self.missed
    }

    /// Whether nobody knows how many did of some source, since it has begun to number anew.
    pub(in crate::export) const fn is_cut_off(&self) -> bool {
        self.is_cut_off
    }

    /// What the numbers say of all of them.
    pub(in crate::export) const fn counts(&self) -> SequenceCounts {
        self.counts
    }

    /// Follows none of them any more.
    pub(in crate::export) fn clear(&mut self, output: &mut Output) {
        output.held.sources -= self.followed.len();
        self.followed.clear();
    }
}
