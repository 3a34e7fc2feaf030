//! What the decoder says of a sender that tells the truth, whatever goes wrong on the way.
//!
//! Each exporter loses, reorders and duplicates datagrams, starts anew, redefines its templates and withholds
//! them. What was delivered, lost and undecodable must add up to what was sent, in the protocol's unit.

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Int64Type, UInt32Type};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use tapline_decode::export::{Datagram, ExportAccount, ExportDecoder, ExportOptions, Sender};
use tapline_record::{EventTime, FlowColumn};
use tapline_trafficgen::exports::{ExportPlan, Faults, Fleet, Outbox, PairAmount, Protocol, Truth};

const SEEDS: u64 = 20;
const START_NS: u64 = 1_772_442_000_000_000_000;
const EMISSIONS: u64 = 1000;

/// What an exporter does, and how fast.
#[derive(Clone, Copy, Debug)]
struct Case {
    plan: ExportPlan,
    step_ns: u64,
}

/// What the decoder made of it.
struct Outcome {
    account: ExportAccount,
    pairs: BTreeMap<(u32, u32), PairAmount>,
}

fn plan(protocol: Protocol, seed: u64, faults: Faults) -> ExportPlan {
    ExportPlan {
        autonomous_systems: 20,
        block_records: 1000,
        control_every_datagrams: 40,
        control_every_ms: 1_000_000_000,
        sampling_rate: (protocol != Protocol::NetflowV7).then_some(100),
        faults,
        ..ExportPlan::new(protocol, seed)
    }
}

fn sender() -> Sender {
    Sender::udp(IpAddr::V4(Ipv4Addr::new(10, 255, 0, 1)), 50_000)
}

/// Sends and decodes.
fn run(case: Case) -> (Truth, Outcome) {
    let mut fleet = Fleet::new(&case.plan, 0..1).unwrap();
    let columns = [FlowColumn::SrcAs, FlowColumn::DstAs, FlowColumn::Packets, FlowColumn::Octets];
    let mut decoder =
        ExportDecoder::new(&columns.map(|column| column as usize), 1024, ExportOptions::default());
    let (mut outbox, mut pairs) = (Outbox::default(), BTreeMap::new());
    for emission in 0..=EMISSIONS {
        let time_ns = START_NS + emission * case.step_ns;
        outbox.clear();
        if emission < EMISSIONS {
            fleet.emit(0, time_ns, &mut outbox);
        } else {
            fleet.finish(0, time_ns, &mut outbox);
        }
        let received = EventTime(time_ns.try_into().unwrap());
        for payload in outbox.datagrams() {
            decoder.push(&Datagram { received, sender: sender(), payload });
            if let Some(batch) = decoder.finish() {
                note_pairs(&batch, &mut pairs);
                decoder.recycle(batch);
            }
        }
    }
    decoder.give_up_waiting();
    assert_eq!(decoder.strays().messages, 0, "{case:?}");
    let accounts: Vec<_> = decoder.accounts().collect();
    assert_eq!(accounts.len(), 1, "{case:?}");
    (fleet.truth(), Outcome { account: accounts[0].clone(), pairs })
}

fn note_pairs(batch: &RecordBatch, pairs: &mut BTreeMap<(u32, u32), PairAmount>) {
    let [src_as, dst_as] = [0, 1].map(|column| batch.column(column).as_primitive::<UInt32Type>());
    let [packets, octets] = [2, 3].map(|column| batch.column(column).as_primitive::<Int64Type>());
    for row in 0..batch.num_rows() {
        let [packets, octets] = [packets, octets].map(|counter| counter.value(row).unsigned_abs());
        let pair = pairs.entry((src_as.value(row), dst_as.value(row))).or_default();
        *pair += PairAmount { records: 1, packets, octets };
    }
}

/// What the ledger must say: delivered, control and lost.
fn expected(protocol: Protocol, truth: &Truth) -> (u64, u64, u64) {
    let control = &truth.control;
    match protocol {
        Protocol::NetflowV9 => (truth.sent.datagrams, control.datagrams, truth.lost.datagrams),
        Protocol::Ipfix => (truth.sent.records, control.options_records, truth.lost.records),
        Protocol::Sflow => (truth.sent.records, control.counter_samples, truth.lost.records),
        Protocol::NetflowV5 | Protocol::NetflowV7 => (truth.sent.records, 0, truth.lost.records),
    }
}

fn check(case: Case) {
    let (truth, Outcome { account, pairs }) = run(case);
    let ledger = account.ledger();
    assert!(ledger.adds_up(), "{case:?}");
    let said = (ledger.delivered, ledger.control, ledger.lost_before_us);
    let expected = expected(case.plan.protocol, &truth);
    assert_eq!(said, expected, "{case:?} {account:?}");
    assert_eq!(ledger.undecodable, 0, "{case:?} {account:?}");
    assert!(pairs == truth.pairs, "{case:?}");
    assert_eq!(account.sequence.restarts, truth.restarts, "{case:?} {account:?}");
    assert_eq!(account.counts.redefined, truth.redefinitions, "{case:?}");
}

/// Milliseconds between two datagrams: exporters that start anew within seconds, and within minutes.
const STEPS_MS: [u64; 2] = [10, 1000];

fn check_all(faults: impl Fn(Protocol) -> Faults) {
    for protocol in Protocol::ALL {
        for (seed, step_ms) in (0..SEEDS).flat_map(|seed| STEPS_MS.map(|step_ms| (seed, step_ms))) {
            check(Case { plan: plan(protocol, seed, faults(protocol)), step_ns: step_ms * 1_000_000 });
        }
    }
}

#[test]
fn nothing_goes_wrong() {
    check_all(|_| Faults::default());
}

#[test]
fn datagrams_are_lost_overtaken_and_sent_twice() {
    let faults = Faults { lose_percent: 10, reorder_percent: 10, duplicate_percent: 10, ..Faults::default() };
    check_all(|_| faults);
}

#[test]
fn exporters_start_anew() {
    check_all(|_| Faults { restart_every_datagrams: 77, lose_percent: 20, ..Faults::default() });
}

#[test]
fn templates_are_redefined_and_withheld() {
    check_all(|protocol| Faults {
        redefine_every_datagrams: if protocol.has_templates() { 35 } else { 0 },
        withhold_datagrams: if protocol.has_templates() { 60 } else { 0 },
        ..Faults::default()
    });
}

#[test]
fn everything_goes_wrong() {
    check_all(|protocol| Faults {
        lose_percent: 10,
        reorder_percent: 10,
        duplicate_percent: 10,
        restart_every_datagrams: 150,
        redefine_every_datagrams: if protocol.has_templates() { 35 } else { 0 },
        withhold_datagrams: if protocol.has_templates() { 60 } else { 0 },
        ..Faults::default()
    });
}
