//! `--filter`: the same as its condition in WHERE, for packets and flows, with an account that adds up.

use super::{assert_failed, capture, query};
use serde_json::Value;

const COUNT: &str = "SELECT count(*) AS packets, sum(octets) AS octets FROM packets";

const FILTERS: [&str; 8] = [
    "tcp port 443 and not net 10.20.40.0/24",
    "udp port 53 or 123",
    "not tcp",
    "arp or icmp6",
    "vlan and not port 80",
    "src net 2001:db8::/32 or dst net ::/0",
    "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0 and len < 100",
    "ip[8] > 60 and ip[6:2] & 0x1fff = 0",
];

#[test]
fn a_filter_is_its_condition() {
    for filter in FILTERS {
        let explained = query(capture(), &["--filter", filter, "--explain", COUNT]);
        let text = explained.success();
        assert!(text.starts_with(&format!("filter: {filter}\n  WHERE ")), "{text}");
        let condition = text.lines().nth(1).unwrap().trim_start();
        let filtered = query(capture(), &["--filter", filter, "--format", "csv", COUNT]);
        let asked = query(capture(), &["--format", "csv", &format!("{COUNT} {condition}")]);
        assert_eq!(filtered.success(), asked.success(), "{filter}: {condition}");
        assert!(!filtered.text().contains("\n0,"), "{filter} keeps nothing");
    }
}

#[test]
fn flows_are_made_of_what_passes() {
    let sql = "SELECT min(dst_port), max(src_port), sum(packets) FROM flows WHERE protocol = 6";
    let flows = query(capture(), &["--filter", "tcp dst port 443", "--format", "csv", sql]);
    let packets =
        "SELECT min(dst_port), max(src_port), count(*) FROM packets WHERE protocol = 6 AND dst_port = 443";
    let packets = query(capture(), &["--format", "csv", packets]);
    let values = |text: &str| text.lines().nth(1).map(str::to_owned);
    assert_eq!(values(flows.success()), values(packets.success()));
    let others = "SELECT count(*) AS n FROM flows WHERE dst_port <> 443 OR protocol <> 6 OR dst_port IS NULL";
    let others = query(capture(), &["--filter", "tcp dst port 443", "--format", "csv", others]);
    assert_eq!(others.success(), "n\n0\n");
}

#[test]
fn what_a_filter_leaves_out_is_a_fate() {
    let ledger = "SELECT sum(offered) AS offered, sum(delivered) AS delivered, sum(filtered) AS filtered FROM ledger \
                  WHERE query_name IS NULL AND unit = 'frames'";
    let windows = "SELECT count(*) AS packets FROM packets GROUP BY tumble('1 second')";
    let options = ["--filter", "udp", "--format", "json", "--summary", "json"];
    let run = query(capture(), &[&options[..], &[windows, ledger]].concat());
    let rows: Vec<Value> = run.success().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let summary: Value = serde_json::from_str(run.stderr.lines().last().unwrap()).unwrap();
    let number = |value: &Value, name: &str| value[name].as_u64().unwrap();
    let source = &summary["sources"][0];
    let fates = ["offered", "delivered", "filtered"].map(|fate| number(source, fate));
    assert!(fates[1] > 0 && fates[2] > 0 && fates[0] == fates[1] + fates[2], "{fates:?}");
    let told = rows.iter().find(|row| row["query"] == "query_2").unwrap();
    assert_eq!(["offered", "delivered", "filtered"].map(|fate| number(told, fate)), fates);
    let counted = rows.iter().filter(|row| row["query"] == "query_1").map(|row| number(row, "packets"));
    assert_eq!(counted.sum::<u64>(), fates[1]);
    assert_eq!(number(&summary["queries"][0], "delivered"), fates[1]);
}

#[test]
fn the_summary_says_what_was_left_out() {
    let run = query(capture(), &["--filter", "udp", COUNT]);
    let line = run.stderr.lines().find(|line| line.starts_with("source: offered")).unwrap();
    assert!(line.contains(" + filtered ") && line.ends_with(" + undecodable 0"), "{line}");
    let run = query(capture(), &[COUNT]);
    assert!(run.stderr.lines().any(|line| line.starts_with("source: ") && !line.contains("filtered")));
}

#[test]
fn a_wrong_filter_is_refused_with_its_place() {
    for (filter, parts) in [
        ("tcp prot 443", &["--filter: ", "line 1, column 5", "help: "][..]),
        ("port 443 and tcp[20:4] = 0x47455420", &["no column holds `tcp[20:4]`", "column 14", "payload"]),
        ("", &["the filter is empty"]),
    ] {
        assert_failed(&query(capture(), &["--filter", filter, COUNT]), 2, parts);
    }
}
