//! What an aggregator makes of records.

use super::{Aggregator, Merge, Origin, counting_on};
use crate::half::{Half, Links, Pane};
use crate::limits::AggregatorLimits;
use crate::link::{Link, Moved};
use crate::message::{Refusal, Verdict};
use crate::mutation::{Mutation, is_mutated};
use crate::names::{HalfId, Incarnation, Moment, Position, SensorName, Span};
use crate::record::{Gap, Head, Kind, Loss, PartHead, Told};
use crate::seen::{Overlap, Reach, octets_of};
use std::collections::{BTreeMap, BTreeSet};

/// Panes that say at once that nobody knows what is missing.
pub(super) const PANES_AT_ONCE: usize = 1024;
/// The same of all that one sensor says to be lost between two checkpoints: a few octets of it may be of so many panes each.
const PANES_TOLD_MAX: usize = 1 << 18;

/// Why a part is not taken now.
enum NotTaken {
    /// It counts as refused, and its pane is told so where there is one.
    Refused(Refusal),
    /// It is to come again; the name of the reason.
    Later(&'static str),
}

impl<M: Merge> Aggregator<M> {
    /// Takes a record of the life of a sensor that greeted on this link.
    pub fn receive(
        &mut self,
        sensor: &SensorName,
        life: Incarnation,
        (head, payload): (&Head, &[u8]),
        now: Moment,
    ) -> Verdict {
        // What is gone is what others wait for: it has room besides.
        let is_gone = matches!(head.kind, Kind::Gone(_));
        let AggregatorLimits { above_max, behind_octets_max, .. } = self.options.limits;
        let above_max = above_max * (1 + usize::from(is_gone));
        let Some(link) = self.links.get_mut(sensor) else {
            *self.strangers.entry(Refusal::NotGreeted.name()).or_default() += 1;
            return Verdict::Closed(Refusal::NotGreeted);
        };
        if life != link.newest {
            link.count("fenced");
            return Verdict::Closed(Refusal::Fenced { own: life, newest: link.newest });
        }
        link.heard_ns = link.heard_ns.max(now.steady_ns);
        if link.seen.contains(seen_as(head).1) {
            return Verdict::Seen;
        }
        let behind = link.behind_octets().saturating_add(behind_octets(head));
        let has_room = link.seen.above().len() < above_max && (is_gone || behind <= behind_octets_max);
        if !has_room && head.after > link.seen.mark() {
            link.count("ahead_of_others");
            // What others wait for may be gone by this one: that makes room, and it comes again.
            if let Kind::Gone(gaps) = &head.kind {
                for gap in gaps {
                    self.take_gap(sensor, gap, now);
                }
            }
            return Verdict::Later;
        }
        let verdict = self.take(sensor, head, payload, now);
        if let Verdict::Refused(refusal) = &verdict
            && let Some(link) = self.links.get_mut(sensor)
        {
            link.count(refusal.name());
        }
        verdict
    }

    fn take(&mut self, sensor: &SensorName, head: &Head, payload: &[u8], now: Moment) -> Verdict {
        let (verdict, reach) = match &head.kind {
            Kind::Gone(gaps) => {
                // Those that are taken are known when it comes again.
                if !gaps.iter().all(|gap| self.take_gap(sensor, gap, now)) {
                    return Verdict::Later;
                }
                (Verdict::Taken, None)
            }
            Kind::Part(part) => {
                let leaves = self.links.get(sensor).and_then(|link| link.leaves.as_ref());
                let from = Origin { sensor, position: head.position, stands_for: leaves.map(BTreeSet::len) };
                let verdict = match self.take_part(from, part, payload, now) {
                    Ok(()) => Verdict::Taken,
                    Err(NotTaken::Refused(refusal)) => Verdict::Refused(refusal),
                    Err(NotTaken::Later(reason)) => {
                        self.links.entry(sensor.clone()).and_modify(|link| link.count(reason));
                        return Verdict::Later;
                    }
                };
                // Of a half that is not known there is no standing to be kept.
                let (half, link) = (self.halves.get(&part.half), self.links.get(sensor));
                let is_known = half.zip(link).is_some_and(|(half, link)| half.takes(sensor, link));
                // Who is behind whom says only who has others behind him.
                let has_leaves = link.is_some_and(|link| link.leaves.is_some());
                let behind = if has_leaves { part.behind.clone() } else { vec![] };
                let reach = Reach { half: part.half, watermark: part.watermark, behind };
                (verdict, is_known.then_some(reach))
            }
        };
        let (after, last) = seen_as(head);
        self.settle(sensor, (after, last), reach, now);
        if let (Kind::Part(part), Some(link)) = (&head.kind, self.links.get(sensor))
            && let Some(half) = self.halves.get_mut(&part.half).filter(|half| half.takes(sensor, link))
        {
            half.note_order(sensor, link.seen.mark(), Some((last, part.pane.start)));
        }
        verdict
    }

