//! What an aggregator takes, refuses and knows again; what it gives, acknowledges and forwards, and when.
//!
//! In: greetings, records, moments, and that a checkpoint was written. Out: verdicts, checkpoints, and behind a
//! checkpoint that was written: acknowledgements, results, records for the next aggregator. Nothing goes out that no
//! checkpoint has.

mod giving;
mod intake;
mod kept;
mod restore;

pub use kept::KeptHalf;
pub use restore::RestoreError;

use crate::blobs::{Blob, BlobId, Blobs};
use crate::checkpoint::{Checkpoint, Manifest, Stamp};
use crate::half::{Half, HalfSpec, Links};
use crate::limits::{AggregatorLimits, Patience};
use crate::link::Link;
use crate::message::{Covered, Hello, Refusal};
use crate::mutation::{Mutation, is_mutated};
use crate::names::{HalfId, Incarnation, Lineage, Moment, Position, SensorName, Span};
use crate::outgoing::{Outgoing, OutgoingLimits};
use crate::record::Told;
use restore::Encoded;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Whose a record is, and which of its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin<'a> {
    /// Whom the transport vouches for.
    pub sensor: &'a SensorName,
    /// Where it stands among those of that sensor.
    pub position: Position,
    /// How many sensors are behind it, where it is an aggregator that forwards.
    pub stands_for: Option<usize>,
}

/// How states of a half are merged. Any order, and any grouping, gives the same.
pub trait Merge {
    /// What came of one half for one pane.
    type State;

    /// The state of no records.
    fn empty(&self, half: HalfId) -> Self::State;

    /// Adds a payload, as a whole or not at all.
    ///
    /// # Errors
    /// A sentence, when it is no state of this half.
    fn merge(&self, half: HalfId, state: &mut Self::State, payload: &[u8]) -> Result<(), String>;

    /// Adds the payload of a record, for whom it matters whose it is: what has an order gets it by that, however it comes.
    ///
    /// # Errors
    /// As above.
    fn merge_from(
        &self,
        half: HalfId,
        state: &mut Self::State,
        (_from, payload): (Origin<'_>, &[u8]),
    ) -> Result<(), String> {
        self.merge(half, state, payload)
    }

    /// As a payload: the same one until something is added.
    fn encode(&self, half: HalfId, state: &Self::State) -> Arc<[u8]>;

    /// Octets that a payload counts as in what is taken of a sensor at once.
    fn weight(&self, payload: &[u8]) -> u64 {
        payload.len() as u64
    }

    /// Octets that a state takes.
    fn octets(&self, _state: &Self::State) -> u64 {
        0
    }

    /// Whether states may take so much, by what is known of all of them without a look at each.
    fn may_be_full(&self, _half: HalfId) -> bool {
        true
    }

    /// Whether states take so much that some which are kept only to be revised had better go; these take `kept` octets.
    fn is_full(&self, _half: HalfId, _kept: u64) -> bool {
        false
    }

    /// As payloads of which none is too long to be sent, each with its part of the records; all of them are the state.
    fn encode_apart(&self, half: HalfId, state: &Self::State) -> Vec<(Arc<[u8]>, f64)> {
        vec![(self.encode(half, state), 1.0)]
    }

    /// Of a payload.
    ///
    /// # Errors
    /// A sentence, when it is no state of this half.
    fn decode(&self, half: HalfId, payload: &Arc<[u8]>) -> Result<Self::State, String> {
        let mut state = self.empty(half);
        self.merge(half, &mut state, payload).map(|()| state)
    }
}

/// A pane as it is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// Of which half.
    pub half: HalfId,
    /// When it is.
    pub pane: Span,
    /// How often it was given before: a later one takes the place of an earlier one.
    pub revision: u64,
    /// Its states, as [`Merge::encode`] gives them.
    pub state: Arc<[u8]>,
    /// Records of sources that they account for.
    pub records: u64,
    /// What is missing besides.
    pub told: Told,
    /// Whose share may not be whole.
    pub absent: Vec<SensorName>,
    /// Who sent something of it since it was given before.
    pub from: Vec<SensorName>,
}

impl Given {
    /// Who alone has a part in it.
    pub(crate) fn only(&self) -> Option<&SensorName> {
        let [only] = &self.from[..] else { return None };
        Some(only)
    }
}

/// What becomes of panes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// They are results.
    Final,
    /// They are parts of another aggregator's panes, which knows this one by its name.
    Forward(SensorName, OutgoingLimits),
}

/// What an aggregator is set up with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AggregatorOptions {
    /// What becomes of panes.
    pub role: Role,
    /// What it may hold.
    pub limits: AggregatorLimits,
    /// How long it waits.
    pub patience: Patience,
}

