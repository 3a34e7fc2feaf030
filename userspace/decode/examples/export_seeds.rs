//! Writes the seeds of the fuzz targets of exports: short sequences of what trafficgen's exporters send.
//!
//! `cargo run --release -p tapline-decode --example export_seeds`; the seeds are kept in `fuzz/seeds/TARGET`, and
//! `cargo +nightly fuzz run TARGET corpus/TARGET seeds/TARGET` in `fuzz` begins with them.

use std::fs;
use std::io;
use std::path::Path;
use tapline_trafficgen::exports::{ExportPlan, Faults, Fleet, Outbox, Protocol};

const START_NS: u64 = 1_700_000_000_000_000_000;
/// Records that are left in a datagram.
const RECORDS: usize = 2;

fn main() -> io::Result<()> {
    for (name, protocol) in [
        ("netflow/v5", Protocol::NetflowV5),
        ("netflow/v7", Protocol::NetflowV7),
        ("netflow/v9", Protocol::NetflowV9),
        ("netflow/ipfix", Protocol::Ipfix),
        ("sflow/samples", Protocol::Sflow),
    ] {
        write(&format!("{name}_in_order"), protocol, Faults::default(), &[0, 1, 2])?;
        write(&format!("{name}_out_of_order"), protocol, Faults::default(), &[2, 0, 0, 3])?;
        if protocol.has_templates() {
            let faults = Faults { redefine_every_datagrams: 1, ..Faults::default() };
            write(&format!("{name}_redefined"), protocol, faults, &[0, 1, 2, 3])?;
            let faults = Faults { withhold_datagrams: 2, ..Faults::default() };
            write(&format!("{name}_withheld"), protocol, faults, &[0, 1, 2])?;
        }
    }
    Ok(())
}

/// Writes the datagrams with these numbers, cut down to a few records.
fn write(name: &str, protocol: Protocol, faults: Faults, numbers: &[usize]) -> io::Result<()> {
    let sampling_rate = (protocol != Protocol::NetflowV7).then_some(100);
    let plan = ExportPlan { block_records: 60, sampling_rate, faults, ..ExportPlan::new(protocol, 1) };
    let mut fleet = Fleet::new(&plan, 0..1).map_err(io::Error::other)?;
    let mut outbox = Outbox::default();
    for emission in 0..6 {
        fleet.emit(0, START_NS + emission * 1_000_000_000, &mut outbox);
    }
    let datagrams: Vec<_> = outbox.datagrams().map(|datagram| cut(protocol, datagram)).collect();
    let mut seed = vec![0];
    for datagram in numbers.iter().map(|&number| &datagrams[number]) {
        let message = if protocol == Protocol::Sflow { &datagram[4..] } else { &datagram[..] };
        seed.push(0);
        seed.extend(u16::try_from(message.len()).map_err(io::Error::other)?.to_be_bytes());
        seed.extend(message);
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(name);
    fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
    fs::write(path, seed)
}

/// Leaves the first records of a datagram that has many.
fn cut(protocol: Protocol, datagram: &[u8]) -> Vec<u8> {
    let (head, record) = match protocol {
        Protocol::NetflowV5 => (24, 48),
        Protocol::NetflowV7 => (24, 52),
        Protocol::NetflowV9 => (24, 55),
        Protocol::Ipfix => (20, 71),
        Protocol::Sflow => (28, 252),
    };
    let mut short = datagram.to_vec();
    if datagram.len() < 1000 || protocol == Protocol::Sflow && datagram[31] != 1 {
        return short;
    }
    short.truncate(head + RECORDS * record);
    let length = short.len();
    let mut put = |at: usize, value: usize| short[at..at + 2].copy_from_slice(&(value as u16).to_be_bytes());
    match protocol {
        Protocol::NetflowV5 | Protocol::NetflowV7 => put(2, RECORDS),
        Protocol::NetflowV9 => put(22, length - 20),
        Protocol::Ipfix => {
            put(2, length);
            put(18, length - 16);
        }
        Protocol::Sflow => put(26, RECORDS),
    }
    short
}
