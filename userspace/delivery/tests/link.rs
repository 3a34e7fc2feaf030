//! A sensor and two aggregators, one behind the other, as whoever has sockets and files drives them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;
use tapline_delivery::{
    Aggregator, AggregatorLimits, AggregatorOptions, Covered, Fenced, Fingerprint, HalfId, HalfSpec, Head,
    Hello, Incarnation, KeptHalf, Kind, Lineage, Manifest, Merge, Moment, NewPart, Outgoing, OutgoingLimits,
    PartHead, Patience, Position, Refusal, RestoreError, Role, SensorName, Span, Stamp, Told, Verdict,
};

const HALF: HalfId = HalfId(1);
const PANE: Span = Span { start: 0, end: 10 };

/// States are sums.
#[derive(Debug)]
struct Sums;

impl Merge for Sums {
    type State = u64;

    fn empty(&self, _: HalfId) -> u64 {
        0
    }

    fn merge(&self, _: HalfId, state: &mut u64, payload: &[u8]) -> Result<(), String> {
        let octets = payload.try_into().map_err(|_| "it is no sum".to_owned())?;
        *state += u64::from_le_bytes(octets);
        Ok(())
    }

    fn encode(&self, _: HalfId, state: &u64) -> Arc<[u8]> {
        Arc::from(state.to_le_bytes())
    }

    /// In two parts, where a sum is more than one.
    fn encode_apart(&self, _: HalfId, state: &u64) -> Vec<(Arc<[u8]>, f64)> {
        let sum = |sum: u64| (Arc::from(sum.to_le_bytes()), sum as f64 / (*state).max(1) as f64);
        if *state > 1 { vec![sum(1), sum(*state - 1)] } else { vec![(self.encode(HALF, state), 1.0)] }
    }
}

fn at(time: i64) -> Moment {
    Moment { steady_ns: time, wall_ns: time }
}

fn aggregator(role: Role) -> Aggregator<Sums> {
    let options =
        AggregatorOptions { role, limits: AggregatorLimits::default(), patience: Patience::default() };
    let mut aggregator = Aggregator::new(Sums, options, Stamp::claim(None).epoch, Lineage(9));
    let spec = HalfSpec { fingerprint: Fingerprint(4), width_ns: 10, sensors: None };
    aggregator.add_half(HALF, spec);
    aggregator
}

fn part(watermark: i64) -> PartHead {
    PartHead {
        half: HALF,
        fingerprint: Fingerprint(4),
        pane: PANE,
        watermark,
        records: 3,
        told: Told::default(),
        behind: vec![],
    }
}

/// Sends all that is to be sent.
fn send(
    from: &mut Outgoing,
    name: &SensorName,
    to: &mut Aggregator<Sums>,
    payload: impl Fn(Position) -> Vec<u8>,
) -> Vec<Verdict> {
    let hello = Hello::decode(&from.hello(name.clone()).encode()).unwrap();
    let covered = to.hello(name, &hello, at(20)).unwrap();
    from.welcomed(&Covered::decode(&covered.encode()).unwrap());
    let mut verdicts = vec![];
    while let Some(head) = from.next_record() {
        let head = Head::decode(&head.encode()).unwrap();
        let payload = payload(head.position);
        verdicts.push(to.receive(name, from.incarnation(), (&head, &payload), at(20)));
    }
    to.alive(name, from.incarnation(), at(20));
    verdicts
}

/// A manifest, and bundles.
struct Store {
    manifest: Vec<u8>,
    bundles: BTreeMap<Stamp, Vec<u8>>,
}

impl Store {
    fn new(first: Manifest) -> Self {
        Self { manifest: first.octets, bundles: BTreeMap::new() }
    }

    /// Takes a checkpoint in place of another one.
    fn write(&mut self, aggregator: &mut Aggregator<Sums>) {
        let checkpoint = aggregator.checkpoint(at(20));
        if let Some(bundle) = &checkpoint.bundle {
            let octets = bundle.pieces().collect::<Vec<_>>().concat();
            assert_eq!(octets.len() as u64, bundle.octets());
            self.bundles.insert(bundle.stamp(), octets);
        }
        assert!(checkpoint.manifest.follows(Some(Manifest::stamp_of(&self.manifest).unwrap())));
        self.bundles.retain(|bundle, _| !checkpoint.leaves(*bundle));
        self.manifest = checkpoint.manifest.octets;
        aggregator.written(checkpoint.manifest.stamp);
    }
}

