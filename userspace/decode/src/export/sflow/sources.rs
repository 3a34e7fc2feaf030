//! The numbers of samples, by source and kind.
//!
//! Takes each sample's number, gives what changed in the account of its agent. The number of sources is
//! limited; samples of further ones are delivered, but nobody notices when some are missing.

use super::sample::{Kind, Source};
use crate::export::sequence::{SequenceCounts, SequenceTracker};
use std::collections::HashMap;

/// Sources of all agents that are followed, a few hundred octets each.
const SOURCES_MAX: usize = 1 << 17;
/// A sample may come so many others of its source late.
const LATE_SAMPLES: u32 = 16;

/// Who counts: the place of the agent's domain, what it samples, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct SourceKey {
    pub(super) domain: usize,
    pub(super) kind: Kind,
    pub(super) source: Source,
}

/// All sources.
#[derive(Debug, Default)]
pub(super) struct Sources {
    followed: HashMap<SourceKey, Followed>,
}

#[derive(Debug)]
struct Followed {
    tracker: SequenceTracker,
    /// How often the agent has started anew, as far as this source's numbers follow those beginnings. They may
    /// tell of one before those of the datagrams do.
    restarts: u64,
}

impl Sources {
    /// Notes a sample of an agent that has started anew so often, in the sums over its sources; says whether its
    /// source is followed.
    pub(super) fn observe(
        &mut self,
        key: SourceKey,
        sequence: u32,
        restarts: u64,
        sums: &mut SequenceCounts,
    ) -> bool {
        if self.followed.len() >= SOURCES_MAX && !self.followed.contains_key(&key) {
            return false;
        }
        let new = || Followed { tracker: SequenceTracker::with_late_messages(LATE_SAMPLES), restarts };
        let followed = self.followed.entry(key).or_insert_with(new);
        let before = followed.tracker.counts();
        followed.tracker.observe(sequence, 1, restarts > followed.restarts);
        let after = followed.tracker.counts();
        followed.restarts = restarts.max(followed.restarts + after.restarts - before.restarts);
        sums.replace(before, after);
        true
    }
}
