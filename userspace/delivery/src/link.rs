//! A sensor as an aggregator knows it.

use crate::message::{Hello, Refusal};
use crate::mutation::{Mutation, is_mutated};
use crate::names::{HalfId, Incarnation, Lineage, SensorName, Span};
use crate::seen::{Reach, Seen, octets_of};
use std::collections::{BTreeMap, BTreeSet};

/// How far a sensor has come with one half.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Panes that end here or earlier are whole.
    pub(crate) reached: i64,
    /// Who behind it has not come so far.
    pub(crate) behind: Vec<(SensorName, i64)>,
    /// A pane was given without it, and it has not caught up.
    pub(crate) is_left: bool,
    /// From when to when nobody knows what is missing.
    pub(crate) doubt: Option<(i64, i64)>,
    /// Whether panes that were given before have to be told of that.
    pub(crate) tells_doubt: bool,
}

/// How somebody has come on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moved {
    /// How far it had come before.
    pub(crate) before: i64,
    /// Whether another is said of those behind it.
    pub(crate) others_moved: bool,
}

impl Default for Standing {
    fn default() -> Self {
        Self { reached: i64::MIN, behind: vec![], is_left: false, doubt: None, tells_doubt: false }
    }
}

impl Standing {
    /// Notes that nobody knows what is missing in a stretch of time.
    pub(crate) fn doubt(&mut self, start: i64, end: i64) {
        let (from, until) = self.doubt.unwrap_or((start, end));
        self.doubt = Some((from.min(start), until.max(end)));
        self.tells_doubt = true;
    }

    pub(crate) fn doubts(&self, pane: Span) -> bool {
        self.doubt.is_some_and(|(from, until)| from < pane.end && pane.start < until)
    }

    /// Takes what it says of how far it has come.
    pub(crate) fn come(&mut self, watermark: i64, behind: Vec<(SensorName, i64)>) -> Moved {
        let before = self.reached;
        let others_moved = self.behind != behind;
        (self.reached, self.behind) = (before.max(watermark), behind);
        Moved { before, others_moved }
    }
}

/// A sensor.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) lineage: Lineage,
    /// Its latest life.
    pub(crate) newest: Incarnation,
    pub(crate) seen: Seen,
    pub(crate) standings: BTreeMap<HalfId, Standing>,
    /// Octets of who is behind it, of all standings.
    pub(crate) standings_octets: u64,
    /// The sensors behind it, where it is an aggregator that forwards.
    pub(crate) leaves: Option<BTreeSet<SensorName>>,
    /// Whether nobody waits for it, nor misses it.
    pub(crate) rests: bool,
    /// When it said something, by a steady clock.
    pub(crate) heard_ns: i64,
    /// Octets that were taken since the last checkpoint.
    pub(crate) octets: u64,
    /// Panes that were told since then of losses which nobody tells apart.
    pub(crate) panes_told: usize,
    /// Panes that it opened and that were not given yet, by the last checkpoint, and those that it opened since.
    pub(crate) panes_open: usize,
    /// Results that nobody has taken, in which nobody else has a part, by the last checkpoint.
    pub(crate) results_alone: usize,
    /// How often something of it was refused or held, by the reason's name.
    pub(crate) counts: BTreeMap<&'static str, u64>,
}

impl Link {
    pub(crate) fn new(hello: &Hello, now_ns: i64) -> Self {
        Self {
            lineage: hello.lineage,
            newest: hello.incarnation,
            seen: Seen::default(),
            standings: BTreeMap::new(),
            standings_octets: 0,
            leaves: hello.leaves.clone(),
            rests: false,
            heard_ns: now_ns,
            octets: 0,
            panes_told: 0,
            panes_open: 0,
            results_alone: 0,
            counts: BTreeMap::new(),
        }
    }

    /// Whether a life of it is listened to. Where its memory began anew, nobody knows what is missing from these halves
    /// up to `latest`.
    pub(crate) fn greet(
        &mut self,
        hello: &Hello,
        halves: Vec<HalfId>,
        (now_ns, latest): (i64, i64),
    ) -> Result<(), Refusal> {
        let own = hello.incarnation;
        if own < self.newest {
            return Err(Refusal::Fenced { own, newest: self.newest });
        }
        if hello.lineage != self.lineage {
            if own == self.newest {
                return Err(Refusal::TwoMemories { incarnation: own });
            }
            if !is_mutated(Mutation::NoLineage) {
                (self.lineage, self.seen) = (hello.lineage, Seen::default());
            }
            self.doubt_all(halves, latest);
        }
        (self.newest, self.heard_ns, self.rests) = (own, now_ns, false);
        self.leaves.clone_from(&hello.leaves);
        Ok(())
    }

    /// Nobody knows what is missing between how far it had come and the latest time that a record may have had, of these
    /// halves neither, of which nothing may have come yet.
    pub(crate) fn doubt_all(&mut self, halves: Vec<HalfId>, latest: i64) {
        for half in halves {
            self.standings.entry(half).or_default();
        }
        for standing in self.standings.values_mut() {
            standing.doubt(standing.reached, latest.max(standing.reached));
        }
    }

    /// Octets of who is behind it, as far as it says so in what was taken.
    pub(crate) const fn behind_octets(&self) -> u64 {
        self.standings_octets.saturating_add(self.seen.behind_octets())
    }

    /// A half is gone.
    pub(crate) fn forget(&mut self, half: HalfId) {
        let gone = self.standings.remove(&half);
        self.standings_octets -= gone.map_or(0, |standing| octets_of(&standing.behind));
    }

    /// What holds since records are known to be without a hole before them, but no further ahead than `latest`. Where there
    /// is no room for who is behind it, it has come no further.
    pub(crate) fn reaches(
        &mut self,
        reaches: Vec<Reach>,
        (latest, behind_octets_max): (i64, u64),
    ) -> Vec<(HalfId, Moved)> {
        let mut moved = vec![];
        for Reach { half, watermark, behind } in reaches {
            let standing = self.standings.entry(half).or_default();
            let others = self.standings_octets - octets_of(&standing.behind);
            let octets = others + octets_of(&behind);
            if !behind.is_empty() && octets > behind_octets_max {
                self.count("behind_over_quota");
                continue;
            }
            self.standings_octets = octets;
            moved.push((half, standing.come(watermark.min(latest), behind)));
        }
        moved
    }

    pub(crate) fn standing(&self, half: HalfId) -> Option<&Standing> {
        self.standings.get(&half)
    }

    pub(crate) fn reached(&self, half: HalfId) -> i64 {
        self.standing(half).map_or(i64::MIN, |standing| standing.reached)
    }

    pub(crate) fn count(&mut self, reason: &'static str) {
        *self.counts.entry(reason).or_default() += 1;
    }
}
