//! The same numbers give the same octets; truths add up.

use std::ops::Range;

use tapline_trafficgen::exports::{ExportCapture, ExportPlan, Faults, Fleet, Outbox, Protocol, Truth};

use super::{START_NS, datagrams, faults, plan};

#[test]
fn the_same_seed_gives_the_same_octets() {
    for protocol in Protocol::ALL {
        let run = |seed| datagrams(&faulty_plan(protocol, seed), 3, 300);
        assert!(run(1) == run(1) && run(1).0 != run(2).0, "{protocol}");
    }
}

fn faulty_plan(protocol: Protocol, seed: u64) -> ExportPlan {
    ExportPlan { faults: faults(protocol), ..plan(protocol, seed) }
}

#[test]
fn a_capture_is_the_same_every_time() {
    let plan = faulty_plan(Protocol::Ipfix, 1);
    let capture = ExportCapture { plan, exporters: 4, records_per_second: 1000, records: 20_000 };
    let (octets, truth) = capture.write_pcap(Vec::new()).unwrap();
    let (again, same) = capture.write_pcap(Vec::new()).unwrap();
    assert!(octets == again && truth == same);
    assert!((20_000..21_000).contains(&truth.generated.records), "{:?}", truth.generated);
}

#[test]
fn datagrams_fit_into_an_ethernet_frame() {
    const OCTETS_MAX: usize = 1472;
    for protocol in Protocol::ALL {
        let mut plan = plan(protocol, 1);
        plan.sampling_rate = (protocol != Protocol::NetflowV7).then_some(1000);
        let longest = datagrams(&plan, 0, 100).0.iter().map(Vec::len).max();
        assert!(
            longest.is_some_and(|octets| (1000..=OCTETS_MAX).contains(&octets)),
            "{protocol}: {longest:?}"
        );
    }
}

#[test]
fn truths_of_parts_add_up_to_the_truth_of_all() {
    let truth = |exporters: Range<u32>| {
        let mut fleet = Fleet::new(&faulty_plan(Protocol::NetflowV9, 1), exporters).unwrap();
        let mut outbox = Outbox::default();
        for emission in 0..400 {
            for exporter in 0..fleet.exporters() {
                fleet.emit(exporter, START_NS + emission, &mut outbox);
            }
        }
        fleet.truth()
    };
    let mut sum = Truth::default();
    sum.merge(&truth(0..2));
    sum.merge(&truth(2..5));
    assert!(sum == truth(0..5));
}

#[test]
fn what_is_sent_is_what_is_generated_but_for_the_faults() {
    for protocol in Protocol::ALL {
        let (sent, truth) = datagrams(&faulty_plan(protocol, 1), 0, 2000);
        assert_eq!(truth.datagrams(), sent.len() as u64);
        assert_eq!(truth.payload_octets, sent.iter().map(|datagram| datagram.len() as u64).sum::<u64>());
        let expected = truth.generated.records - truth.lost.records + truth.duplicated.records;
        assert_eq!(truth.sent.records, expected, "{protocol}");
        assert_eq!(
            truth.pairs.values().map(|pair| pair.octets).sum::<u64>(),
            truth.sent.octets,
            "{protocol}"
        );
        assert!(
            truth.reordered.datagrams > 20 && truth.duplicated.datagrams > 20 && truth.lost.datagrams > 20
        );
        assert!(truth.restarts > 5 && (truth.redefinitions > 5 || !protocol.has_templates()));
    }
}

#[test]
fn every_pair_occurs() {
    for protocol in Protocol::ALL {
        assert_eq!(datagrams(&plan(protocol, 1), 0, 250).1.pairs.len(), 400, "{protocol}");
    }
}

#[test]
fn numbers_that_cannot_be_are_refused() {
    let plan = plan(Protocol::NetflowV5, 1);
    for faults in [
        Faults { lose_percent: 60, reorder_percent: 60, ..Faults::default() },
        Faults { withhold_datagrams: 1, ..Faults::default() },
        Faults { nonsense_percent: 101, ..Faults::default() },
    ] {
        assert!(Fleet::new(&ExportPlan { faults, ..plan }, 0..1).is_err());
    }
    assert!(Fleet::new(&plan, 0..0).is_err());
    let wrong = ExportPlan { sampling_rate: Some(1 << 14), ..plan };
    assert!(Fleet::new(&wrong, 0..1).unwrap_err().contains("16383"));
}