/// Records on their way to the next aggregator, and their payloads.
#[derive(Clone, Debug)]
pub(crate) struct Forwarding {
    pub(crate) name: SensorName,
    pub(crate) outgoing: Outgoing,
    pub(crate) payloads: BTreeMap<Position, Blob>,
}

/// A result that nobody has taken, and which blob its states are.
#[derive(Debug)]
pub(crate) struct Untaken {
    pub(crate) given: Given,
    pub(crate) blob: BlobId,
}

/// What a checkpoint has, that is not known to be written.
#[derive(Clone, Debug)]
struct Pending {
    stamp: Stamp,
    covered: BTreeMap<SensorName, Covered>,
    results: usize,
    last: Position,
    /// Its bundle, and how many octets that has.
    bundle: Option<(Stamp, u64)>,
}

/// An aggregator under one epoch.
#[derive(Debug)]
pub struct Aggregator<M: Merge> {
    merge: M,
    options: AggregatorOptions,
    /// The last checkpoint that was begun.
    stamp: Stamp,
    links: Links,
    halves: BTreeMap<HalfId, Half<M::State>>,
    results: VecDeque<Untaken>,
    /// How many of them a checkpoint has.
    safe_results: usize,
    forwarding: Option<Forwarding>,
    blobs: Blobs,
    pending: Option<Pending>,
    /// What the last checkpoint that was written has of each sensor.
    covered: BTreeMap<SensorName, Covered>,
    /// How often somebody was refused who is not known, by the reason's name.
    strangers: BTreeMap<&'static str, u64>,
}

impl<M: Merge> Aggregator<M> {
    /// One that knows nothing. `lineage` is drawn at random, for the memory that begins with it.
    #[must_use]
    pub fn new(merge: M, options: AggregatorOptions, epoch: u64, lineage: Lineage) -> Self {
        let forwarding = match &options.role {
            Role::Final => None,
            Role::Forward(name, limits) => Some(Forwarding {
                name: name.clone(),
                outgoing: Outgoing::new(lineage, Incarnation(epoch), *limits).for_one_life(),
                payloads: BTreeMap::new(),
            }),
        };
        let mut aggregator = Self {
            merge,
            options,
            stamp: Stamp { epoch, sequence: 0 },
            links: BTreeMap::new(),
            halves: BTreeMap::new(),
            results: VecDeque::new(),
            safe_results: 0,
            forwarding,
            blobs: Blobs::default(),
            pending: None,
            covered: BTreeMap::new(),
            strangers: BTreeMap::new(),
        };
        // It may greet before any of its sensors does.
        aggregator.tell_leaves();
        aggregator
    }

    /// The checkpoint with which one that knows nothing claims a store that is empty.
    #[must_use]
    pub fn first_checkpoint(&self) -> Manifest {
        self.encode().manifest
    }

    /// Takes parts of a half from now on. One that is there already stays as it is.
    pub fn add_half(&mut self, half: HalfId, spec: HalfSpec) {
        self.halves.entry(half).or_insert_with(|| Half::new(spec));
    }

    /// Lets go of a half, and of all that came for it.
    pub fn drop_half(&mut self, half: HalfId) {
        self.halves.remove(&half);
        self.links.values_mut().for_each(|link| link.forget(half));
    }

    /// Nobody waits for a sensor any more, nor misses it, until it greets again; what it sent is known still.
    pub fn rest(&mut self, sensor: &SensorName) {
        if let Some(link) = self.links.get_mut(sensor) {
            link.rests = true;
            self.tell_leaves();
        }
    }

    /// The sensors that are waited for, or missed: all that are known but those that rest.
    pub fn sensors(&self) -> impl Iterator<Item = &SensorName> {
        self.links.iter().filter(|(_, link)| !link.rests).map(|(name, _)| name)
    }

    /// Takes the first that a sensor says on a link; `sensor` is whom the transport vouches for. Gives what it need
    /// not keep any more.
    ///
    /// # Errors
    /// Why it is not listened to.
    pub fn hello(&mut self, sensor: &SensorName, hello: &Hello, now: Moment) -> Result<Covered, Refusal> {
        let greeted = self.greet(sensor, hello, now);
        if let Err(refusal) = &greeted {
            match self.links.get_mut(sensor) {
                Some(link) => link.count(refusal.name()),
                None => *self.strangers.entry(refusal.name()).or_default() += 1,
            }
        }
        greeted?;
        self.tell_leaves();
        // Before all of what is said to be gone is known, nothing else is taken for gone.
        if hello.gaps.iter().all(|gap| self.take_gap(sensor, gap, now)) {
            self.skip(sensor, hello.kept_after, now);
        }
        Ok(self.covered(sensor).unwrap_or_default())
    }

