//! An aggregator: processes, of which several may be alive at once, and the store that they share.

use super::ids::MergeIds;
use super::random::Random;
use super::store::Store;
use crate::aggregator::{Aggregator, AggregatorOptions};
use crate::checkpoint::{Checkpoint, Manifest, Stamp};
use crate::codec::Garbage;
use crate::half::HalfSpec;
use crate::mutation::{Mutation, is_mutated};
use crate::names::{HalfId, Lineage, Moment, SensorName};
use std::collections::BTreeMap;

/// How often of a thousand steps a disk hangs before one, and for how long.
const HANGS: usize = 20;
const HANGS_FOR_MAX: i64 = 30;

/// How far a checkpoint is on its way.
#[derive(Clone, Debug)]
enum Write {
    /// Its bundle is there; a power cut may take its octets, and its name.
    Put(Checkpoint),
    /// A power cut may take its name.
    Synced(Checkpoint),
    /// The bundle is safe.
    Bundled(Checkpoint),
    /// The manifest is beside the one that is there, safe.
    Beside(Checkpoint),
    /// In its place, not safe.
    Renamed(Checkpoint),
    /// Written; it is to be seen which bundles are left.
    Written(Checkpoint),
    /// These are to be deleted.
    Tidying(Vec<Stamp>),
}

/// A process.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) aggregator: Aggregator<MergeIds>,
    write: Option<Write>,
    /// Until when its disk does nothing.
    hangs_until: i64,
    clock: Clock,
}

/// A steady clock that begins at any time, and a wall clock that is off.
#[derive(Clone, Copy, Debug)]
struct Clock {
    steady: i64,
    wall: i64,
}

impl Clock {
    const fn moment(self, now: i64) -> Moment {
        Moment { steady_ns: now + self.steady, wall_ns: now + self.wall }
    }
}

impl Process {
    pub(super) const fn moment(&self, now: i64) -> Moment {
        self.clock.moment(now)
    }
}

/// A process that takes over.
#[derive(Clone, Debug)]
enum Starting {
    /// It has read what is there.
    Found(Option<Vec<u8>>),
    /// What it found is its own now.
    Claimed(Manifest),
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
    starting: BTreeMap<u64, Starting>,
    pub(super) halves: BTreeMap<HalfId, HalfSpec>,
    pub(super) dropped: Vec<HalfId>,
}

impl Node {
    pub(super) fn new(name: SensorName, parent: Option<usize>, options: AggregatorOptions) -> Self {
        let (store, processes, starting) = (Store::default(), BTreeMap::new(), BTreeMap::new());
        Self { name, parent, options, store, processes, starting, halves: BTreeMap::new(), dropped: vec![] }
    }

    /// Starts a process: it reads what is in the store. Whoever ran before is not asked.
    pub(super) fn start(&mut self, number: u64) {
        self.starting.insert(number, Starting::Found(self.store.load()));
    }

    /// Whether somebody runs, or starts.
    pub(super) fn is_alive(&self) -> bool {
        !self.processes.is_empty() || !self.starting.is_empty()
    }

    /// Whether one runs whose disk does nothing.
    pub(super) fn hangs(&self, now: i64) -> bool {
        self.processes.values().any(|process| process.hangs_until > now)
    }

    /// Processes that start.
    pub(super) fn starting(&self) -> Vec<u64> {
        self.starting.keys().copied().collect()
    }

    /// Does the next step of a start.
    pub(super) fn go_on(&mut self, number: u64, now: i64, random: &mut Random) -> Result<(), String> {
        match self.starting.remove(&number) {
            Some(Starting::Found(found)) => self.claim(number, found, random),
            Some(Starting::Claimed(manifest)) => self.restore(number, &manifest, now, random),
            None => Ok(()),
        }
    }

    /// Claims what was found, or begins with nothing.
    fn claim(&mut self, number: u64, found: Option<Vec<u8>>, random: &mut Random) -> Result<(), String> {
        let said = |error: Garbage| error.to_string();
        let stamp = found.as_deref().map(Manifest::stamp_of).transpose().map_err(said)?;
        let stamp = Stamp::claim(self.store.list().chain(stamp).max());
        let (manifest, aggregator) = if let Some(octets) = found {
            (Manifest::claimed(&octets, stamp).map_err(said)?, None)
        } else {
            let lineage = Lineage(random.bits());
            let aggregator = Aggregator::new(MergeIds, self.options.clone(), stamp.epoch, lineage);
            (aggregator.first_checkpoint(), Some(aggregator))
        };
        if !self.store.rename(&manifest) {
            // Somebody wrote meanwhile: what is there now is read.
            self.start(number);
            return Ok(());
        }
        // It is safe before anything else is done.
        self.store.sync_manifest();
        match aggregator {
            Some(aggregator) => self.run(number, aggregator, clock(random)),
            None => drop(self.starting.insert(number, Starting::Claimed(manifest))),
        }
        Ok(())
    }

