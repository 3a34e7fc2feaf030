//! What sequence numbers say: every loss, in the unit of the protocol, and every restart.

use std::collections::BTreeMap;

use tapline_trafficgen::exports::{ExportPlan, Faults, Protocol};

use super::{datagrams, plan, u16_at, u32_at};

/// Where a datagram stands in its sequence, and where the next one will.
fn sequence(protocol: Protocol, datagram: &[u8]) -> (u64, u64) {
    let number = match protocol {
        Protocol::NetflowV5 | Protocol::NetflowV7 | Protocol::Sflow => u32_at(datagram, 16),
        Protocol::NetflowV9 => u32_at(datagram, 12),
        Protocol::Ipfix => u32_at(datagram, 8),
    };
    let units = match protocol {
        Protocol::NetflowV5 | Protocol::NetflowV7 => u16_at(datagram, 2),
        Protocol::NetflowV9 | Protocol::Sflow => 1,
        Protocol::Ipfix => ipfix_records(datagram),
    };
    (number, number + units)
}

/// Data records of a message: of the template with 20 fields, or of the options that end it.
fn ipfix_records(message: &[u8]) -> u64 {
    const RECORD_OCTETS: u64 = 71;
    match u16_at(message, 16) {
        256 => (u16_at(message, 18) - 4) / RECORD_OCTETS,
        _ => u64::from(message.windows(4).any(|set| set == [1, 1, 0, 18])),
    }
}

/// Units that are missing between the datagrams, and how often the sequence begins anew.
fn gaps(protocol: Protocol, datagrams: &[Vec<u8>]) -> (u64, u64) {
    let (mut missing, mut restarts, mut expected) = (0, 0, None);
    for datagram in datagrams {
        let (number, next) = sequence(protocol, datagram);
        match expected {
            Some(expected) if number < expected => restarts += 1,
            Some(expected) => missing += number - expected,
            None => {}
        }
        expected = Some(next);
    }
    (missing, restarts)
}

#[test]
fn every_loss_shows_in_the_unit_of_the_protocol() {
    for (protocol, seed) in
        Protocol::ALL.into_iter().flat_map(|protocol| (0..20).map(move |seed| (protocol, seed)))
    {
        let faults = Faults { lose_percent: 20, restart_every_datagrams: 77, ..Faults::default() };
        let mut plan = ExportPlan { faults, ..plan(protocol, seed) };
        plan.sampling_rate = (protocol == Protocol::Ipfix).then_some(10);
        let (sent, truth) = datagrams(&plan, 0, 300);
        let lost = match protocol {
            Protocol::NetflowV9 | Protocol::Sflow => truth.lost.datagrams,
            _ => truth.lost.records,
        };
        assert!(lost > 20);
        assert_eq!(gaps(protocol, &sent), (lost, truth.restarts), "{protocol} {seed}");
    }
}

#[test]
fn without_faults_there_is_no_gap() {
    for protocol in Protocol::ALL {
        let (sent, truth) = datagrams(&plan(protocol, 1), 0, 500);
        assert_eq!((gaps(protocol, &sent), truth.lost.records), ((0, 0), 0), "{protocol}");
    }
}

#[test]
fn samples_are_counted_by_source() {
    for seed in 0..20 {
        let faults = Faults { lose_percent: 20, ..Faults::default() };
        let (sent, truth) = datagrams(&ExportPlan { faults, ..plan(Protocol::Sflow, seed) }, 0, 300);
        let (mut missing, mut latest) = (0, BTreeMap::new());
        for sample in sent.iter().flat_map(|datagram| flow_samples(datagram)) {
            let (number, source) = (u32_at(sample, 8), u32_at(sample, 12));
            missing += number - latest.insert(source, number).unwrap_or(number - 1) - 1;
        }
        assert_eq!((missing, latest.len()), (truth.lost.records, 8), "{seed}");
    }
}

/// The flow samples of a datagram; it holds no others, or none.
fn flow_samples(datagram: &[u8]) -> impl Iterator<Item = &[u8]> {
    const FLOW_SAMPLE: u64 = 1;
    let samples = if u32_at(datagram, 28) == FLOW_SAMPLE { &datagram[28..] } else { &[] };
    samples.chunks_exact(252)
}

#[test]
fn a_restart_lets_uptime_fall() {
    let mut plan = plan(Protocol::NetflowV5, 1);
    plan.faults.restart_every_datagrams = 10;
    let (sent, truth) = datagrams(&plan, 0, 35);
    let falls = sent.windows(2).filter(|pair| u32_at(&pair[1], 4) < u32_at(&pair[0], 4)).count();
    assert_eq!((falls as u64, truth.restarts), (3, 3));
}

#[test]
fn what_is_reordered_comes_late_and_what_is_duplicated_twice() {
    for protocol in Protocol::ALL {
        let faults = Faults { reorder_percent: 10, duplicate_percent: 10, ..Faults::default() };
        let (sent, truth) = datagrams(&ExportPlan { faults, ..plan(protocol, 1) }, 0, 1000);
        let numbers: Vec<_> = sent.iter().map(|datagram| sequence(protocol, datagram).0).collect();
        let twice = sent.windows(2).filter(|pair| pair[0] == pair[1]).count() as u64;
        let late = numbers.windows(2).filter(|pair| pair[1] < pair[0]).count() as u64;
        assert_eq!((twice, late), (truth.duplicated.datagrams, truth.reordered.datagrams), "{protocol}");
    }
}
