//! tshark reads the same in sFlow datagrams: every sampled packet and its route.
//!
//! Needs tshark; where it is missing a test says so and ends.

use crate::rows::{columns, decoder, push};
use harness::wireshark;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use tapline_trafficgen::exports::{ExportCapture, ExportPlan, Faults, Fleet, Outbox, Protocol};

/// What is compared: of a sample's own layers only, where tshark also prints those of the export itself.
const FIELDS: [&str; 6] =
    ["ip.src", "ip.dst", "ip.len", "sflow_245.srcAS", "sflow_245.dstAS", "sflow.flow_sample.sampling_rate"];
const COLUMNS: [&str; 6] = ["src_ip", "dst_ip", "octets", "src_as", "dst_as", "sampling_rate"];
/// Autonomous systems in a path, of which the last one is the destination's.
const PATH: usize = 3;

type Samples = BTreeMap<Vec<String>, u64>;

fn plan() -> ExportPlan {
    let faults = Faults { duplicate_percent: 5, ..Faults::default() };
    let base = ExportPlan::new(Protocol::Sflow, 3);
    ExportPlan { block_records: 500, sampling_rate: Some(512), faults, ..base }
}

/// What tshark prints of a capture, a datagram a line, its samples divided by commas.
fn dissect(file: &Path) -> Option<String> {
    let options = ["-d", "udp.port==6343,sflow", "-Y", "sflow_245.srcAS"];
    wireshark::field_text(file, &options, &FIELDS)
}

fn samples_of(line: &str) -> Vec<Vec<String>> {
    let fields: Vec<Vec<&str>> = line.split('\t').map(|field| field.split(',').collect()).collect();
    let samples = fields[3].len();
    let value = |sample: usize, field: usize| match field {
        // The first address is the datagram's own.
        0..=2 => fields[field][sample + 1],
        4 => fields[field][PATH * sample + PATH - 1],
        _ => fields[field][sample],
    };
    (0..samples)
        .map(|sample| (0..FIELDS.len()).map(|field| value(sample, field).to_owned()).collect())
        .collect()
}

#[test]
fn samples_equal_those_of_tshark() {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sflow-dissection.pcap");
    let capture = ExportCapture { plan: plan(), exporters: 1, records_per_second: 1000, records: 2000 };
    let (_, truth) = capture.write_pcap(BufWriter::new(File::create(&file).unwrap())).unwrap();
    let Some(text) = dissect(&file) else { return };
    let mut theirs = Samples::new();
    text.lines().flat_map(samples_of).for_each(|sample| *theirs.entry(sample).or_default() += 1);

    let (mut fleet, mut outbox, mut records) = (Fleet::new(&plan(), 0..1).unwrap(), Outbox::default(), 0);
    while records < capture.records {
        records += fleet.emit(0, 1_772_442_000_000_000_000, &mut outbox);
    }
    fleet.finish(0, 1_772_442_000_000_000_000, &mut outbox);
    let (mut decoder, mut ours) = (decoder(), Samples::new());
    for row in outbox.datagrams().flat_map(|datagram| push(&mut decoder, datagram)) {
        let values = columns(&row, &COLUMNS).into_iter().map(String::from).collect();
        *ours.entry(values).or_default() += 1;
    }
    assert_eq!(ours.values().sum::<u64>(), truth.sent.records);
    assert_eq!(ours, theirs);
    std::fs::remove_file(file).unwrap();
}
