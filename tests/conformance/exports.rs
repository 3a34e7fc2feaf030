//! The same export records, by tshark's cflow dissector and by tapline.
//!
//! The messages of each real exporter are put into a capture, templates first; every value that tshark shows of
//! a field must be in that column as often, and no other.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may end where it cannot go on")]

use harness::captures;
use harness::csv::Csv;
use harness::tapline;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use tapline_trafficgen::frame::{Body, Frame, Link, Mac, Packet, Transport, Udp};
use tapline_trafficgen::payload::Payload;
use tapline_trafficgen::pcap::{PcapFormat, PcapWriter};

/// Files of one exporter, by what their names begin with and have in them; templates first.
const EXPORTERS: [(&str, &[&str]); 19] = [
    ("ipfix_test_barracuda", &["_tpl.", "_data256."]),
    ("ipfix_test_barracuda_extended", &["_tpl256.", "_data256."]),
    ("ipfix_test_ixia", &["tpldata256.", "tpldata271."]),
    ("ipfix_test_mikrotik", &["_tpl.", "_data258.", "_data259."]),
    ("ipfix_test_netscaler", &["_tpl.", "_data."]),
    ("ipfix_test_openbsd_pflow", &["_tpl.", "_data."]),
    ("ipfix_test_procera", &["_tpl52935.", "_data52935."]),
    ("netflow5_test_juniper", &["_mx80."]),
    ("netflow9_test_cisco_asa_1", &["_tpl.", "_data."]),
    ("netflow9_test_cisco_asr9k", &["_tpl260.", "_tpl266.", "_data260."]),
    ("netflow9_test_cisco_nbar", &["_tpl262.", "_opttpl260.", "_data262."]),
    ("netflow9_test_fortigate", &["_tpl.", "_data256.", "_data257."]),
    ("netflow9_test_huawei", &["_tpl.", "_data."]),
    ("netflow9_test_iptnetflow", &["_tpldata260."]),
    ("netflow9_test_juniper_srx", &["_tplopt."]),
    ("netflow9_test_nprobe", &["_tpl.", "_data."]),
    ("netflow9_test_paloalto", &["_tpl256-263.", "_data257_"]),
    ("netflow9_test_softflowd", &["_tpl_data."]),
    ("netflow9_test_ubnt", &["_tpl.", "_data1024.", "_data1025."]),
];

/// tshark's fields and the columns that hold the same.
const FIELDS: [(&str, &str); 16] = [
    ("cflow.srcaddr", "src_ip"),
    ("cflow.dstaddr", "dst_ip"),
    ("cflow.srcaddrv6", "src_ip"),
    ("cflow.dstaddrv6", "dst_ip"),
    ("cflow.srcport", "src_port"),
    ("cflow.dstport", "dst_port"),
    ("cflow.protocol", "protocol"),
    ("cflow.tos", "tos"),
    ("cflow.inputint", "input_interface"),
    ("cflow.outputint", "output_interface"),
    ("cflow.srcas", "src_as"),
    ("cflow.dstas", "dst_as"),
    ("cflow.srcmask", "src_mask"),
    ("cflow.dstmask", "dst_mask"),
    ("cflow.nexthop", "next_hop"),
    ("cflow.nexthopv6", "next_hop"),
];

/// Its records hold both directions of a connection, and each makes two rows.
const BIFLOW_EXPORTER: &str = "netflow9_test_huawei";

/// A column of which tshark says something else, and why tapline is right.
struct Known {
    exporter: &'static str,
    columns: &'static [&'static str],
    reason: &'static str,
}

const KNOWN: [Known; 2] = [
    Known {
        exporter: "ipfix_test_procera",
        columns: &["src_ip", "dst_ip"],
        reason: "records have fields for both families; the column holds the one that is not zero",
    },
    Known {
        exporter: "netflow9_test_cisco_nbar",
        columns: &["src_port", "dst_port"],
        reason: "records have elements 182 and 181 besides 7 and 11; tshark shows all four",
    },
];

/// How often a value occurs.
type Counts = BTreeMap<String, usize>;