#[test]
fn a_sum_goes_from_a_sensor_by_one_aggregator_to_another_one() {
    let (name, regional) = (SensorName::new("pop-1"), SensorName::new("region"));
    let life = Incarnation::after(Incarnation(0), 7);
    let mut sensor = Outgoing::new(Lineage(3), life, OutgoingLimits::default());
    let mut region = aggregator(Role::Forward(regional.clone(), OutgoingLimits::default()));
    let mut central = aggregator(Role::Final);
    let (mut of_region, mut of_central) =
        (Store::new(region.first_checkpoint()), Store::new(central.first_checkpoint()));

    assert!(sensor.has_room(8));
    let heads = sensor.cut(vec![NewPart { part: part(10), octets: 8 }]);
    let spool: BTreeMap<Position, Vec<u8>> =
        heads.iter().map(|head| (head.position, 5_u64.to_le_bytes().to_vec())).collect();
    assert_eq!(sensor.next_record(), None, "it is not safe yet");
    assert_eq!(sensor.unsafe_heads().count(), 1);
    sensor.safe(heads.last().unwrap().position);
    assert_eq!(send(&mut sensor, &name, &mut region, |position| spool[&position].clone()), [Verdict::Taken]);
    assert_eq!(region.covered(&name), None, "no checkpoint has it");
    of_region.write(&mut region);
    sensor.covered(&region.covered(&name).unwrap());
    assert!(sensor.is_empty() && sensor.octets() == 0 && !sensor.keeps(heads[0].position));
    assert_eq!(sensor.removable_before(), sensor.safe_cut(), "the last cut stays");

    assert_eq!(region.forwards_as(), Some(&regional));
    let mut outgoing = region.outgoing().unwrap().clone();
    assert_eq!(
        send(&mut outgoing, &regional, &mut central, |at| region.payload(at).to_vec()),
        [Verdict::Taken, Verdict::Taken],
        "a pane goes in two parts"
    );
    assert_eq!(central.results().count(), 0);
    of_central.write(&mut central);
    let given = central.results().next().unwrap();
    assert_eq!(
        (given.pane, given.revision, given.records, &*given.state),
        (PANE, 0, 3, &5_u64.to_le_bytes()[..])
    );
    assert!(given.absent.is_empty() && given.told.records() == 0);
    let mut given = given.clone();
    assert_eq!(given.from.len(), 1, "{given:?}");
    given.from.clear();
    let kept = central.kept(HALF).unwrap();
    assert_eq!((kept.taken_until, kept.panes.len()), (i64::MIN, 0), "it is still to come");
    central.taken_of(HalfId(7), 1);
    assert_eq!(central.held().results, 1, "it is of another half");
    central.taken_of(HALF, 1);
    assert_eq!(central.held().results, 0);
    let closed_until = kept.closed_until;
    let expected = KeptHalf { half: HALF, taken_until: PANE.end, closed_until, panes: vec![given] };
    assert_eq!(central.kept(HALF), Some(expected));
    assert!(central.counts(&regional).is_empty() && central.strangers().is_empty());
    assert!(central.sensors().eq([&regional]));
    central.rest(&regional);
    assert_eq!(central.sensors().count(), 0, "nobody waits for it any more");
    central.drop_half(HALF);
}

#[test]
fn a_query_for_some_counts_on_whoever_has_some_of_them_behind_him() {
    let [lab, pop, regional, other] = ["lab-1", "pop-1", "region", "else"].map(SensorName::new);
    let mut central = aggregator(Role::Final);
    let of_pops = HalfId(2);
    let sensors = Some([SensorName::new("pop-*")].into());
    central.add_half(of_pops, HalfSpec { fingerprint: Fingerprint(4), width_ns: 10, sensors });
    let mut store = Store::new(central.first_checkpoint());
    // Three come: two regions, of which one has a sensor that is asked, and a sensor that is not.
    for (name, leaves) in [(&regional, Some(vec![&lab, &pop])), (&other, Some(vec![&lab])), (&lab, None)] {
        let hello = Hello {
            name: name.clone(),
            lineage: Lineage(3),
            incarnation: Incarnation(7),
            kept_after: Position::START,
            gaps: vec![],
            leaves: leaves.map(|leaves| leaves.into_iter().cloned().collect()),
        };
        central.hello(name, &hello, at(20)).unwrap();
    }
    let position = Position { incarnation: Incarnation(7), number: 1 };
    let part = PartHead { half: of_pops, ..part(10) };
    let head = Head { position, after: Position::START, ends_cut: true, kind: Kind::Part(part) };
    let payload = 5_u64.to_le_bytes();
    let mut receive = |name: &SensorName| central.receive(name, Incarnation(7), (&head, &payload), at(20));
    assert!(matches!(receive(&lab), Verdict::Refused(Refusal::NotAsked { .. })));
    assert_eq!(receive(&regional), Verdict::Taken, "whose sensors are asked, it knows");
    store.write(&mut central);
    let given = central.results().next().unwrap();
    assert_eq!(given.half, of_pops);
    assert!(given.absent.is_empty(), "nobody else is asked: {:?}", given.absent);
}

