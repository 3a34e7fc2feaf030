//! The same export records, by tshark's cflow dissector and by tapline.
//!
//! The messages of each real exporter are put into a capture, templates first; every value that tshark shows of
//! a field must be in that column as often, and no other.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may end where it cannot go on")]

use harness::captures;
use harness::cflow::{self, Counts};
use std::path::{Path, PathBuf};

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

#[test]
fn every_value_of_real_exporters_is_found() {
    let Some(folder) = captures::export_folder() else { return };
    let scratch = tempfile::tempdir().unwrap();
    let (mut report, mut values) = (String::new(), 0);
    for (exporter, parts) in EXPORTERS {
        let capture = scratch.path().join(format!("{exporter}.pcap"));
        let files: Vec<_> = parts.iter().map(|part| find(&folder, exporter, part)).collect();
        cflow::write_capture(&capture, &files);
        let Some(expected) = cflow::by_tshark(&capture, &[cflow::PORT]) else {
            return println!("skipped: tshark not found");
        };
        let found = cflow::by_tapline(&capture).unwrap();
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