#[test]
fn every_value_of_real_exporters_is_found() {
    let Some(folder) = captures::export_folder() else { return };
    let scratch = tempfile::tempdir().unwrap();
    let (mut report, mut values) = (String::new(), 0);
    for (exporter, parts) in EXPORTERS {
        let capture = scratch.path().join(format!("{exporter}.pcap"));
        let files: Vec<_> = parts.iter().map(|part| find(&folder, exporter, part)).collect();
        write_capture(&capture, &files);
        let Some(expected) = by_tshark(&capture) else { return };
        let found = by_tapline(&capture);
        for (column, expected) in expected {
            let found = found.get(column).cloned().unwrap_or_default();
            values += expected.values().sum::<usize>();
            let known =
                KNOWN.iter().find(|known| known.exporter == exporter && known.columns.contains(&column));
            if let Some(known) = known {
                println!("{exporter}, {column}: {}", known.reason);
            } else if !holds(exporter, &found, &expected) {
                report += &format!("{exporter} {column}: tshark {expected:?}, tapline {found:?}\n");
            }
        }
    }
    assert!(report.is_empty(), "{report}");
    println!("{values} values compared");
    assert!(values > 1000, "only {values} values compared");
}

/// Whether every value is there as often, and no other; a biflow's second row has more of them.
fn holds(exporter: &str, found: &Counts, expected: &Counts) -> bool {
    if exporter == BIFLOW_EXPORTER {
        return expected.iter().all(|(value, count)| found.get(value).is_some_and(|found| found >= count));
    }
    found == expected
}

fn find(folder: &Path, exporter: &str, part: &str) -> PathBuf {
    let mut paths: Vec<PathBuf> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let fits = |path: &PathBuf| {
        let name = captures::name(path);
        let rest = name.strip_prefix(exporter).unwrap_or_default();
        rest.contains(part) && (exporter.contains("extended") || !rest.contains("extended"))
    };
    paths.into_iter().find(fits).unwrap_or_else(|| panic!("no file of {exporter} with {part}"))
}

/// Puts each file's octets into a datagram, a second apart.
fn write_capture(capture: &Path, files: &[PathBuf]) {
    let file = std::fs::File::create(capture).unwrap();
    let mut writer = PcapWriter::new(file, PcapFormat::default()).unwrap();
    for (second, path) in files.iter().enumerate() {
        let packet = Packet {
            src_ip: Ipv4Addr::new(192, 0, 2, 1).into(),
            dst_ip: Ipv4Addr::new(192, 0, 2, 2).into(),
            ttl: 64,
            transport: Transport::Udp(Udp { src_port: 2055, dst_port: 2055 }),
            payload: Payload::from(std::fs::read(path).unwrap()),
        };
        let link = Link { src_mac: Mac::local(1), dst_mac: Mac::local(2), vlan: None };
        let mut octets = vec![];
        Frame { link, body: Body::Ip(packet) }.write(&mut octets);
        writer.write((1_700_000_000 + second as u64) * 1_000_000_000, &octets).unwrap();
    }
    writer.finish().unwrap();
}

fn by_tshark(capture: &Path) -> Option<BTreeMap<&'static str, Counts>> {
    let mut command = Command::new("tshark");
    command.args(["-n", "-d", "udp.port==2055,cflow", "-T", "fields", "-E", "aggregator=|"]);
    for (field, _) in FIELDS {
        command.args(["-e", field]);
    }
    let Ok(output) = command.arg("-r").arg(capture).output() else {
        println!("skipped: tshark not found");
        return None;
    };
    let text = String::from_utf8(output.stdout).expect("tshark prints UTF-8");
    let mut columns: BTreeMap<&str, Counts> = BTreeMap::new();
    for line in text.lines() {
        for ((_, column), values) in FIELDS.iter().zip(line.split('\t')) {
            for value in values.split('|').filter(|value| !value.is_empty()) {
                let value = value
                    .strip_prefix("0x")
                    .and_then(|hex| u64::from_str_radix(hex, 16).ok())
                    .map_or_else(|| value.to_owned(), |number| number.to_string());
                *columns.entry(column).or_default().entry(value).or_default() += 1;
            }
        }
    }
    Some(columns)
}

fn by_tapline(capture: &Path) -> BTreeMap<String, Counts> {
    let columns = BTreeSet::from(FIELDS.map(|(_, column)| column));
    let columns = Vec::from_iter(columns).join(", ");
    let sql = format!("SELECT {columns} FROM flows");
    let run = tapline(&["query", "--exports", capture.to_str().unwrap(), "--format", "csv", &sql]);
    let csv = Csv::parse(run.success());
    let mut counts: BTreeMap<String, Counts> = BTreeMap::new();
    for row in &csv.rows {
        for (column, value) in csv.header.iter().zip(row).filter(|(_, value)| !value.is_empty()) {
            *counts.entry(column.clone()).or_default().entry(value.clone()).or_default() += 1;
        }
    }
    counts
}
