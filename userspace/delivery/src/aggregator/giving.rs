//! What an aggregator gives: results, or parts of another aggregator's panes.

use super::intake::{PANES_AT_ONCE, forwarded, latest};
use super::{Aggregator, Forwarding, Given, Merge, Untaken};
use crate::blobs::{Blob, BlobId, Blobs};
use crate::half::{Half, Links, Pane};
use crate::limits::AggregatorLimits;
use crate::link::Link;
use crate::mutation::{Mutation, is_mutated};
use crate::names::{HalfId, Moment, Position, SensorName};
use crate::outgoing::NewPart;
use crate::record::{PartHead, Told};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// A part that waits for its number, and its payload.
type Forwarded = (NewPart, Arc<[u8]>);

/// The results that nobody has taken yet.
struct Waiting<'a> {
    results: &'a mut VecDeque<Untaken>,
    blobs: &'a mut Blobs,
    limits: &'a AggregatorLimits,
    /// In how many of them a sensor is alone.
    alone: BTreeMap<SensorName, usize>,
}

impl<'a> Waiting<'a> {
    fn new(results: &'a mut VecDeque<Untaken>, blobs: &'a mut Blobs, limits: &'a AggregatorLimits) -> Self {
        let mut alone = BTreeMap::new();
        results.iter().for_each(|untaken| note_alone(&mut alone, &untaken.given));
        Self { results, blobs, limits, alone }
    }

    fn is_full(&self) -> bool {
        self.results.len() >= self.limits.results_max
    }

    /// Whether there is room for one that these have a part in.
    fn has_room_for(&self, from: &BTreeSet<SensorName>) -> bool {
        let alone = from.first().filter(|_| from.len() == 1).and_then(|only| self.alone.get(only));
        alone.is_none_or(|results| *results < self.limits.of_one_sensor())
    }

    fn push(&mut self, given: Given, blob: BlobId) {
        note_alone(&mut self.alone, &given);
        self.results.push_back(Untaken { given, blob });
    }
}

fn note_alone(alone: &mut BTreeMap<SensorName, usize>, given: &Given) {
    if let Some(only) = given.only() {
        *alone.entry(only.clone()).or_default() += 1;
    }
}

impl<M: Merge> Aggregator<M> {
    /// Gives the panes that are due.
    pub(super) fn give_due(&mut self, now: Moment) {
        let Self { halves, links, merge, options, results, forwarding, blobs, .. } = self;
        let mut parts = vec![];
        let mut waiting = Waiting::new(results, blobs, &options.limits);
        for (id, half) in halves.iter_mut() {
            for link in links.values_mut() {
                tell_doubt(half, *id, link, forwarding.as_ref().map(|forwarding| &forwarding.name));
            }
            if std::mem::take(&mut half.looks_again) {
                look_again(half, *id, links, forwarding.as_ref());
            }
            let due = half.due(*id, links, now, (&options.patience, options.limits.panes_max));
            match forwarding {
                Some(_) => parts.extend(forward(merge, (*id, half), due, links)),
                None => give(merge, (*id, half), due, links, &mut waiting),
            }
            half.close_old(options.patience.revisable_ns, options.limits.panes_max);
            close_beyond(merge, *id, half);
        }
        if let Some(forwarding) = forwarding {
            for (id, position) in forwarding.cut(parts, blobs) {
                halves.entry(id).and_modify(|half| half.said_at = position);
            }
            // Where the last part that said who is behind is not kept, that is said again.
            for half in halves.values_mut().filter(|half| forwarding.outgoing.gives_up(half.said_at)) {
                half.looks_again = true;
            }
        }
    }
}

/// Closes the earliest panes that are kept only to be revised, while these take more than they may.
fn close_beyond<M: Merge>(merge: &M, id: HalfId, half: &mut Half<M::State>) {
    if !merge.may_be_full(id) {
        return;
    }
    let kept = half.panes.values().filter(|pane| !pane.is_dirty).filter_map(|pane| pane.state.as_ref());
    let mut octets: u64 = kept.map(|state| merge.octets(state)).sum();
    while merge.is_full(id, octets) {
        let Some(closed) = half.close_earliest() else { return };
        octets -= closed.state.map_or(0, |state| merge.octets(&state));
    }
}

