//! Checkpoints as they were written before there were bundles, and what one costs that has much, of which little changes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::{Duration, Instant};
use tapline_delivery::{
    Aggregator, AggregatorLimits, AggregatorOptions, Bundle, Checkpoint, Fingerprint, HalfId, HalfSpec, Head,
    Hello, Incarnation, Kind, Lineage, Manifest, Merge, Moment, OutgoingLimits, PartHead, Patience, Position,
    Role, SensorName, Span, Stamp, Told, Verdict,
};

const HALF: HalfId = HalfId(1);
const LIFE: Incarnation = Incarnation(7);
const NOW: Moment = Moment { steady_ns: 20, wall_ns: 20 };

/// The last payload counts, whatever it is.
#[derive(Debug)]
struct Last;

impl Merge for Last {
    type State = Arc<[u8]>;

    fn empty(&self, _: HalfId) -> Arc<[u8]> {
        Arc::default()
    }

    fn merge(&self, _: HalfId, state: &mut Arc<[u8]>, payload: &[u8]) -> Result<(), String> {
        *state = payload.into();
        Ok(())
    }

    fn encode(&self, _: HalfId, state: &Arc<[u8]>) -> Arc<[u8]> {
        Arc::clone(state)
    }
}

fn options(role: Role) -> AggregatorOptions {
    let limits = AggregatorLimits { octets_per_sensor_max: u64::MAX, ..AggregatorLimits::default() };
    AggregatorOptions { role, limits, patience: Patience::default() }
}

/// Goes on with a checkpoint that has all in itself.
fn restored(role: Role, whole: &[u8]) -> Aggregator<Last> {
    let found = Manifest::stamp_of(whole).unwrap();
    let claimed = Manifest::claimed(whole, Stamp::claim(Some(found))).unwrap();
    assert!(claimed.follows(Some(found)));
    let none = |bundle| Err(format!("{bundle:?} is not named"));
    Aggregator::restore(Last, options(role), &claimed.octets, none, NOW).unwrap()
}

/// All that is new goes into a bundle.
fn bundled(aggregator: &mut Aggregator<Last>) -> Vec<u8> {
    let checkpoint = aggregator.checkpoint(NOW);
    assert!(checkpoint.manifest.octets.starts_with(b"TAPCKP02"));
    let bundle = checkpoint.bundle.unwrap();
    bundle.pieces().collect::<Vec<_>>().concat()
}

#[test]
fn a_checkpoint_that_has_all_in_itself_is_read_once() {
    let mut central = restored(Role::Final, include_bytes!("whole/final"));
    let results: Vec<_> = central.results().map(|given| (given.pane.start, given.state.to_vec())).collect();
    assert_eq!(results, [(0, 5_u64.to_le_bytes().to_vec())]);
    assert_eq!(central.held().panes, 2);
    let octets = bundled(&mut central);
    assert!([5_u64, 6].iter().all(|sum| octets.windows(8).any(|octets| octets == sum.to_le_bytes())));

    let forwards = Role::Forward(SensorName::new("region"), OutgoingLimits::default());
    let mut region = restored(forwards, include_bytes!("whole/forward"));
    let outgoing = region.outgoing().unwrap();
    let hello = outgoing.hello(SensorName::new("region"));
    assert_eq!(hello.incarnation, Incarnation(2));
    outgoing.welcomed(&tapline_delivery::Covered { lineage: Lineage(9), ..Default::default() });
    let position = outgoing.next_record().unwrap().position;
    assert_eq!(&*region.payload(position), 5_u64.to_le_bytes());
    assert!(bundled(&mut region).len() > 16);
}

/// A sensor's record of a pane, of 100,000 octets.
fn receive(aggregator: &mut Aggregator<Last>, number: u64, pane: i64) {
    let sensor = SensorName::new("pop-1");
    if number == 1 {
        let hello = Hello {
            name: sensor.clone(),
            lineage: Lineage(1),
            incarnation: LIFE,
            kept_after: Position::START,
            gaps: vec![],
            leaves: None,
        };
        aggregator.hello(&sensor, &hello, NOW).unwrap();
    }
    let part = PartHead {
        half: HALF,
        fingerprint: Fingerprint(4),
        pane: Span { start: 10 * pane, end: 10 * (pane + 1) },
        watermark: i64::MIN,
        records: 1,
        told: Told::default(),
        behind: vec![],
    };
    let position = |number| Position { incarnation: LIFE, number };
    let after = if number == 1 { Position::START } else { position(number - 1) };
    let head = Head { position: position(number), after, ends_cut: true, kind: Kind::Part(part) };
    let payload = vec![number as u8; 100_000];
    let verdict = aggregator.receive(&sensor, LIFE, (&head, &payload), Moment { wall_ns: 1 << 40, ..NOW });
    assert_eq!(verdict, Verdict::Taken);
}

#[test]
#[ignore = "it measures"]
fn what_a_checkpoint_costs_of_which_little_changes() {
    let mut aggregator = Aggregator::new(Last, options(Role::Final), 1, Lineage(9));
    aggregator.add_half(HALF, HalfSpec { fingerprint: Fingerprint(4), width_ns: 10, sensors: None });
    let octets = |checkpoint: &Checkpoint| {
        let of_bundle = checkpoint.bundle.as_ref().map_or(0, Bundle::octets);
        checkpoint.manifest.octets.len() as u64 + of_bundle
    };
    (1..=2000).for_each(|number| receive(&mut aggregator, number, number as i64));
    let first = aggregator.checkpoint(NOW);
    aggregator.written(first.manifest.stamp);
    println!("the first: {} octets, {} of its manifest", octets(&first), first.manifest.octets.len());
    let (mut all, mut most, mut took) = (0, 0, Duration::ZERO);
    for second in 0..1000_u64 {
        for pane in 0..3 {
            let number = 2001 + 3 * second + pane;
            receive(&mut aggregator, number, 1 + ((second * 7 + pane * 501) % 2000) as i64);
        }
        let begun = Instant::now();
        let checkpoint = aggregator.checkpoint(NOW);
        took += begun.elapsed();
        (all, most) = (all + octets(&checkpoint), most.max(octets(&checkpoint)));
        aggregator.written(checkpoint.manifest.stamp);
    }
    println!("then: {} octets each, {most} at most, put together in {:?} each", all / 1000, took / 1000);
}