    fn take_part(
        &mut self,
        from: Origin<'_>,
        part: &PartHead,
        payload: &[u8],
        now: Moment,
    ) -> Result<(), NotTaken> {
        let sensor = from.sensor;
        let Self { halves, links, merge, options, .. } = self;
        let latest = now.wall_ns.saturating_add(options.patience.skew_ns);
        let Some(link) = links.get_mut(sensor) else { return Ok(()) };
        check(halves, (sensor, &*link), part, latest).map_err(NotTaken::Refused)?;
        let octets = merge.weight(payload);
        // A single part that is longer than all may be is taken alone.
        if link.octets > 0 && link.octets.saturating_add(octets) > options.limits.octets_per_sensor_max {
            return Err(NotTaken::Later("octets_over_quota"));
        }
        let Some(half) = halves.get_mut(&part.half) else { return Ok(()) };
        open(half, part.pane.start, link, &options.limits)?;
        link.octets = link.octets.saturating_add(octets);
        let expected = half.spec.fingerprint;
        let pane = half.panes.entry(part.pane.start).or_insert_with(|| Pane::new(sensor.clone()));
        pane.touch(sensor);
        let merged = if part.fingerprint == expected {
            let state = pane.state.get_or_insert_with(|| merge.empty(part.half));
            merge.merge_from(part.half, state, (from, payload)).map_err(Refusal::Unmergeable)
        } else {
            Err(Refusal::AnotherFingerprint { half: part.half, own: part.fingerprint, expected })
        };
        match merged {
            Ok(()) => {
                pane.records = pane.records.saturating_add(part.records);
                pane.told.add(part.told);
                Ok(())
            }
            Err(refusal) => {
                let Told { lost, .. } = part.lost();
                pane.told.add(Told { lost: 0, refused: lost, ..part.told });
                Err(NotTaken::Refused(refusal))
            }
        }
    }

    /// Counts what a sender says to be gone, but for what came all the same; says whether there was room for that.
    pub(super) fn take_gap(&mut self, sensor: &SensorName, gap: &Gap, now: Moment) -> bool {
        let latest = now.wall_ns.saturating_add(self.options.patience.skew_ns);
        let above_max = self.options.limits.above_max * 2;
        let Some(link) = self.links.get_mut(sensor) else { return false };
        let overlap = match link.seen.overlap(gap.after, gap.last) {
            _ if is_mutated(Mutation::CountGoneTwice) => Overlap::None,
            // A mark may lie between a record and the one before it, which an earlier life made.
            _ if gap.records == 1 && link.seen.contains(gap.last) => Overlap::All,
            _ if gap.records == 1 => Overlap::None,
            overlap => overlap,
        };
        if overlap == Overlap::All {
            return true;
        }
        if link.seen.above().len() >= above_max && gap.after > link.seen.mark() {
            link.count("ahead_of_others");
            return false;
        }
        if gap.records == 0 {
            link.doubt_all(counting_on(&self.halves, sensor, link), latest);
        }
        for loss in &gap.losses {
            self.lose(sensor, loss, overlap == Overlap::Some, now);
        }
        self.settle(sensor, (gap.after, gap.last), None, now);
        true
    }

    /// Notes what is missing from a pane; where it has none, or no room for it, that nobody knows what is missing.
    fn lose(&mut self, sensor: &SensorName, loss: &Loss, is_at_most: bool, now: Moment) {
        let Self { halves, links, options, .. } = self;
        let latest = now.wall_ns.saturating_add(options.patience.skew_ns);
        let (Some(half), Some(link)) = (halves.get_mut(&loss.half), links.get_mut(sensor)) else { return };
        if !half.takes(sensor, link) || loss.span.end <= half.closed_until || loss.span.start > latest {
            return link.count("lost_elsewhere");
        }
        if half.has(loss.span) && open(half, loss.span.start, link, &options.limits).is_ok() {
            let pane = half.panes.entry(loss.span.start);
            let pane = pane.or_insert_with(|| Pane::new(sensor.clone()));
            pane.touch(sensor);
            pane.told.add(Told { is_at_most: is_at_most || loss.told.is_at_most, ..loss.told });
            return;
        }
        link.count("lost_in_many_panes");
        link.standings.entry(loss.half).or_default().doubt(loss.span.start, loss.span.end);
        // Each of them says so, those of which nothing came, too.
        let first = loss.span.start.max(half.closed_until).div_euclid(half.spec.width_ns);
        let starts = (first..).map_while(|number| number.checked_mul(half.spec.width_ns));
        let most = PANES_AT_ONCE.min(PANES_TOLD_MAX.saturating_sub(link.panes_told));
        for start in starts.take_while(|start| *start < loss.span.end.min(latest)).take(most) {
            link.panes_told += 1;
            if open(half, start, link, &options.limits).is_ok() {
                half.panes.entry(start).or_insert_with(|| Pane::new(sensor.clone())).touch(sensor);
            }
        }
    }

