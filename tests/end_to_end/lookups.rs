//! Lookup tables, from files that the tests write: in one run, and in a node that reads them again.

use super::node::{http, json, kept_rows, node, query, wait_for};
use super::sender::Load;
use harness::csv::read_csv;
use harness::ports::free_port;
use harness::scenario::Office;
use harness::{Finished, Table, tapline};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::sync::LazyLock;
use std::time::{Duration, Instant};
use tapline_record::address::{from_ip, parse_prefix};
use tapline_trafficgen::exports::{ExportPlan, Protocol};
use tapline_trafficgen::mmdb::{Value as Record, database};
use tapline_trafficgen::random::Random;

static OFFICE: LazyLock<Office> =
    LazyLock::new(|| Office::write(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("lookups.pcap"), usize::MAX));

/// Prefixes around the addresses of the office, many within others, each with a name of its own.
fn prefixes() -> BTreeMap<String, String> {
    let mut random = Random::new(5, "prefixes");
    let sources: Vec<IpAddr> = OFFICE.truth.sources.keys().copied().collect();
    let mut prefixes = BTreeMap::new();
    for number in 0..60 {
        let address = *random.choose(&sources);
        let all = if address.is_ipv4() { 32 } else { 128 };
        let bits = all - random.below(u64::from(all) / 4 + 1) as u32;
        let (first, _) = parse_prefix(&format!("{address}/{bits}")).unwrap();
        let first = tapline_record::address::to_ip(first);
        prefixes.insert(format!("{first}/{bits}"), format!("net {number}"));
    }
    prefixes
}

/// The name of the longest prefix around an address, by a scan of all.
fn longest(prefixes: &BTreeMap<String, String>, address: IpAddr) -> String {
    let around = prefixes.iter().filter_map(|(prefix, name)| {
        let (first, last) = parse_prefix(prefix).unwrap();
        let bits: u32 = prefix.split('/').nth(1)?.parse().ok()?;
        (first..=last).contains(&from_ip(address)).then_some((bits, name))
    });
    around.max().map(|(_, name)| name.clone()).unwrap_or_default()
}

fn run(lookups: &[&str], sql: &str) -> Finished {
    let capture = OFFICE.capture.to_str().unwrap();
    let lookups = lookups.iter().flat_map(|lookup| ["--lookup", lookup]);
    let arguments: Vec<&str> =
        ["query", "--pcap", capture, "--format", "csv"].into_iter().chain(lookups).collect();
    tapline(&[&arguments[..], &[sql]].concat())
}

#[test]
fn volumes_by_the_longest_prefix_are_those_of_a_scan() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("nets.csv");
    let prefixes = prefixes();
    let lines: String = prefixes.iter().fold(String::new(), |mut lines, (prefix, name)| {
        let _ = writeln!(lines, "{name},{prefix}");
        lines
    });
    fs::write(&file, format!("name,prefix\n{lines}")).unwrap();
    let lookup = format!("nets={}:prefix", file.display());
    let mut sums: BTreeMap<String, [u64; 2]> = BTreeMap::new();
    for (source, volume) in &OFFICE.truth.sources {
        let [packets, octets] = sums.entry(longest(&prefixes, *source)).or_default();
        *packets += volume.packets;
        *octets += volume.octets;
    }
    assert!(sums.len() > 15 && sums.contains_key(""), "{} names", sums.len());
    let mut expected = Table::default();
    for (name, sums) in &sums {
        expected.insert(vec![name.clone()], sums.map(|sum| sum.to_string()).to_vec());
    }
    for sql in [
        "SELECT lookup('nets', src_ip), count(*), sum(octets) FROM packets WHERE src_ip IS NOT NULL GROUP BY 1",
        "SELECT lookup('nets', ip), sum(n), sum(o) FROM (SELECT src_ip AS ip, count(*) AS n, sum(octets) AS o
         FROM packets WHERE src_ip IS NOT NULL GROUP BY src_ip) GROUP BY 1",
    ] {
        let counted = Table::from_csv(&read_csv(run(&[&lookup], sql).success()), 1);
        assert_eq!(expected.difference(&counted), None, "{sql}");
    }
    let one = sums.iter().find(|(name, _)| !name.is_empty()).unwrap();
    let sql = format!("SELECT count(*) AS n FROM packets WHERE lookup('nets', src_ip, 'name') = '{}'", one.0);
    assert_eq!(run(&[&lookup], &sql).success(), format!("n\n{}\n", one.1[0]));
}

#[test]
fn networks_of_maxmind_files_are_asked_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let (asn, country) = (folder.path().join("asn.mmdb"), folder.path().join("country.mmdb"));
    let text = |text: &str| Record::Text(text.to_owned());
    let numbers = Record::Map(vec![
        ("autonomous_system_number", Record::Number(64_500)),
        ("autonomous_system_organization", text("Example Networks")),
    ]);
    let germany = Record::Map(vec![("country", Record::Map(vec![("iso_code", text("DE"))]))]);
    let (address, volume) = OFFICE.truth.sources.iter().max_by_key(|(_, volume)| volume.packets).unwrap();
    let bits = if address.is_ipv4() { 32 } else { 128 };
    fs::write(&asn, database("ASN", &[(*address, bits, &numbers)])).unwrap();
    fs::write(&country, database("Country", &[(*address, bits, &germany)])).unwrap();
    let lookups = [format!("asn={}", asn.display()), format!("country={}", country.display())];
    let sql = "SELECT asn(src_ip) AS asn, as_name(src_ip) AS name, country(src_ip) AS country, count(*) AS n
        FROM packets WHERE asn(src_ip) IS NOT NULL GROUP BY 1, 2, 3";
    let found = run(&[&lookups[0], &lookups[1]], sql);
    assert_eq!(
        found.success(),
        format!("asn,name,country,n\n64500,Example Networks,DE,{}\n", volume.packets)
    );
}