    /// Reads the bundles, and goes on.
    fn restore(
        &mut self,
        number: u64,
        manifest: &Manifest,
        now: i64,
        random: &mut Random,
    ) -> Result<(), String> {
        let clock = clock(random);
        let get = |bundle| self.store.get(bundle);
        let (options, octets) = (self.options.clone(), &manifest.octets);
        match Aggregator::restore(MergeIds, options, octets, get, clock.moment(now)) {
            Ok(aggregator) => self.run(number, aggregator, clock),
            // Another one took over meanwhile, and needs them no more.
            Err(_) if self.store.stamp() != Some(manifest.stamp) => {}
            Err(error) => return Err(error.to_string()),
        }
        Ok(())
    }

    fn run(&mut self, number: u64, mut aggregator: Aggregator<MergeIds>, clock: Clock) {
        self.halves.iter().for_each(|(half, spec)| aggregator.add_half(*half, spec.clone()));
        self.dropped.iter().for_each(|half| aggregator.drop_half(*half));
        self.processes.insert(number, Process { aggregator, write: None, hangs_until: 0, clock });
    }

    /// Does the next step of writing a checkpoint; says whether one became safe. A process that may not write any more
    /// ends.
    pub(super) fn write(&mut self, number: u64, now: i64, random: &mut Random) -> bool {
        let Some(process) = self.processes.get_mut(&number) else { return false };
        if process.hangs_until > now {
            return false;
        }
        if random.permille(HANGS) {
            process.hangs_until = now + random.within(1, HANGS_FOR_MAX);
            return false;
        }
        let Some(write) = process.write.take() else {
            let moment = process.moment(now);
            let checkpoint = process.aggregator.checkpoint(moment);
            // A disk that is full takes nothing: another one is tried later.
            process.write = if self.store.is_full { None } else { Some(put(&mut self.store, checkpoint)) };
            return false;
        };
        let (next, is_written) = match write {
            // A disk that fails says nothing of what it has.
            Write::Renamed(_) if self.store.is_full => (None, false),
            Write::Renamed(checkpoint) => {
                self.store.sync_manifest();
                process.aggregator.written(checkpoint.manifest.stamp);
                (Some(Write::Written(checkpoint)), true)
            }
            Write::Beside(checkpoint) if !self.store.rename(&checkpoint.manifest) => {
                self.processes.remove(&number);
                return false;
            }
            write => (step(&mut self.store, write), false),
        };
        process.write = next;
        is_written
    }

    /// One of the processes, started or not, by chance.
    pub(super) fn kill_one(&mut self, random: &mut Random) {
        let numbers: Vec<u64> = self.processes.keys().chain(self.starting.keys()).copied().collect();
        if let Some(number) = numbers.get(random.below(numbers.len())) {
            self.processes.remove(number);
            self.starting.remove(number);
        }
    }

    /// All processes end; what was not safe may be gone with the power.
    pub(super) fn power_cut(&mut self, random: &mut Random) {
        self.processes.clear();
        self.starting.clear();
        self.store.crash(random);
    }
}

fn clock(random: &mut Random) -> Clock {
    Clock { steady: random.within(-1_000_000, 1_000_000), wall: random.within(-5, 5) }
}

fn put(store: &mut Store, checkpoint: Checkpoint) -> Write {
    match &checkpoint.bundle {
        Some(bundle) => {
            store.put(bundle);
            Write::Put(checkpoint)
        }
        None => Write::Bundled(checkpoint),
    }
}

fn tidying(store: &Store, checkpoint: &Checkpoint) -> Option<Write> {
    let left: Vec<Stamp> = store.list().filter(|bundle| checkpoint.leaves(*bundle)).collect();
    (!left.is_empty()).then_some(Write::Tidying(left))
}

/// A step that the aggregator is not told of.
fn step(store: &mut Store, write: Write) -> Option<Write> {
    match write {
        Write::Put(checkpoint) if is_mutated(Mutation::ManifestFirst) => Some(Write::Beside(checkpoint)),
        Write::Put(checkpoint) => {
            store.sync(checkpoint.manifest.stamp);
            Some(Write::Synced(checkpoint))
        }
        Write::Synced(checkpoint) => {
            store.sync_names();
            Some(Write::Bundled(checkpoint))
        }
        // A disk that is full has no room for the manifest, and gets that of the bundle back.
        Write::Bundled(checkpoint) if store.is_full => {
            store.delete(checkpoint.manifest.stamp);
            None
        }
        Write::Bundled(checkpoint) => Some(Write::Beside(checkpoint)),
        Write::Beside(checkpoint) => {
            if is_mutated(Mutation::DeleteAtOnce)
                && let Some(Write::Tidying(left)) = tidying(store, &checkpoint)
            {
                left.into_iter().for_each(|bundle| store.delete(bundle));
            }
            Some(Write::Renamed(checkpoint))
        }
        Write::Renamed(checkpoint) => Some(Write::Renamed(checkpoint)),
        Write::Written(checkpoint) => tidying(store, &checkpoint),
        Write::Tidying(mut left) => {
            left.pop().into_iter().for_each(|bundle| store.delete(bundle));
            (!left.is_empty()).then_some(Write::Tidying(left))
        }
    }
}
