//! An aggregator: processes, of which several may be alive at once, and the store that they share.

use super::ids::MergeIds;
use super::random::Random;
use crate::aggregator::{Aggregator, AggregatorOptions};
use crate::checkpoint::{Checkpoint, Stamp};
use crate::half::HalfSpec;
use crate::names::{HalfId, Lineage, Moment, SensorName};
use std::collections::BTreeMap;

/// Where a checkpoint is kept: what everybody sees, and what a power cut leaves.
#[derive(Clone, Debug, Default)]
pub(super) struct Store {
    seen: Option<Vec<u8>>,
    safe: Option<Vec<u8>>,
    pub(super) is_full: bool,
}

impl Store {
    fn stamp(&self) -> Option<Stamp> {
        self.seen.as_deref().map(|octets| Checkpoint::stamp_of(octets).expect("only whole ones are renamed"))
    }

    /// Puts a checkpoint in place, where it follows from the one that is there.
    fn rename(&mut self, checkpoint: &Checkpoint) -> bool {
        let follows = checkpoint.stamp.follows(self.stamp());
        if follows {
            self.seen = Some(checkpoint.octets.clone());
        }
        follows
    }

    fn crash(&mut self, random: &mut Random) {
        if random.permille(500) {
            self.seen.clone_from(&self.safe);
        }
        self.safe.clone_from(&self.seen);
    }
}

/// How far a checkpoint is on its way.
#[derive(Clone, Debug)]
enum Write {
    /// Beside the one that is there, safe.
    Beside(Checkpoint),
    /// In its place, not safe.
    Renamed(Stamp),
}

/// A process.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) aggregator: Aggregator<MergeIds>,
    write: Option<Write>,
    /// Its steady clock begins at any time, its wall clock is off.
    steady: i64,
    wall: i64,
}

impl Process {
    pub(super) const fn moment(&self, now: i64) -> Moment {
        Moment { steady_ns: now + self.steady, wall_ns: now + self.wall }
    }
}

/// An aggregator.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) name: SensorName,
    pub(super) parent: Option<usize>,
    options: AggregatorOptions,
    pub(super) store: Store,
    /// By a number that no two have.
    pub(super) processes: BTreeMap<u64, Process>,
    pub(super) halves: BTreeMap<HalfId, HalfSpec>,
    pub(super) dropped: Vec<HalfId>,
}

impl Node {
    pub(super) fn new(name: SensorName, parent: Option<usize>, options: AggregatorOptions) -> Self {
        let (store, processes, halves) = (Store::default(), BTreeMap::new(), BTreeMap::new());
        Self { name, parent, options, store, processes, halves, dropped: vec![] }
    }

    /// Starts a process: it claims what is in the store, and goes on with it. Whoever ran before is not asked.
    pub(super) fn start(&mut self, number: u64, now: i64, random: &mut Random) -> Result<(), String> {
        let stamp = Stamp::claim(self.store.stamp());
        let (steady, wall) = (random.within(-1_000_000, 1_000_000), random.within(-5, 5));
        let moment = Moment { steady_ns: now + steady, wall_ns: now + wall };
        let mut aggregator = if let Some(octets) = self.store.seen.clone() {
            let claimed = Checkpoint::claimed(&octets, stamp).map_err(|error| error.to_string())?;
            if !self.store.rename(&claimed) {
                return Ok(());
            }
            // It is safe before anything else is done.
            self.store.safe = Some(claimed.octets.clone());
            Aggregator::restore(MergeIds, self.options.clone(), &claimed.octets, moment)
                .map_err(|error| error.to_string())?
        } else {
            let lineage = Lineage(random.bits());
            let aggregator = Aggregator::new(MergeIds, self.options.clone(), stamp.epoch, lineage);
            let first = aggregator.first_checkpoint();
            if !self.store.rename(&first) {
                return Ok(());
            }
            self.store.safe = Some(first.octets);
            aggregator
        };
        self.halves.iter().for_each(|(half, spec)| aggregator.add_half(*half, spec.clone()));
        self.dropped.iter().for_each(|half| aggregator.drop_half(*half));
        self.processes.insert(number, Process { aggregator, write: None, steady, wall });
        Ok(())
    }

    /// Does the next step of writing a checkpoint; says whether one became safe. A process that may not write any more
    /// ends.
    pub(super) fn write(&mut self, number: u64, now: i64) -> bool {
        let Some(process) = self.processes.get_mut(&number) else { return false };
        match process.write.take() {
            None => {
                let moment = process.moment(now);
                let checkpoint = process.aggregator.checkpoint(moment);
                // A disk that is full takes nothing: another one is tried later.
                if !self.store.is_full {
                    process.write = Some(Write::Beside(checkpoint));
                }
                false
            }
            Some(Write::Beside(checkpoint)) => {
                if self.store.rename(&checkpoint) {
                    process.write = Some(Write::Renamed(checkpoint.stamp));
                } else {
                    self.processes.remove(&number);
                }
                false
            }
            Some(Write::Renamed(stamp)) => {
                self.store.safe.clone_from(&self.store.seen);
                process.aggregator.written(stamp);
                true
            }
        }
    }

    /// All processes end; what was not safe may be gone with the power.
    pub(super) fn power_cut(&mut self, random: &mut Random) {
        self.processes.clear();
        self.store.crash(random);
    }
}