#[test]
fn a_process_that_takes_over_goes_on_with_what_the_one_before_wrote() {
    let name = SensorName::new("pop-1");
    let mut sensor = Outgoing::new(Lineage(3), Incarnation(7), OutgoingLimits::default());
    let mut first = aggregator(Role::Final);
    let mut store = Store::new(first.first_checkpoint());
    let heads = sensor.cut(vec![NewPart { part: part(5), octets: 8 }]);
    sensor.safe(heads[0].position);
    send(&mut sensor, &name, &mut first, |_| 5_u64.to_le_bytes().to_vec());
    store.write(&mut first);

    let found = Manifest::stamp_of(&store.manifest).unwrap();
    let stamp = Stamp::claim(Some(found));
    let claimed = Manifest::claimed(&store.manifest, stamp).unwrap();
    assert!(claimed.follows(Some(found)) && !claimed.follows(Some(Stamp { sequence: 9, ..found })));
    let options = AggregatorOptions {
        role: Role::Final,
        limits: AggregatorLimits::default(),
        patience: Patience::default(),
    };
    let get = |bundle| store.bundles.get(&bundle).cloned().ok_or_else(|| "it is gone".to_owned());
    let lost = |_| Err("it is gone".to_owned());
    let gone = Aggregator::restore(Sums, options.clone(), &claimed.octets, lost, at(30)).unwrap_err();
    assert_eq!(gone, RestoreError::Missing("it is gone".to_owned()));
    let second = Aggregator::restore(Sums, options, &claimed.octets, get, at(30)).unwrap();
    assert!(second.covered(&name).unwrap().contains(heads[0].position));
    let late = first.checkpoint(at(30)).manifest;
    assert!(!late.follows(Some(stamp)), "the one before writes nothing any more");

    let written = heads.into_iter().map(|head| (head, 8));
    let life = Incarnation::after(sensor.incarnation(), 0);
    let mut again = Outgoing::resume(sensor.lineage(), life, OutgoingLimits::default(), written);
    assert_eq!(again.last(), sensor.last());
    let mut second = second;
    assert_eq!(send(&mut again, &name, &mut second, |_| vec![]), [], "it is known to be there");
    let stale = sensor.hello(name.clone());
    assert!(matches!(second.hello(&name, &stale, at(30)), Err(Refusal::Fenced { .. })));
    assert_eq!(sensor.fenced(), Fenced::IsReplaced);
    sensor.send_again();
    let mut other = Outgoing::new(Lineage(1), Incarnation(1), OutgoingLimits::default()).behind(again.last());
    assert_eq!(other.fenced(), Fenced::MayRenew);
    other.renew(life, 0);
    assert!(other.incarnation() > life);
    assert_eq!(Refusal::NotGreeted.name(), "not_greeted");
}

#[test]
fn what_is_gone_is_said_in_as_many_records_and_cuts_as_it_needs() {
    let limits = OutgoingLimits { gone_octets_max: 1000, ..OutgoingLimits::default() };
    let mut sensor = Outgoing::new(Lineage(3), Incarnation(7), limits);
    let heads = (0..200).flat_map(|_| sensor.cut(vec![NewPart { part: part(5), octets: 8 }]));
    let positions: Vec<Position> = heads.map(|head| head.position).collect();
    sensor.safe(positions[199]);
    // Every second one was taken, so that no gap touches another one.
    let above = positions.chunks(2).map(|pair| (pair[0], pair[1])).collect();
    sensor.covered(&Covered { lineage: Lineage(3), mark: Position::START, above });
    sensor.give_up(..);
    let (mut gaps, mut cuts) = (vec![], 0);
    while sensor.has_given_up() {
        let heads = sensor.cut(vec![]);
        assert!(heads.len() <= 5, "{} records in a cut", heads.len());
        for head in heads {
            assert!(head.encode().len() < 1100, "{} octets", head.encode().len());
            let Kind::Gone(said) = head.kind else { panic!("there are no parts") };
            gaps.extend(said);
        }
        cuts += 1;
    }
    assert!(gaps.iter().all(|gap| gap.records == 1 && gap.losses.len() == 1));
    assert_eq!((gaps.len(), gaps[99].last), (100, positions[198]));
    assert!(cuts > 1 && sensor.lost() == 300, "{cuts} cuts, {} records", sensor.lost());
    let last = sensor.last();
    sensor.safe(last);
    assert!(positions.iter().all(|position| !sensor.keeps(*position)), "they are gone");
}
