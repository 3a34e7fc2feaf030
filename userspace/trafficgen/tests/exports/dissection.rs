//! tshark finds the records that the truth knows, in captures of several exporters.
//!
//! Needs tshark; where it is missing a test says so and ends. No template is redefined here: tshark keeps the
//! first one.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::Command;

use tapline_trafficgen::exports::{ExportCapture, ExportPlan, Faults, PairAmount, Protocol, Truth};

use super::plan;

/// Writes a capture of three exporters.
fn write(plan: ExportPlan, name: &str) -> (PathBuf, Truth) {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let capture = ExportCapture { plan, exporters: 3, records_per_second: 10_000, records: 20_000 };
    let (_, truth) = capture.write_pcap(BufWriter::new(File::create(&path).unwrap())).unwrap();
    (path, truth)
}

/// What tshark prints of these fields, one frame a line, several values of one field divided by commas.
fn fields(file: &Path, filter: &str, fields: &[&str]) -> Option<String> {
    let mut command = Command::new("tshark");
    command.args(["-n", "-Y", filter, "-T", "fields", "-r"]).arg(file);
    let output = match command.args(fields.iter().flat_map(|field| ["-e", field])).output() {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            println!("skipped: tshark not found");
            return None;
        }
        Err(error) => panic!("tshark does not start: {error}"),
    };
    assert!(output.status.success(), "tshark: {}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The numbers of each field of a line.
fn numbers<const N: usize>(line: &str) -> [Vec<u64>; N] {
    let mut fields =
        line.split('\t').map(|field| field.split(',').map(|number| number.parse().unwrap()).collect());
    std::array::from_fn(|_| fields.next().unwrap())
}

#[test]
fn records_of_netflow_and_ipfix_are_found() {
    const FIELDS: [&str; 4] = ["cflow.srcas", "cflow.dstas", "cflow.packets", "cflow.octets"];
    for protocol in [Protocol::NetflowV5, Protocol::NetflowV9, Protocol::Ipfix] {
        let faults = Faults { duplicate_percent: 5, reorder_percent: 5, ..Faults::default() };
        let plan = ExportPlan { faults, sampling_rate: Some(100), ..plan(protocol, 1) };
        let (path, truth) = write(plan, &format!("exports-{}.pcap", protocol.port()));
        let Some(text) = fields(&path, "cflow.srcas", &FIELDS) else { return };
        let mut pairs: BTreeMap<_, PairAmount> = BTreeMap::new();
        for line in text.lines() {
            let [src_as, dst_as, packets, octets] = numbers(line);
            for record in 0..src_as.len() {
                let pair = pairs.entry((src_as[record] as u32, dst_as[record] as u32)).or_default();
                *pair += PairAmount { records: 1, packets: packets[record], octets: octets[record] };
            }
        }
        assert!(pairs == truth.pairs, "{protocol}");
        assert_eq!(fields(&path, "_ws.malformed", &["frame.number"]).unwrap(), "", "{protocol}");
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn samples_of_sflow_are_found() {
    const FIELDS: [&str; 3] = ["sflow_245.srcAS", "sflow_245.dstAS", "ip.len"];
    const PATH: usize = 3;
    let (path, truth) = write(plan(Protocol::Sflow, 1), "exports-sflow.pcap");
    let Some(text) = fields(&path, "sflow_245.srcAS", &FIELDS) else { return };
    let mut pairs: BTreeMap<_, PairAmount> = BTreeMap::new();
    for line in text.lines() {
        let [src_as, dst_as, ip_octets] = numbers(line);
        for sample in 0..src_as.len() {
            let destination = dst_as[PATH * sample + PATH - 1];
            let pair = pairs.entry((src_as[sample] as u32, destination as u32)).or_default();
            *pair += PairAmount { records: 1, packets: 1, octets: ip_octets[1 + sample] };
        }
    }
    assert!(pairs == truth.pairs);
    let counters = fields(&path, "sflow_245.ifspeed == 10000000000", &["sflow_245.ifindex"]).unwrap();
    assert_eq!(counters.lines().count() as u64, truth.control.datagrams);
    assert!(counters.lines().all(|line| line == "1,2,3,4,5,6,7,8"), "{counters}");
    fs::remove_file(path).unwrap();
}
