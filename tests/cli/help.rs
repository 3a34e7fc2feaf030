//! Usage, help, the schema and completions.

use super::{assert_failed, capture, query};
use harness::tapline;

#[test]
fn wrong_usage_is_told_with_exit_code_2() {
    let file = capture().to_str().unwrap();
    let select = "SELECT count(*) FROM packets";
    let cases: [(&[&str], &str); 8] = [
        (&[], "Usage"),
        (&["quary"], "query"),
        (&["query", "--pcap", file], "query"),
        (&["query", "--pcap"], "--pcap"),
        (&["query", select], "--pcap"),
        (&["query", "--pcap", file, "--fromat", "csv", select], "--format"),
        (&["query", "--pcap", file, "--format", "xml", select], "json"),
        (&["query", "--pcap", file, "--format", "csv", select, select], "--output"),
    ];
    for (arguments, part) in cases {
        println!("{arguments:?}");
        assert_failed(&tapline(arguments), 2, &[part]);
    }
}

#[test]
fn help_and_version_are_results() {
    for arguments in [&["--help"][..], &["query", "--help"], &["schema", "--help"]] {
        assert!(tapline(arguments).success().contains("Usage: tapline"), "{arguments:?}");
    }
    assert!(tapline(&["--version"]).success().starts_with("tapline "));
}

#[test]
fn the_doctor_looks_at_the_machine_and_its_interfaces() {
    let all = tapline(&["doctor"]);
    assert!(["this machine\n", "kernel ", "problem"].iter().all(|part| all.success().contains(part)));
    let one = tapline(&["doctor", "lo"]);
    assert!(["interface lo\n", "not for Ethernet"].iter().all(|part| one.success().contains(part)));
    assert_failed(&tapline(&["doctor", "no-such-one"]), 2, &["no-such-one", "`lo`"]);
}

#[test]
fn the_schema_names_every_column_with_type_and_unit() {
    let tables = tapline(&["schema"]);
    assert!(
        ["packets", "flows", "lookup('table', key)"].iter().all(|table| tables.success().contains(table))
    );
    let packets = tapline(&["schema", "packets"]);
    for part in ["src_ip", "address", "inner_dst_port", "frame_octets", "timestamp", "uint16"] {
        assert!(packets.success().contains(part), "{part}");
    }
    let flows = tapline(&["schema", "flows"]);
    assert!(["flow_end_reason", "element(95)"].iter().all(|part| flows.success().contains(part)));
    assert!(!packets.success().contains("element("));
    assert_failed(&tapline(&["schema", "packet"]), 2, &["packet", "packets"]);
}

#[test]
fn every_column_of_the_schema_can_be_selected() {
    for table in ["packets", "flows"] {
        let all = query(capture(), &["--format", "csv", &format!("SELECT * FROM {table} LIMIT 1")]);
        let header = all.success().lines().next().unwrap().to_owned();
        let schema = tapline(&["schema", table]);
        for column in header.split(',') {
            let named = |line: &str| line.split_whitespace().any(|word| word == column);
            assert!(schema.success().lines().any(named), "{column} of {table}");
        }
        assert!(header.split(',').count() > 35, "{header}");
    }
}

#[test]
fn completions_name_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let script = tapline(&["completions", shell]);
        assert!(script.success().contains("tapline") && script.text().contains("pcap"), "{shell}");
    }
    assert_failed(&tapline(&["completions", "tcsh"]), 2, &["bash"]);
}

#[test]
fn the_manual_has_a_page_for_each_command() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(tapline(&["manual", folder.path().to_str().unwrap()]).code, Some(0));
    for (page, part) in
        [("tapline.1", "capture files"), ("tapline-run.1", "tls"), ("tapline-queries-add.1", "note")]
    {
        let text = std::fs::read_to_string(folder.path().join(page)).unwrap();
        assert!(text.contains(".TH") && text.contains(part), "{page}: {text}");
    }
    assert_failed(&tapline(&["manual", "/none"]), 1, &["the manual cannot be written to /none"]);
}