    fn greet(&mut self, sensor: &SensorName, hello: &Hello, now: Moment) -> Result<(), Refusal> {
        if hello.name != *sensor {
            return Err(Refusal::AnotherName { name: sensor.clone(), claimed: hello.name.clone() });
        }
        let most = self.options.limits.sensors_max;
        let latest = now.wall_ns.saturating_add(self.options.patience.skew_ns);
        if let Some(link) = self.links.get_mut(sensor) {
            let halves = counting_on(&self.halves, sensor, link);
            return link.greet(hello, halves, (now.steady_ns, latest));
        }
        if self.links.len() >= most {
            return Err(Refusal::TooManySensors { most });
        }
        self.links.insert(sensor.clone(), Link::new(hello, now.steady_ns));
        Ok(())
    }

    /// Where it forwards, its next greeting says who is behind it.
    fn tell_leaves(&mut self) {
        let Some(forwarding) = &mut self.forwarding else { return };
        let awake = self.links.iter().filter(|(_, link)| !link.rests);
        let names = awake.flat_map(|(name, link)| match &link.leaves {
            Some(leaves) => leaves.iter().cloned().collect::<Vec<_>>(),
            None => vec![name.clone()],
        });
        forwarding.outgoing.stands_for(names.collect());
    }

    /// A sensor that has nothing to send says that it is there.
    pub fn alive(&mut self, sensor: &SensorName, life: Incarnation, now: Moment) {
        if let Some(link) = self.links.get_mut(sensor).filter(|link| link.newest == life) {
            link.heard_ns = link.heard_ns.max(now.steady_ns);
        }
    }

    /// What the last checkpoint that was written has of a sensor.
    #[must_use]
    pub fn covered(&self, sensor: &SensorName) -> Option<Covered> {
        if is_mutated(Mutation::AcknowledgeAtOnce) {
            return self.links.get(sensor).map(|link| link.seen.covered(link.lineage));
        }
        self.covered.get(sensor).cloned()
    }

    /// Gives the panes that are due, and what there is, to be written in place of the checkpoint before it. Where that
    /// is not known to have been done, another one may be asked for.
    #[must_use]
    pub fn checkpoint(&mut self, now: Moment) -> Checkpoint {
        self.give_due(now);
        self.count_waiting();
        self.stamp.sequence += 1;
        self.links.values_mut().for_each(|link| (link.octets, link.panes_told) = (0, 0));
        let covered = self.links.iter().map(|(name, link)| (name.clone(), link.seen.covered(link.lineage)));
        let last = self.forwarding.as_ref().map_or(Position::START, |forwarding| forwarding.outgoing.last());
        let (stamp, covered, results) = (self.stamp, covered.collect(), self.results.len());
        self.number_blobs();
        let Encoded { manifest, bundle, places } = self.encode();
        let names = places.values().map(|place| place.bundle).collect();
        self.blobs.begun(places);
        let put = bundle.as_ref().map(|bundle| (bundle.stamp(), bundle.octets()));
        if is_mutated(Mutation::PlacesAtOnce) {
            self.blobs.take_for_safe(put);
        }
        self.pending = Some(Pending { stamp, covered, results, last, bundle: put });
        Checkpoint { manifest, bundle, names }
    }

    /// What something came for is another blob than before.
    fn number_blobs(&mut self) {
        let Self { halves, blobs, .. } = self;
        for pane in halves.values_mut().flat_map(|half| half.panes.values_mut()) {
            pane.blob.get_or_insert_with(|| blobs.number());
        }
    }

    /// Counts what waits of each sensor: panes that it opened, and results in which nobody else has a part.
    fn count_waiting(&mut self) {
        let Self { links, halves, results, .. } = self;
        links.values_mut().for_each(|link| (link.panes_open, link.results_alone) = (0, 0));
        let panes = halves.values().flat_map(|half| half.panes.values());
        for pane in panes.filter(|pane| pane.given == 0) {
            if let Some(link) = links.get_mut(&pane.opened_by) {
                link.panes_open += 1;
            }
        }
        for Untaken { given, .. } in results.iter() {
            if let Some(link) = given.only().and_then(|only| links.get_mut(only)) {
                link.results_alone += 1;
            }
        }
    }

    /// The checkpoint was written, and no crash takes it any more.
    pub fn written(&mut self, stamp: Stamp) {
        let Some(pending) = self.pending.take_if(|pending| pending.stamp == stamp) else { return };
        (self.covered, self.safe_results) = (pending.covered, pending.results);
        self.blobs.written(pending.bundle);
        if let Some(forwarding) = &mut self.forwarding {
            forwarding.outgoing.safe(pending.last);
            forwarding.forget_payloads();
        }
    }

