//! A half as an aggregator knows it: its panes, and when they are given.

use crate::blobs::BlobId;
use crate::limits::Patience;
use crate::link::Link;
use crate::names::{Fingerprint, HalfId, Moment, Position, SensorName, Span};
use crate::record::Told;
use std::collections::{BTreeMap, BTreeSet};

/// Sensors by name.
pub(crate) type Links = BTreeMap<SensorName, Link>;

/// What a query asks of sensors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HalfSpec {
    /// What states of it must have in common.
    pub fingerprint: Fingerprint,
    /// How long its panes are.
    pub width_ns: i64,
    /// Whom it asks, by name or pattern, in which `*` stands for any letters and `?` for one; `None`: all.
    pub sensors: Option<BTreeSet<SensorName>>,
}

/// What came for a pane.
#[derive(Clone, Debug)]
pub(crate) struct Pane<S> {
    pub(crate) state: Option<S>,
    /// Which blob the state is, since it was last asked for.
    pub(crate) blob: Option<BlobId>,
    /// Records of sources that the state accounts for.
    pub(crate) records: u64,
    pub(crate) told: Told,
    /// Who added something since it was given.
    pub(crate) contributors: BTreeSet<SensorName>,
    pub(crate) opened_by: SensorName,
    /// How often it was given.
    pub(crate) given: u64,
    /// Who was missing when it was given last.
    pub(crate) absent: Vec<SensorName>,
    /// Whether something came since.
    pub(crate) is_dirty: bool,
    /// Since when it could be given, but for stragglers; by a steady clock.
    pub(crate) waits_since_ns: Option<i64>,
}

impl<S> Pane<S> {
    pub(crate) fn new(opened_by: SensorName) -> Self {
        Self {
            state: None,
            blob: None,
            records: 0,
            told: Told::default(),
            contributors: BTreeSet::new(),
            opened_by,
            given: 0,
            absent: vec![],
            is_dirty: false,
            waits_since_ns: None,
        }
    }

    /// Notes that somebody added something.
    pub(crate) fn touch(&mut self, sensor: &SensorName) {
        (self.is_dirty, self.blob) = (true, None);
        if !self.contributors.contains(sensor) {
            self.contributors.insert(sensor.clone());
        }
    }
}

/// A half, and its panes by their start.
#[derive(Clone, Debug)]
pub(crate) struct Half<S> {
    pub(crate) spec: HalfSpec,
    pub(crate) panes: BTreeMap<i64, Pane<S>>,
    /// The earliest pane that was given begins here.
    pub(crate) given_from: i64,
    /// The latest pane that was given ends here.
    pub(crate) given_until: i64,
    /// The latest pane that was given ends here, of those that whoever takes results has.
    pub(crate) taken_until: i64,
    /// Panes that end here or earlier are closed for good.
    pub(crate) closed_until: i64,
    /// Somebody who had been left behind has come on: what was said of who is absent may not be so any more.
    pub(crate) looks_again: bool,
    /// Of whom parts came before others that were made before them: the last one of them, and the earliest pane that
    /// some are of. Until all are there, his share of later panes may not be whole, whatever he said before.
    pub(crate) overtaken: BTreeMap<SensorName, (Position, i64)>,
    /// Who was said to be behind, to where this is forwarded to.
    pub(crate) said_behind: Vec<(SensorName, i64)>,
    /// In which record that was said last.
    pub(crate) said_at: Position,
}

impl<S> Half<S> {
    pub(crate) const fn new(spec: HalfSpec) -> Self {
        Self {
            spec,
            panes: BTreeMap::new(),
            given_from: i64::MAX,
            given_until: i64::MIN,
            taken_until: i64::MIN,
            closed_until: i64::MIN,
            looks_again: false,
            overtaken: BTreeMap::new(),
            said_behind: vec![],
            said_at: Position::START,
        }
    }

    /// The pane that begins there.
    pub(crate) const fn span(&self, start: i64) -> Span {
        Span { start, end: start.saturating_add(self.spec.width_ns) }
    }

