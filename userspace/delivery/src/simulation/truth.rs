//! What every source sent, and what results must be of it.

use super::ids::{Id, Ids, id, leaf_of, sequence_of};
use crate::aggregator::Given;
use crate::names::{HalfId, SensorName, Span};
use std::collections::{BTreeMap, BTreeSet};

/// How long panes are.
pub(super) const WIDTH: i64 = 20;

pub(super) const fn pane_of(time: i64) -> Span {
    let start = time.div_euclid(WIDTH) * WIDTH;
    Span { start, end: start + WIDTH }
}

/// What is known to be true, and what was given.
#[derive(Clone, Debug, Default)]
pub(super) struct Truth {
    /// Of each leaf, when its records were.
    times: Vec<Vec<i64>>,
    /// Of each leaf, the aggregators between it and the final one.
    pub(super) between: Vec<Vec<SensorName>>,
    /// By half and leaf, the first record that counts.
    first: BTreeMap<(HalfId, usize), usize>,
    /// What is on a disk and cannot be lost by a crash any more, but for a disk that is lost as a whole.
    safe: BTreeSet<Id>,
    /// Leaves that lost their disks, and how many records they had been sent when they were back: of those before, it is
    /// said that nobody knows, unless nobody knew of the leaf.
    wiped: BTreeMap<usize, usize>,
    /// What was given, by half and pane, then by revision.
    given: BTreeMap<(HalfId, i64), BTreeMap<u64, Given>>,
}

impl Truth {
    pub(super) fn new(leaves: usize) -> Self {
        Self { times: vec![vec![]; leaves], between: vec![vec![]; leaves], ..Self::default() }
    }

    pub(super) fn send(&mut self, leaf: usize, time: i64) -> usize {
        self.times[leaf].push(time);
        self.times[leaf].len() - 1
    }

    pub(super) fn sent(&self, leaf: usize) -> usize {
        self.times[leaf].len()
    }

    pub(super) fn time(&self, leaf: usize, sequence: usize) -> i64 {
        self.times[leaf][sequence]
    }

    pub(super) fn begin(&mut self, half: HalfId, leaf: usize, first: usize) {
        self.first.insert((half, leaf), first);
    }

    pub(super) fn note_safe(&mut self, ids: &[Id]) {
        self.safe.extend(ids);
    }

    pub(super) fn wipe(&mut self, leaf: usize) {
        self.wiped.insert(leaf, self.sent(leaf));
    }

    fn may_be_lost(&self, id: Id) -> bool {
        self.wiped.get(&leaf_of(id)).is_some_and(|sent| sequence_of(id) < *sent)
    }

    /// All records of a leaf for a pane.
    fn all(&self, half: HalfId, pane: Span, leaf: usize) -> impl Iterator<Item = Id> {
        let first = self.first.get(&(half, leaf)).copied().unwrap_or(usize::MAX);
        let records = self.times[leaf].iter().enumerate().skip(first);
        let inside = records.filter(move |(_, time)| pane.start <= **time && **time < pane.end);
        inside.map(move |(sequence, _)| id(leaf, sequence))
    }

    /// Takes a result, once or more often; says what is wrong with it.
    pub(super) fn take(&mut self, given: &Given) -> Result<(), String> {
        let revisions = self.given.entry((given.half, given.pane.start)).or_default();
        if let Some(known) = revisions.get(&given.revision) {
            return if known == given {
                Ok(())
            } else {
                Err(format!("{given:?} was another one before: {known:?}"))
            };
        }
        if given.revision > revisions.keys().next_back().map_or(0, |last| last + 1) {
            return Err(format!("a revision is left out before {given:?}"));
        }
        revisions.insert(given.revision, given.clone());
        self.check(given).map_err(|why| format!("{why} in {given:?}"))
    }

    /// What is there is true, once; and of whoever is said to be whole all is there, or said to be missing.
    fn check(&self, given: &Given) -> Result<(), String> {
        let ids = Ids::decode(&given.state).ok_or("no state")?;
        let mut told: Vec<Id> = ids.present.iter().chain(&ids.missing).copied().collect();
        told.sort_unstable();
        if let Some(pair) = told.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(format!("{:x} counts twice", pair[0]));
        }
        let is_safe = |id: &&Id| self.safe.contains(id) && !self.wiped.contains_key(&leaf_of(**id));
        if let Some(id) = ids.missing.iter().find(is_safe) {
            return Err(format!("{id:x} was safe, and is missing"));
        }
        if told.len() as u64 != given.records {
            return Err("a wrong number of records".to_owned());
        }
        let leaves: BTreeSet<usize> = told.iter().map(|id| leaf_of(*id)).collect();
        let mut lacking = vec![];
        for leaf in leaves {
            let all: BTreeSet<Id> = self.all(given.half, given.pane, leaf).collect();
            let own: Vec<Id> = told.iter().filter(|id| leaf_of(**id) == leaf).copied().collect();
            if let Some(wrong) = own.iter().find(|id| !all.contains(id)) {
                return Err(format!("{wrong:x} is none of its records"));
            }
            let is_absent = |name: &SensorName| given.absent.contains(name);
            if !is_absent(&name(leaf)) && !self.between[leaf].iter().any(is_absent) {
                lacking.extend(all.into_iter().filter(|id| !own.contains(id) && !self.may_be_lost(*id)));
            }
        }
        if lacking.len() as u64 > given.told.records() && !given.told.is_doubted {
            return Err(format!("{lacking:x?} are missing, and nobody says so"));
        }
        Ok(())
    }

    /// At the end all panes of a half, up to a time, are whole, or say exactly how much is missing.
    pub(super) fn check_end(
        &self,
        half: HalfId,
        until: i64,
        may_be_absent: &[SensorName],
        is_exact: bool,
    ) -> Result<(), String> {
        for start in (0..until).step_by(WIDTH as usize) {
            let pane = pane_of(start);
            let all: Vec<Id> = (0..self.times.len()).flat_map(|leaf| self.all(half, pane, leaf)).collect();
            let last = self.given.get(&(half, start)).and_then(|revisions| revisions.values().next_back());
            let Some(given) = last else {
                if all.iter().any(|id| !self.may_be_lost(*id)) {
                    return Err(format!("{half:?} {pane:?} of {all:x?} was never given"));
                }
                continue;
            };
            if given.absent.iter().any(|name| !may_be_absent.contains(name)) {
                return Err(format!("somebody is absent at the end in {given:?}"));
            }
            let known =
                Ids::decode(&given.state).map(|ids| [ids.present, ids.missing].concat()).unwrap_or_default();
            let (spared, lacking): (Vec<Id>, Vec<Id>) =
                all.into_iter().filter(|id| !known.contains(id)).partition(|id| self.may_be_lost(*id));
            let lacks = lacking.len() as u64;
            let is_right = match given.told {
                told if told.is_doubted => true,
                told if told.is_at_most || !is_exact || !spared.is_empty() => lacks <= told.records(),
                told => lacks == told.records(),
            };
            if !is_right {
                return Err(format!("{lacking:x?} are missing in {given:?}"));
            }
        }
        Ok(())
    }

    /// Whether something was ever said to be lost, refused or unknown.
    pub(super) fn losses(&self) -> u64 {
        let last = self.given.values().filter_map(|revisions| revisions.values().next_back());
        last.map(|given| given.told.records() + u64::from(given.told.is_doubted)).sum()
    }
}

pub(super) fn name(leaf: usize) -> SensorName {
    SensorName::new(&format!("leaf-{leaf}"))
}
