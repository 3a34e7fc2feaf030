//! Who saw the rows: the columns of a node's name and site, in one run and in a node.

use super::node::{http, json, kept_rows, query, wait_for};
use super::sender::{Load, wait_for_listener};
use harness::node::Node;
use harness::ports::free_port;
use harness::scenario::Office;
use harness::tapline;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;
use std::time::{Duration, Instant};
use tapline_trafficgen::exports::{ExportPlan, Protocol};

/// Frames that are asked.
const FRAMES: usize = 20_000;

static OFFICE: LazyLock<Office> =
    LazyLock::new(|| Office::write(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("identity.pcap"), FRAMES));

fn ask(sql: &str) -> String {
    let capture = OFFICE.capture.to_str().unwrap();
    tapline(&["query", "--pcap", capture, "--format", "csv", sql]).success().to_owned()
}

#[test]
fn one_run_is_called_as_its_host() {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim().to_owned();
    let sql = "SELECT sensor, site, count(*) AS n FROM packets GROUP BY sensor, site";
    assert_eq!(ask(sql), format!("sensor,site,n\n{host},,{FRAMES}\n"));
    assert_eq!(ask("SELECT sensor, site FROM packets LIMIT 1"), format!("sensor,site\n{host},\n"));
    let elsewhere = "SELECT count(*) AS n FROM packets WHERE sensor = 'elsewhere' OR site = 'elsewhere'";
    assert_eq!(ask(elsewhere), "n\n0\n");
    let by_source = |keys: &str| {
        ask(&format!(
            "SELECT src_ip, sum(octets) AS o FROM packets GROUP BY {keys}, hop('5 seconds', '10 seconds')
             ORDER BY o DESC, src_ip LIMIT 10"
        ))
    };
    assert_eq!(by_source("sensor, src_ip, site"), by_source("src_ip"));
}

#[test]
fn sensors_are_chosen_at_an_aggregator_only() {
    let capture = OFFICE.capture.to_str().unwrap();
    let sql = "SELECT count(*) AS n FROM packets ON SENSORS 'pop-*'";
    let refused = tapline(&["query", "--pcap", capture, sql]);
    for part in ["chooses among the sensors of an aggregator", "line 1, column 35", "leave ON SENSORS out"] {
        assert!(refused.code == Some(2) && refused.stderr.contains(part), "{}", refused.stderr);
    }
}

#[test]
fn a_node_groups_by_its_name_and_its_site() {
    let folder = tempfile::tempdir().unwrap();
    let (config, port) = (folder.path().join("node.toml"), free_port());
    let named = "[node]\nname = \"pop-1\"\nsite = \"Berlin 2\"\ntags = { rack = \"b4\" }\n";
    let source = format!("[[source]]\nname = \"exports\"\nlisten = \"udp://127.0.0.1:{port}\"\n");
    let text = format!("{named}{source}event_time = \"receive\"\nallowed_lateness_ms = 200\n");
    fs::write(&config, &text).unwrap();
    let node = Node::start(&["--config", config.to_str().unwrap(), "--bare"]);
    wait_for_listener(port);
    let count = |name: &str, condition: &str| {
        let sql = format!(
            "SELECT sensor, site, src_as, count(*) AS n FROM flows {condition}
             GROUP BY sensor, site, src_as, tumble('1 second')"
        );
        assert_eq!(node.ask(&["queries", "add", name, &sql]).code, Some(0));
    };
    count("all", "");
    count("here", "WHERE sensor LIKE 'pop-%' AND site = 'Berlin 2'");
    count("elsewhere", "WHERE site <> 'Berlin 2'");
    let plan = ExportPlan { autonomous_systems: 20, ..ExportPlan::new(Protocol::NetflowV9, 3) };
    let sent = Load { plan, exporters: 2, datagrams: 50, datagrams_a_nap: 5 }.send(port).sent.records;
    for name in ["all", "here"] {
        wait_for(&node, name, sent);
        let counted = || kept_rows(&node, name).iter().map(|row| row["n"].as_u64().unwrap()).sum::<u64>();
        let started = Instant::now();
        while counted() < sent {
            assert!(started.elapsed() < Duration::from_secs(30), "{} of {sent}", counted());
        }
        let rows = kept_rows(&node, name);
        let is_ours = |row: &serde_json::Value| row["sensor"] == "pop-1" && row["site"] == "Berlin 2";
        assert!(rows.len() > 1 && rows.iter().all(is_ours), "{rows:?}");
    }
    assert_eq!(query(&node, "elsewhere")["delivered"], 0, "it reads nothing");
    assert_eq!(kept_rows(&node, "elsewhere").len(), 0);
    let choosing = "SELECT count(*) AS n FROM flows GROUP BY tumble('1 second') ON SENSORS 'pop-*'";
    let refused = node.ask(&["queries", "add", "choosing", choosing]);
    let is_told = refused.stderr.contains("among the sensors of an aggregator");
    assert!(refused.code == Some(2) && is_told, "{}", refused.text());
    let (_, schema) = http(&node, "GET", "/api/v1/schema", "");
    let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
    for stream in schema["streams"].as_array().unwrap() {
        let columns = stream["columns"].as_array().unwrap().iter().rev().take(2);
        let names: Vec<&str> = columns.map(|column| column["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["site", "sensor"], "{}", stream["name"]);
    }
    fs::write(&config, text.replace("pop-1", "pop-2")).unwrap();
    let reloaded = node.ask(&["reload"]);
    let later = "later: [node] name or site holds from the next start on";
    assert!(reloaded.success().contains(later), "{}", reloaded.text());
    assert_eq!(json(&node.ask(&["status", "--format", "json"]))["sources"][0]["lost"], 0);
    assert_eq!(node.stop().code, Some(0));
}