/// Panes of which it is not known any more what is missing are given again; where nothing stays of what was given, as
/// parts without records.
fn tell_doubt<S>(half: &mut Half<S>, id: HalfId, link: &mut Link, forwards_as: Option<&SensorName>) {
    let Some(standing) = link.standings.get_mut(&id).filter(|standing| standing.tells_doubt) else { return };
    standing.tells_doubt = false;
    let Some((from, until)) = standing.doubt else { return };
    let width = half.spec.width_ns;
    if let (Some(name), Some(latest)) = (forwards_as, latest(half)) {
        let earliest = from.max(half.closed_until).max(half.given_from);
        let starts =
            std::iter::successors(Some(latest.start), |start| start.checked_sub(width)).take(PANES_AT_ONCE);
        let starts =
            starts.take_while(|start| half.span(*start).end > earliest).filter(|start| *start < until);
        for start in starts.collect::<Vec<_>>() {
            half.panes.entry(start).or_insert_with(|| Pane::new(name.clone())).is_dirty = true;
        }
        return;
    }
    let panes = half.panes.range_mut(from.saturating_sub(width)..until.max(from));
    panes.filter(|(_, pane)| pane.given > 0).for_each(|(_, pane)| pane.is_dirty = true);
}

/// Where others are absent now than was said, that is said anew.
fn look_again<S>(half: &mut Half<S>, id: HalfId, links: &Links, forwarding: Option<&Forwarding>) {
    if let Some(forwarding) = forwarding {
        let name = &forwarding.name;
        if let Some(span) = latest(half).filter(|span| span.end > half.closed_until) {
            let pane = half.panes.entry(span.start).or_insert_with(|| Pane::new(name.clone()));
            pane.is_dirty = true;
        }
        return;
    }
    let given = half.panes.iter().filter(|(_, pane)| !pane.is_dirty && !pane.absent.is_empty());
    let changed = given.filter(|(start, pane)| half.absent(id, half.span(**start).end, links) != pane.absent);
    let changed: Vec<_> = changed.map(|(start, _)| *start).collect();
    for start in changed {
        half.panes.entry(start).and_modify(|pane| pane.is_dirty = true);
    }
}

/// Whoever is not there is not waited for until he has caught up.
fn leave_behind<S>(half: &mut Half<S>, id: HalfId, end: i64, links: &mut Links) {
    half.given_from = half.given_from.min(end.saturating_sub(half.spec.width_ns));
    half.given_until = half.given_until.max(end);
    let asked = links.iter_mut().filter(|(name, link)| !link.rests && half.counts_on(id, name, link));
    for (_, link) in asked.filter(|(name, link)| half.reached(id, name, link) < end) {
        link.standings.entry(id).or_default().is_left = true;
    }
}

fn give<M: Merge>(
    merge: &M,
    (id, half): (HalfId, &mut Half<M::State>),
    due: Vec<i64>,
    links: &mut Links,
    waiting: &mut Waiting<'_>,
) {
    for start in due {
        if waiting.is_full() {
            return;
        }
        let span = half.span(start);
        // What was said before, or comes behind others anyway, can wait until those of others have been taken.
        let is_late = span.end <= half.given_until;
        if is_late && half.panes.get(&start).is_some_and(|pane| !waiting.has_room_for(&pane.contributors)) {
            continue;
        }
        let absent = half.absent(id, span.end, links);
        let is_doubted = half.is_doubted(id, span, links);
        let Some(pane) = half.panes.get_mut(&start) else { continue };
        let mut told = pane.told;
        told.is_doubted |= is_doubted;
        let state = encoded(merge, id, pane);
        let from = std::mem::take(&mut pane.contributors).into_iter().collect();
        let (revision, records) = (pane.given, pane.records);
        let given =
            Given { half: id, pane: span, revision, state, records, told, absent: absent.clone(), from };
        // What stays to be revised is the same blob.
        let blob = *pane.blob.get_or_insert_with(|| waiting.blobs.number());
        waiting.push(given, blob);
        (pane.given, pane.absent, pane.is_dirty, pane.waits_since_ns) = (pane.given + 1, absent, false, None);
        leave_behind(half, id, span.end, links);
    }
}

/// What came for panes goes on as parts, and nothing of it stays: what comes later is another part.
fn forward<M: Merge>(
    merge: &M,
    (id, half): (HalfId, &mut Half<M::State>),
    due: Vec<i64>,
    links: &mut Links,
) -> Vec<Forwarded> {
    let (mut parts, mut split) = (vec![], BTreeMap::new());
    for start in due {
        let span = half.span(start);
        let is_doubted = half.is_doubted(id, span, links);
        let Some(pane) = half.panes.get_mut(&start) else { continue };
        for name in &pane.contributors {
            let earliest = split.entry(name.clone()).or_insert(start);
            *earliest = start.min(*earliest);
        }
        let nothing = || merge.encode_apart(id, &merge.empty(id));
        let payloads = pane.state.as_ref().map_or_else(nothing, |state| merge.encode_apart(id, state));
        let (records, mut told) = (pane.records, pane.told);
        told.is_doubted |= is_doubted;
        if is_mutated(Mutation::ForwardAgain) {
            (pane.is_dirty, pane.waits_since_ns) = (false, None);
        } else {
            half.panes.remove(&start);
        }
        leave_behind(half, id, span.end, links);
        let fingerprint = half.spec.fingerprint;
        let watermark = i64::MIN;
        let part = PartHead { half: id, fingerprint, pane: span, watermark, records, told, behind: vec![] };
        parts.extend(parts_of(&part, payloads));
    }
    if parts.is_empty() {
        return parts;
    }
    let behind = behind(half, id, links);
    // Only behind the last part all of them are there: until then, who was behind is so still, and so is everybody of whom
    // there is something in them.
    let split: Vec<_> = split.into_iter().collect();
    let both = [&half.said_behind[..], &behind, &split].concat();
    half.said_behind.clone_from(&behind);
    parts.iter_mut().for_each(|(new, _)| new.part.behind.clone_from(&both));
    if let Some((last, _)) = parts.last_mut() {
        (last.part.watermark, last.part.behind) = (half.given_until, behind);
    }
    parts
}

