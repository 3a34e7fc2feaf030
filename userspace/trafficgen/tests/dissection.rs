//! What is generated, as tshark and capinfos read it.
//!
//! Needs both programs; where one is missing a test says so and ends.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::Command;

use tapline_trafficgen::pcap::PcapFormat;
use tapline_trafficgen::scenario::{Scenario, branch_office};
use tapline_trafficgen::workload::{Spread, Workload};

/// Preferences that make tshark verify checksums.
const CHECKSUMS: [&str; 3] = ["tcp.check_checksum:TRUE", "udp.check_checksum:TRUE", "ip.check_checksum:TRUE"];

/// The program's output; `None` when it is not installed.
fn run(program: &str, arguments: &[&str], file: &Path) -> Option<String> {
    let output = match Command::new(program).args(arguments).arg(file).output() {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            println!("skipped: {program} not found");
            return None;
        }
        Err(error) => panic!("{program} does not start: {error}"),
    };
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn write(scenario: &Scenario, name: &str) -> PathBuf {
    let path = file(name);
    scenario.write_pcap(BufWriter::new(File::create(&path).unwrap()), PcapFormat::default()).unwrap();
    path
}

/// Packets and octets as capinfos counts them.
fn counts(file: &Path) -> Option<(u64, u64)> {
    let table = run("capinfos", &["-TMrcd"], file)?;
    let mut fields = table.trim_end().split('\t').skip(1).map(|field| field.parse().unwrap());
    Some((fields.next().unwrap(), fields.next().unwrap()))
}

#[test]
fn the_scenario_is_as_large_as_its_truth() {
    let scenario = branch_office(1);
    let path = write(&scenario, "whole.pcap");
    if let Some(counts) = counts(&path) {
        assert_eq!(counts, (scenario.truth.frames, scenario.truth.frame_octets));
    }
    std::fs::remove_file(path).unwrap();
}

#[test]
fn tshark_finds_nothing_wrong() {
    const WRONG: &str = "_ws.malformed || (_ws.expert.severity >= Warning && !tcp.flags.reset)";
    let mut scenario = branch_office(1);
    scenario.frames.truncate(30_000);
    let path = write(&scenario, "beginning.pcap");
    let mut arguments = vec!["-n", "-Y", WRONG];
    arguments.extend(CHECKSUMS.iter().flat_map(|check| ["-o", check]));
    arguments.push("-r");
    if let Some(wrong) = run("tshark", &arguments, &path) {
        assert_eq!(wrong, "");
    }
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_workload_is_what_its_numbers_say() {
    let workload = Workload { packets: 3000, flows: 200, frame_octets: 64, spread: Spread::Uniform, seed: 1 };
    let path = file("workload.pcap");
    workload.write_pcap(BufWriter::new(File::create(&path).unwrap())).unwrap();
    if let Some(counts) = counts(&path) {
        assert_eq!(counts, (3000, 3000 * 64));
    }
    if let Some(table) = run("tshark", &["-n", "-q", "-z", "conv,udp", "-r"], &path) {
        assert_eq!(table.lines().filter(|line| line.contains("<->")).count(), 200);
    }
    let sound = "ip.checksum.status == 1 && udp.checksum.status == 1";
    let arguments = ["-n", "-o", CHECKSUMS[1], "-o", CHECKSUMS[2], "-Y", sound, "-r"];
    if let Some(frames) = run("tshark", &arguments, &path) {
        assert_eq!(frames.lines().count(), 3000);
    }
    std::fs::remove_file(path).unwrap();
}