    /// Nothing that is not behind this record comes any more: what is missing of it, nobody knows.
    pub(super) fn skip(&mut self, sensor: &SensorName, kept_after: Position, now: Moment) {
        let latest = now.wall_ns.saturating_add(self.options.patience.skew_ns);
        let Some(link) = self.links.get_mut(sensor) else { return };
        let mark = link.seen.mark();
        if kept_after <= mark {
            return;
        }
        link.doubt_all(counting_on(&self.halves, sensor, link), latest);
        link.count("kept_no_more");
        self.settle(sensor, (mark, kept_after), None, now);
    }

    /// Notes that records need not come again, and what holds since nothing is missing before them.
    fn settle(
        &mut self,
        sensor: &SensorName,
        (after, last): (Position, Position),
        reach: Option<Reach>,
        now: Moment,
    ) {
        let latest = now.wall_ns.saturating_add(self.options.patience.skew_ns);
        let Some(link) = self.links.get_mut(sensor) else { return };
        let mut reaches = vec![];
        if is_mutated(Mutation::WatermarkAtOnce) {
            reaches.extend(reach.clone());
        }
        let before = link.seen.mark();
        reaches.extend(link.seen.take(after, last, reach));
        let mark = link.seen.mark();
        if mark > before {
            self.halves.values_mut().for_each(|half| half.note_order(sensor, mark, None));
        }
        for (id, moved) in link.reaches(reaches, (latest, self.options.limits.behind_octets_max)) {
            if let Some(half) = self.halves.get_mut(&id) {
                caught_up(half, link, id, moved);
            }
        }
    }
}

/// Octets that it takes to keep what a record says of who is behind its sender.
fn behind_octets(head: &Head) -> u64 {
    match &head.kind {
        Kind::Part(part) => octets_of(&part.behind),
        Kind::Gone(_) => 0,
    }
}

/// As which records of the chain one counts.
fn seen_as(head: &Head) -> (Position, Position) {
    if is_mutated(Mutation::MarkOnly) {
        return (Position::START, head.position);
    }
    (head.after, head.position)
}

/// A sensor that was left behind is waited for again when it has come to where the others are.
fn caught_up<S>(half: &mut Half<S>, link: &mut Link, id: HalfId, moved: Moved) {
    let Some(standing) = link.standings.get_mut(&id) else { return };
    half.looks_again |= moved.before < half.given_until || moved.others_moved;
    if standing.reached >= half.given_until {
        standing.is_left = false;
    }
}

/// Whether a part is of a pane that is open.
fn check<S>(
    halves: &BTreeMap<HalfId, Half<S>>,
    (sensor, link): (&SensorName, &Link),
    part: &PartHead,
    latest: i64,
) -> Result<(), Refusal> {
    let id = part.half;
    let half = halves.get(&id).ok_or(Refusal::UnknownHalf { half: id })?;
    if !half.takes(sensor, link) {
        return Err(Refusal::NotAsked { half: id });
    }
    if !half.has(part.pane) {
        return Err(Refusal::Misaligned { half: id });
    }
    if part.pane.start > latest {
        return Err(Refusal::Ahead);
    }
    if part.pane.end <= half.closed_until { Err(Refusal::TooLate) } else { Ok(()) }
}

/// Counts a pane as one that a sensor opens, where it is none yet.
///
/// # Errors
/// When there is no room for it.
fn open<S>(half: &Half<S>, start: i64, link: &mut Link, limits: &AggregatorLimits) -> Result<(), NotTaken> {
    if half.panes.contains_key(&start) {
        return Ok(());
    }
    if half.panes.len() >= limits.panes_max {
        return Err(NotTaken::Later("no_room_for_panes"));
    }
    let waiting = link.panes_open + link.results_alone;
    if link.panes_open >= limits.panes_per_sensor_max || waiting >= limits.of_one_sensor() {
        return Err(NotTaken::Later("panes_over_quota"));
    }
    link.panes_open += 1;
    Ok(())
}

/// How far a sensor has come with a half, as far as all of it was given on.
pub(super) fn forwarded<S>(half: &Half<S>, id: HalfId, name: &SensorName, links: &Links) -> i64 {
    let reached = links.get(name).map_or(i64::MIN, |link| half.reached(id, name, link));
    let open = half.panes.iter().find(|(_, pane)| pane.is_dirty && pane.contributors.contains(name));
    open.map_or(reached, |(start, _)| reached.min(*start))
}

/// The pane that ends where panes were given last.
pub(super) fn latest<S>(half: &Half<S>) -> Option<Span> {
    let start = half.given_until.checked_sub(half.spec.width_ns)?;
    Some(half.span(start)).filter(|span| half.has(*span))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aggregator::{AggregatorOptions, Role};
    use crate::half::HalfSpec;
    use crate::limits::Patience;
    use crate::message::Hello;
    use crate::names::{Fingerprint, Lineage};
    use std::sync::Arc;

    struct Nothing;

    impl Merge for Nothing {
        type State = ();

        fn empty(&self, _: HalfId) {}

        fn merge(&self, _: HalfId, (): &mut (), _: &[u8]) -> Result<(), String> {
            Ok(())
        }

        fn encode(&self, _: HalfId, (): &()) -> Arc<[u8]> {
            Arc::default()
        }
    }

    const HALF: HalfId = HalfId(1);
    const WIDTH_NS: i64 = 10;
    const LIFE: Incarnation = Incarnation(1);
    const NOW: Moment = Moment { steady_ns: 0, wall_ns: 1 << 40 };

    fn sensor() -> SensorName {
        SensorName::new("pop-1")
    }

    fn position(number: u64) -> Position {
        Position { incarnation: LIFE, number }
    }

    fn head(number: u64, after: u64, kind: Kind) -> Head {
        let after = if after == 0 { Position::START } else { position(after) };
        Head { position: position(number), after, ends_cut: true, kind }
    }

    fn part(start: i64, watermark: i64) -> PartHead {
        PartHead {
            half: HALF,
            fingerprint: Fingerprint(1),
            pane: Span { start, end: start + WIDTH_NS },
            watermark,
            records: 1,
            told: Told::default(),
            behind: vec![],
        }
    }

    /// An aggregator of one half, whom a sensor has greeted that has these behind it.
    fn greeted(limits: AggregatorLimits, leaves: Option<&[&str]>) -> Aggregator<Nothing> {
        let options = AggregatorOptions { role: Role::Final, limits, patience: Patience::default() };
        let mut aggregator = Aggregator::new(Nothing, options, 1, Lineage(1));
        let spec = HalfSpec { fingerprint: Fingerprint(1), width_ns: WIDTH_NS, sensors: None };
        aggregator.add_half(HALF, spec);
        let leaves = leaves.map(|leaves| leaves.iter().map(|leaf| SensorName::new(leaf)).collect());
        let (name, lineage, kept_after) = (sensor(), Lineage(2), Position::START);
        let hello = Hello { name, lineage, incarnation: LIFE, kept_after, gaps: vec![], leaves };
        aggregator.hello(&sensor(), &hello, NOW).unwrap();
        aggregator
    }

    fn receive(aggregator: &mut Aggregator<Nothing>, head: &Head) -> Verdict {
        aggregator.receive(&sensor(), LIFE, (head, &[]), NOW)
    }

    #[test]
    fn what_is_lost_in_many_panes_takes_no_longer_than_it_may() {
        let (panes_max, panes_per_sensor_max, results_max) = (1 << 20, 1 << 20, 1 << 21);
        let limits =
            AggregatorLimits { panes_max, panes_per_sensor_max, results_max, ..AggregatorLimits::default() };
        let mut aggregator = greeted(limits, None);
        let width = PANES_AT_ONCE as i64 * WIDTH_NS;
        let loss = |number: i64| Loss {
            half: HALF,
            span: Span { start: number * width, end: (number + 1) * width },
            told: Told { lost: 1, ..Told::default() },
        };
        let losses = (0..300).map(loss).collect();
        let gap = Gap { after: Position::START, last: position(9), records: 9, losses };
        let gone = head(10, 9, Kind::Gone(vec![gap]));
        assert_eq!(receive(&mut aggregator, &gone), Verdict::Taken);
        assert_eq!(aggregator.held().panes, PANES_TOLD_MAX);
    }

    #[test]
    fn what_nobody_knows_is_in_doubt_where_nothing_came_yet_too() {
        let mut aggregator = greeted(AggregatorLimits::default(), None);
        let gap = Gap { after: Position::START, last: position(3), records: 0, losses: vec![] };
        for head in [head(4, 3, Kind::Gone(vec![gap])), head(5, 4, Kind::Part(part(0, WIDTH_NS)))] {
            assert_eq!(receive(&mut aggregator, &head), Verdict::Taken);
        }
        let _ = aggregator.checkpoint(NOW);
        let doubted = aggregator.results.iter().map(|untaken| untaken.given.told.is_doubted);
        assert!(doubted.eq([true]));
    }

    #[test]
    fn who_is_behind_takes_no_more_octets_than_it_may() {
        let limits = AggregatorLimits { behind_octets_max: 10_000, ..AggregatorLimits::default() };
        let mut aggregator = greeted(limits, Some(&["leaf-1"]));
        let name = |number: i64| (SensorName::new(&format!("{number:020}")), 0);
        let behind =
            |count: i64| Kind::Part(PartHead { behind: (0..count).map(name).collect(), ..part(0, 10) });
        assert_eq!(receive(&mut aggregator, &head(2, 1, behind(100))), Verdict::Taken);
        let second = head(4, 3, behind(100));
        assert_eq!(
            receive(&mut aggregator, &second),
            Verdict::Later,
            "6,000 octets are there, and 6,000 more"
        );
        assert_eq!(aggregator.counts(&sensor()), BTreeMap::from([("ahead_of_others", 1)]));
        for head in [head(1, 0, behind(0)), head(3, 2, behind(0)), second, head(5, 4, behind(200))] {
            assert_eq!(receive(&mut aggregator, &head), Verdict::Taken);
        }
        assert_eq!(aggregator.counts(&sensor())["behind_over_quota"], 1);
        let link = &aggregator.links[&sensor()];
        assert_eq!((link.behind_octets(), link.standings[&HALF].behind.len()), (6_000, 100));
        aggregator.drop_half(HALF);
        assert!(aggregator.links.values().all(|link| link.behind_octets() == 0));
    }

    #[test]
    fn what_is_said_to_be_lost_opens_no_more_panes_than_parts_may() {
        let limits = AggregatorLimits { panes_per_sensor_max: 10, ..AggregatorLimits::default() };
        let mut aggregator = greeted(limits, None);
        let told = Told { lost: 1, ..Told::default() };
        let loss =
            |pane: i64| Loss { half: HALF, span: Span { start: pane * 10, end: pane * 10 + 10 }, told };
        let losses = (0..100).map(loss).collect();
        let gap = Gap { after: Position::START, last: position(9), records: 9, losses };
        assert_eq!(receive(&mut aggregator, &head(10, 9, Kind::Gone(vec![gap]))), Verdict::Taken);
        assert_eq!(aggregator.held().panes, 10);
        let more = head(11, 10, Kind::Part(part(5000, i64::MIN)));
        assert_eq!(receive(&mut aggregator, &more), Verdict::Later);
    }

    #[test]
    fn one_sensor_does_not_take_the_room_of_others_with_panes_of_long_ago() {
        let results_max = 8;
        let limits = AggregatorLimits { results_max, ..AggregatorLimits::default() };
        let mut aggregator = greeted(limits, None);
        let mut number = 0;
        // Whoever takes results takes none.
        for _ in 0..4 {
            for pane in 0..100 {
                let part = head(number + 1, number, Kind::Part(part(pane * WIDTH_NS, 1000)));
                number += u64::from(receive(&mut aggregator, &part) == Verdict::Taken);
            }
            let _ = aggregator.checkpoint(NOW);
            assert_eq!(aggregator.held().results, 6, "what others have a part in has room");
        }
        assert!(aggregator.counts(&sensor())["panes_over_quota"] > 0);
        let (other, kept_after) = (SensorName::new("pop-2"), Position::START);
        let (name, lineage) = (other.clone(), Lineage(3));
        let hello = Hello { name, lineage, incarnation: LIFE, kept_after, gaps: vec![], leaves: None };
        aggregator.hello(&other, &hello, NOW).unwrap();
        let part = head(1, 0, Kind::Part(part(0, 1000)));
        assert_eq!(aggregator.receive(&other, LIFE, (&part, &[]), NOW), Verdict::Taken);
        let _ = aggregator.checkpoint(NOW);
        assert_eq!(aggregator.held().results, 7);
    }
}