/// The parts of a pane, of which each accounts for its share of the records.
fn parts_of(whole: &PartHead, payloads: Vec<(Arc<[u8]>, f64)>) -> Vec<Forwarded> {
    let (mut left, mut parts, count) = (whole.records, vec![], payloads.len());
    for (number, (payload, share)) in (1..).zip(payloads) {
        let own = (whole.records as f64 * share).round() as u64;
        let records = if number == count { left } else { own.min(left) };
        left -= records;
        // What is missing besides is missing once.
        let told = if number == 1 { whole.told } else { Told::default() };
        let part = PartHead { records, told, ..whole.clone() };
        parts.push((NewPart { part, octets: payload.len() as u64 }, payload));
    }
    parts
}

/// Who has not come as far as panes were given on, and how far all that came of him was given on.
fn behind<S>(half: &Half<S>, id: HalfId, links: &Links) -> Vec<(SensorName, i64)> {
    let mut behind = vec![];
    for (name, link) in half.taking_part(id, links) {
        let own = forwarded(half, id, name, links);
        behind.push((name.clone(), own));
        let others = link.standing(id).into_iter().flat_map(|standing| &standing.behind);
        behind.extend(others.map(|(other, reach)| (other.clone(), own.min(*reach))));
    }
    behind.retain(|(_, reach)| *reach < half.given_until);
    behind
}

/// What came for a pane, as octets.
pub(super) fn encoded<M: Merge>(merge: &M, id: HalfId, pane: &Pane<M::State>) -> Arc<[u8]> {
    pane.state.as_ref().map_or_else(|| merge.encode(id, &merge.empty(id)), |state| merge.encode(id, state))
}

impl Forwarding {
    /// Numbers parts, and keeps their payloads; gives the last one of each half.
    fn cut(&mut self, parts: Vec<Forwarded>, blobs: &mut Blobs) -> BTreeMap<HalfId, Position> {
        if parts.is_empty() && !self.outgoing.has_given_up() {
            return BTreeMap::new();
        }
        let halves: Vec<HalfId> = parts.iter().map(|(new, _)| new.part.half).collect();
        let (parts, payloads): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        let heads = self.outgoing.cut(parts);
        // Records that say what is gone come first, and have none.
        let first = heads.len() - payloads.len();
        let positions: Vec<Position> = heads.iter().skip(first).map(|head| head.position).collect();
        let payloads = payloads.into_iter().map(|octets| Blob { id: blobs.number(), octets });
        self.payloads.extend(positions.iter().copied().zip(payloads));
        halves.into_iter().zip(positions).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::half::HalfSpec;
    use crate::names::Fingerprint;

    /// States are octets that they take; those that are kept may take ten.
    struct Octets;

    impl Merge for Octets {
        type State = u64;

        fn empty(&self, _: HalfId) -> u64 {
            0
        }

        fn merge(&self, _: HalfId, _: &mut u64, _: &[u8]) -> Result<(), String> {
            Ok(())
        }

        fn encode(&self, _: HalfId, _: &u64) -> Arc<[u8]> {
            Arc::default()
        }

        fn octets(&self, state: &u64) -> u64 {
            *state
        }

        fn is_full(&self, _: HalfId, kept: u64) -> bool {
            kept > 10
        }
    }

    #[test]
    fn what_is_still_to_be_given_takes_no_room_of_what_is_kept() {
        let mut half = Half::new(HalfSpec { fingerprint: Fingerprint(1), width_ns: 10, sensors: None });
        for (start, octets, is_dirty) in [(0, 6, false), (10, 5, false), (20, 5, false), (30, 100, true)] {
            let pane = Pane { state: Some(octets), is_dirty, ..Pane::new(SensorName::new("pop-1")) };
            half.panes.insert(start, pane);
        }
        close_beyond(&Octets, HalfId(1), &mut half);
        assert!(half.panes.keys().eq(&[10, 20, 30]));
    }
}