    /// The results that a checkpoint has, oldest first: the same ones after a crash.
    pub fn results(&self) -> impl Iterator<Item = &Given> {
        let given = if is_mutated(Mutation::GiveAtOnce) { self.results.len() } else { self.safe_results };
        self.results.iter().take(given).map(|untaken| &untaken.given)
    }

    /// So many of the oldest results are safe with whoever takes them.
    pub fn taken(&mut self, results: usize) {
        let taken = results.min(self.safe_results);
        for Untaken { given, .. } in self.results.drain(..taken) {
            if let Some(half) = self.halves.get_mut(&given.half) {
                half.taken_until = half.taken_until.max(given.pane.end);
            }
        }
        self.safe_results -= taken;
        if let Some(pending) = &mut self.pending {
            pending.results -= taken;
        }
    }

    /// So many of the oldest results of a half are safe with whoever takes them, whatever became of others.
    pub fn taken_of(&mut self, half: HalfId, results: usize) {
        let (mut left, mut place) = (results, 0);
        while left > 0 && place < self.safe_results {
            if self.results.get(place).is_none_or(|untaken| untaken.given.half != half) {
                place += 1;
                continue;
            }
            let end = self.results.remove(place).map_or(i64::MIN, |untaken| untaken.given.pane.end);
            self.halves.entry(half).and_modify(|half| half.taken_until = half.taken_until.max(end));
            self.safe_results -= 1;
            self.pending.iter_mut().for_each(|pending| pending.results -= 1);
            left -= 1;
        }
    }

    /// The sender's half of an aggregator that forwards: to be greeted with, and told what is covered.
    pub fn outgoing(&mut self) -> Option<&mut Outgoing> {
        self.forwarding.as_mut().map(|forwarding| &mut forwarding.outgoing)
    }

    /// What it is called where it forwards to.
    #[must_use]
    pub fn forwards_as(&self) -> Option<&SensorName> {
        self.forwarding.as_ref().map(|forwarding| &forwarding.name)
    }

    /// The payload of a record that [`outgoing`](Self::outgoing) gave.
    #[must_use]
    pub fn payload(&self, position: Position) -> Arc<[u8]> {
        let payloads = self.forwarding.as_ref().map(|forwarding| &forwarding.payloads);
        let blob = payloads.and_then(|payloads| payloads.get(&position));
        blob.map(|blob| Arc::clone(&blob.octets)).unwrap_or_default()
    }

    /// How often something of a sensor was refused or held, by the reason's name.
    #[must_use]
    pub fn counts(&self, sensor: &SensorName) -> BTreeMap<&'static str, u64> {
        self.links.get(sensor).map(|link| link.counts.clone()).unwrap_or_default()
    }

    /// How often somebody was refused who is not known, by the reason's name.
    #[must_use]
    pub const fn strangers(&self) -> &BTreeMap<&'static str, u64> {
        &self.strangers
    }

    /// How much is held: panes of all halves, stretches above the marks of all sensors, results.
    #[must_use]
    pub fn held(&self) -> Held {
        Held {
            panes: self.halves.values().map(|half| half.panes.len()).sum(),
            above: self.links.values().map(|link| link.seen.above().len()).sum(),
            results: self.results.len(),
        }
    }
}

/// The halves that wait for a sensor.
fn counting_on<S>(halves: &BTreeMap<HalfId, Half<S>>, sensor: &SensorName, link: &Link) -> Vec<HalfId> {
    let counting = halves.iter().filter(|(id, half)| half.counts_on(**id, sensor, link));
    counting.map(|(id, _)| *id).collect()
}

#[cfg(test)]
impl<M: Merge> Aggregator<M> {
    /// Whether nothing waits to be given of panes that begin before a time, or were given before.
    pub(crate) fn is_at_rest(&self, until: i64) -> bool {
        let waits = |half: &Half<M::State>| {
            let mut dirty = half.panes.iter().filter(|(_, pane)| pane.is_dirty);
            dirty.any(|(start, _)| *start < until || *start < half.given_until)
        };
        let dirty = self.halves.values().any(waits);
        let looks_again = self.halves.values().any(|half| half.looks_again);
        !dirty && !looks_again && self.results.is_empty()
    }

    /// Whether nothing waits to be forwarded.
    pub(crate) fn is_forwarded(&self) -> bool {
        self.forwarding.as_ref().is_none_or(|forwarding| forwarding.outgoing.is_empty())
    }
}

/// How much an aggregator holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Panes of all halves.
    pub panes: usize,
    /// Stretches of records above the marks of all sensors.
    pub above: usize,
    /// Results that nobody has taken.
    pub results: usize,
}

impl Forwarding {
    /// Lets go of payloads of records that are not kept any more.
    pub(crate) fn forget_payloads(&mut self) {
        let Self { outgoing, payloads, .. } = self;
        payloads.retain(|position, _| outgoing.keeps(*position));
    }
}