    /// Whether a span is one of its panes.
    pub(crate) fn has(&self, span: Span) -> bool {
        span.start.checked_add(self.spec.width_ns) == Some(span.end)
            && span.start.checked_rem_euclid(self.spec.width_ns) == Some(0)
    }

    fn asks(&self, sensor: &SensorName) -> bool {
        let mut patterns = self.spec.sensors.iter().flatten();
        self.spec.sensors.is_none() || patterns.any(|pattern| sensor.is_like(pattern.as_str()))
    }

    /// Whether parts of a sensor are taken: it is asked, or others are behind it, of whom it alone knows who is.
    pub(crate) fn takes(&self, sensor: &SensorName, link: &Link) -> bool {
        link.leaves.is_some() || self.asks(sensor)
    }

    /// Whether a sensor is waited for, and missed: it is asked, or somebody behind it is.
    pub(crate) fn counts_on(&self, id: HalfId, sensor: &SensorName, link: &Link) -> bool {
        match &link.leaves {
            None => self.asks(sensor),
            Some(_) if self.spec.sensors.is_none() => true,
            Some(leaves) => link.reached(id) > i64::MIN || leaves.iter().any(|leaf| self.asks(leaf)),
        }
    }

    /// The sensors whose share is part of its panes.
    pub(crate) fn taking_part<'a>(
        &'a self,
        id: HalfId,
        links: &'a Links,
    ) -> impl Iterator<Item = (&'a SensorName, &'a Link)> {
        links.iter().filter(move |(name, link)| !link.rests && self.counts_on(id, name, link))
    }

    /// Up to where the share of a sensor is whole.
    pub(crate) fn reached(&self, id: HalfId, name: &SensorName, link: &Link) -> i64 {
        let overtaken = self.overtaken.get(name).map_or(i64::MAX, |(_, start)| *start);
        link.reached(id).min(overtaken)
    }

    /// Notes that a part came, perhaps before others, and that all up to the mark are there.
    pub(crate) fn note_order(&mut self, name: &SensorName, mark: Position, part: Option<(Position, i64)>) {
        if let Some((position, start)) = part.filter(|(position, _)| *position > mark) {
            let (last, earliest) = self.overtaken.entry(name.clone()).or_insert((position, start));
            (*last, *earliest) = ((*last).max(position), (*earliest).min(start));
        }
        if self.overtaken.get(name).is_some_and(|(last, _)| *last <= mark) {
            self.overtaken.remove(name);
            self.looks_again = true;
        }
    }

    /// Who has not come to a time: sensors, and who is behind them.
    pub(crate) fn absent(&self, id: HalfId, end: i64, links: &Links) -> Vec<SensorName> {
        let mut absent = BTreeSet::new();
        for (name, link) in self.taking_part(id, links) {
            if self.reached(id, name, link) < end {
                absent.insert(name.clone());
            }
            let behind = link.standing(id).into_iter().flat_map(|standing| &standing.behind);
            absent.extend(behind.filter(|(_, reach)| *reach < end).map(|(name, _)| name.clone()));
        }
        absent.into_iter().collect()
    }

    /// Whether nobody knows what is missing in a pane.
    pub(crate) fn is_doubted(&self, id: HalfId, pane: Span, links: &Links) -> bool {
        let mut standings = self.taking_part(id, links).filter_map(|(_, link)| link.standing(id));
        standings.any(|standing| standing.doubts(pane))
    }

    /// Whether a pane waits for somebody: who is not idle, has not come to its end, and was not left behind before, or
    /// is catching up on just this pane.
    fn waits(&self, id: HalfId, start: i64, links: &Links, (now_ns, idle_after_ns): (i64, i64)) -> bool {
        let end = self.span(start).end;
        let Some(pane) = self.panes.get(&start) else { return false };
        self.taking_part(id, links).any(|(name, link)| {
            let is_left = link.standing(id).is_some_and(|standing| standing.is_left);
            self.reached(id, name, link) < end
                && now_ns.saturating_sub(link.heard_ns) <= idle_after_ns
                && (!is_left || pane.contributors.contains(name))
        })
    }

    /// Whether a pane can be given now.
    fn is_due(
        &mut self,
        id: HalfId,
        start: i64,
        links: &Links,
        (now, patience): (Moment, &Patience),
    ) -> bool {
        let end = self.span(start).end;
        let waits = self.waits(id, start, links, (now.steady_ns, patience.idle_after_ns));
        // By our clock, where nobody says how far he has come.
        let is_over = end.saturating_add(patience.skew_ns) <= now.wall_ns || end <= self.given_until;
        let is_reached = is_over || self.taking_part(id, links).any(|(_, link)| link.reached(id) >= end);
        let Some(pane) = self.panes.get_mut(&start) else { return false };
        if is_reached && pane.waits_since_ns.is_none() {
            pane.waits_since_ns = Some(now.steady_ns);
        }
        let waited = pane.waits_since_ns.map(|since| now.steady_ns.saturating_sub(since));
        !waits || waited.is_some_and(|waited| waited >= patience.stragglers_ns)
    }

    /// The panes that are given now, earliest first: those that were not given before in the order of time, so that
    /// whoever hears of one has heard of all before it.
    pub(crate) fn due(
        &mut self,
        id: HalfId,
        links: &Links,
        now: Moment,
        (patience, panes_max): (&Patience, usize),
    ) -> Vec<i64> {
        let dirty = self.panes.iter().filter(|(_, pane)| pane.is_dirty).map(|(start, _)| *start);
        let (mut due, mut holds_up) = (vec![], false);
        for start in dirty.collect::<Vec<_>>() {
            let is_new = self.span(start).end > self.given_until;
            let is_due = self.is_due(id, start, links, (now, patience));
            if is_due && !(is_new && holds_up) {
                due.push(start);
            }
            holds_up |= is_new && !is_due;
        }
        if due.is_empty() && self.panes.len() >= panes_max {
            due.extend(self.panes.iter().find(|(_, pane)| pane.is_dirty).map(|(start, _)| *start));
        }
        due
    }

    /// Closes panes for good that lie too far behind, or for which there is no room.
    pub(crate) fn close_old(&mut self, revisable_ns: i64, panes_max: usize) {
        let oldest_dirty =
            self.panes.iter().find(|(_, pane)| pane.is_dirty).map_or(i64::MAX, |(start, _)| *start);
        let mut until = self.given_until.saturating_sub(revisable_ns);
        // A quarter of the room is made at once.
        let too_many = self.panes.len().saturating_sub(panes_max - panes_max / 4);
        if self.panes.len() >= panes_max
            && let Some((last, _)) = self.panes.iter().take(too_many).last()
        {
            until = until.max(self.span(*last).end);
        }
        self.closed_until = self.closed_until.max(until.min(oldest_dirty));
        while let Some(entry) = self.panes.first_entry() {
            let end = entry.key().saturating_add(self.spec.width_ns);
            if entry.get().is_dirty || end > self.closed_until {
                return;
            }
            entry.remove();
        }
    }

    /// Closes the earliest pane for good, unless something of it is still to be given.
    pub(crate) fn close_earliest(&mut self) -> Option<Pane<S>> {
        let entry = self.panes.first_entry().filter(|entry| !entry.get().is_dirty)?;
        self.closed_until = self.closed_until.max(entry.key().saturating_add(self.spec.width_ns));
        Some(entry.remove())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_still_to_be_given_is_not_closed() {
        let spec = HalfSpec { fingerprint: Fingerprint(1), width_ns: 10, sensors: None };
        let mut half = Half::<()>::new(spec);
        for (start, is_dirty) in [(0, false), (10, false), (20, true), (30, false)] {
            let pane = Pane { is_dirty, ..Pane::new(SensorName::new("pop-1")) };
            half.panes.insert(start, pane);
        }
        assert!([(); 3].map(|()| half.close_earliest().is_some()) == [true, true, false]);
        assert_eq!((half.closed_until, half.panes.len()), (20, 2));
    }
}