#[test]
fn what_is_mistyped_is_told_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("nets.csv");
    fs::write(&file, "prefix,name\n10.0.0.0/8,a\n10.0.0.0/33,b\n").unwrap();
    let lookup = format!("nets={}", file.display());
    let sql = "SELECT lookup('nets', src_ip) FROM packets";
    let fails = |lookups: &[&str], sql: &str, part: &str| {
        let failed = run(lookups, sql);
        assert!(failed.code == Some(2) && failed.stderr.contains(part), "{}", failed.stderr);
    };
    let place = format!("{}, line 3: '10.0.0.0/33' is no address and no prefix", file.display());
    fails(&[&lookup], sql, &place);
    fs::write(&file, "prefix,name\n10.0.0.0/8,a\n").unwrap();
    fails(&[&lookup], "SELECT lookup('net', src_ip) FROM packets", "did you mean 'nets'?");
    fails(&[], sql, "give it with --lookup nets=FILE");
    fails(&["nets.csv"], sql, "write NAME=FILE");
    fails(&["a=/no/such.csv"], sql, "/no/such.csv: No such file");
    fails(&[&lookup, &lookup], sql, "two tables are called `nets`");
    fails(&[], "SELECT country(src_ip) FROM packets", "give one with --lookup country=");
}

#[test]
fn a_node_reads_a_changed_file_and_refuses_a_broken_one() {
    let folder = tempfile::tempdir().unwrap();
    let (file, port) = (folder.path().join("nets.csv"), free_port());
    let write = |text: &str| fs::write(&file, format!("net,name\n{text}")).unwrap();
    write("127.0.0.0/8,one\n");
    let lookup = format!("nets={}", file.display());
    let node = node(port, &["--bare", "--lookup", &lookup]);
    let sql = "SELECT lookup('nets', sender) AS net, count(*) AS n FROM flows GROUP BY 1, tumble('1 second')";
    assert_eq!(node.ask(&["queries", "add", "nets", sql]).code, Some(0));
    let send = || {
        let plan = ExportPlan { autonomous_systems: 20, ..ExportPlan::new(Protocol::NetflowV9, 3) };
        Load { plan, exporters: 1, datagrams: 20, datagrams_a_nap: 5 }.send(port).sent.records
    };
    let mut sent = vec![("one", send())];
    wait_for(&node, "nets", sent[0].1);
    write("127.0.0.0/8,two\n128.0.0.0/8,other\n");
    node.wait_for("the table `nets` was read anew; it has 2 keys");
    sent.push(("two", send()));
    wait_for(&node, "nets", sent.iter().map(|(_, records)| records).sum());
    write("127.0.0.0/8,three\n10.1.0.0/8,slip\n");
    node.wait_for("warning: the table `nets` stays as it was: ");
    node.wait_for("line 3: '10.1.0.0/8' has bits behind its length; write 10.0.0.0/8");
    sent.push(("two", send()));
    wait_for(&node, "nets", sent.iter().map(|(_, records)| records).sum());
    let (status, answer) = http(&node, "GET", "/api/v1/lookups", "");
    let table = serde_json::from_str::<Value>(&answer).unwrap()["lookups"][0].clone();
    assert!(status == 200 && table["keys"] == 2, "{answer}");
    assert!(table["refused"].as_str().unwrap().contains("write 10.0.0.0/8"), "{answer}");
    write("127.0.0.0/8,three\n10.0.0.0/8,ten\n11.0.0.0/8,eleven\n");
    let reloaded = node.ask(&["reload"]);
    assert!(reloaded.code == Some(0), "{}", reloaded.stderr);
    node_has(&node, 3);
    sent.push(("three", send()));
    wait_for(&node, "nets", sent.iter().map(|(_, records)| records).sum());
    // What came while one table was there is under its name, and nothing else is.
    let mut expected: BTreeMap<String, u64> = BTreeMap::new();
    sent.iter().for_each(|(name, records)| *expected.entry((*name).to_owned()).or_default() += records);
    let started = Instant::now();
    let counts = || {
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        for row in kept_rows(&node, "nets") {
            *counts.entry(row["net"].as_str().unwrap().to_owned()).or_default() += row["n"].as_u64().unwrap();
        }
        counts
    };
    while counts() != expected {
        assert!(started.elapsed() < Duration::from_secs(30), "{:?}, not {expected:?}", counts());
    }
    assert_eq!(query(&node, "nets")["state"], "running");
    assert_eq!(json(&node.ask(&["status", "--format", "json"]))["sources"][0]["lost"], 0);
    assert_eq!(node.stop().code, Some(0));
}

/// Waits until the table has so many keys.
fn node_has(node: &harness::node::Node, keys: u64) {
    let started = Instant::now();
    loop {
        let (_, answer) = http(node, "GET", "/api/v1/lookups", "");
        let table = serde_json::from_str::<Value>(&answer).unwrap()["lookups"][0].clone();
        if table["keys"] == keys && table["refused"].is_null() {
            return;
        }
        assert!(started.elapsed() < Duration::from_secs(30), "{answer}");
    }
}
