//! Flow exports, as others read them.
//!
//! What the exporters say of themselves is compared with what netflow_parser and tshark find in their
//! datagrams, and with what follows from sequence numbers alone.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

mod decoding;
mod dissection;
mod repetition;
mod sequences;

use tapline_trafficgen::exports::{ExportPlan, Faults, Fleet, Outbox, Protocol, Truth};

/// The instant of the first datagram.
const START_NS: u64 = 1_772_442_000_000_000_000;
/// Between two datagrams of an exporter.
const STEP_NS: u64 = 10_000_000;

/// A small plan, so that blocks come again.
fn plan(protocol: Protocol, seed: u64) -> ExportPlan {
    ExportPlan {
        autonomous_systems: 20,
        block_records: 1000,
        control_every_datagrams: 40,
        ..ExportPlan::new(protocol, seed)
    }
}

/// All that can go wrong with the protocol, but for withheld templates.
fn faults(protocol: Protocol) -> Faults {
    Faults {
        lose_percent: 5,
        reorder_percent: 5,
        duplicate_percent: 5,
        restart_every_datagrams: 150,
        redefine_every_datagrams: if protocol.has_templates() { 35 } else { 0 },
        withhold_datagrams: 0,
        nonsense_percent: 0,
    }
}

/// What one exporter sends, and the truth about it.
fn datagrams(plan: &ExportPlan, exporter: u32, emissions: u64) -> (Vec<Vec<u8>>, Truth) {
    let mut fleet = Fleet::new(plan, exporter..exporter + 1).unwrap();
    let mut outbox = Outbox::default();
    for number in 0..emissions {
        fleet.emit(0, START_NS + number * STEP_NS, &mut outbox);
    }
    fleet.finish(0, START_NS + emissions * STEP_NS, &mut outbox);
    (outbox.datagrams().map(<[u8]>::to_vec).collect(), fleet.truth())
}

fn u16_at(octets: &[u8], at: usize) -> u64 {
    octets[at..at + 2].iter().fold(0, |value, octet| value << 8 | u64::from(*octet))
}

fn u32_at(octets: &[u8], at: usize) -> u64 {
    u16_at(octets, at) << 16 | u16_at(octets, at + 2)
}
