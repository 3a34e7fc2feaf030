//! What queries of a node may take: groups, rows a second, work; and what is done about those that take more.

use super::node::{json, kept_rows, kept_windows, node, query, wait_for};
use super::sender::Load;
use harness::node::Node;
use harness::ports::free_port;
use serde_json::Value;
use std::fs;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};
use tapline_trafficgen::exports::{ExportPlan, Protocol};

const BY_FLOW: &str = "SELECT src_ip, dst_ip, src_port, dst_port, count(*) AS records, sum(octets) AS octets FROM flows GROUP BY src_ip, dst_ip, src_port, dst_port, tumble('1 second')";

fn load(datagrams: u32) -> Load {
    let plan = ExportPlan::new(Protocol::NetflowV9, 3);
    Load { plan, exporters: 2, datagrams, datagrams_a_nap: 5 }
}

#[test]
fn groups_beyond_what_a_query_may_have_are_folded_and_totals_stay() {
    let port = free_port();
    let node = node(port, &["--bare", "--groups-max", "500"]);
    let add = |name: &str, groups: &str| node.ask(&["queries", "add", name, BY_FLOW, "--groups-max", groups]);
    let refused = add("more", "501");
    assert_eq!(refused.code, Some(2), "{}", refused.text());
    assert!(
        refused.stderr.contains("groups_max: a query of this node may take at most 500"),
        "{}",
        refused.stderr
    );
    assert_eq!(add("few", "50").code, Some(0));
    assert_eq!(node.ask(&["queries", "add", "all", BY_FLOW]).code, Some(0));
    let sent = load(100).send(port).sent;
    for (name, groups_max) in [("few", 50), ("all", 500)] {
        wait_for(&node, name, sent.records);
        let started = Instant::now();
        let sum = |column: &str| {
            kept_rows(&node, name).iter().map(|row| row[column].as_u64().unwrap()).sum::<u64>()
        };
        while sum("records") < sent.records {
            assert!(started.elapsed() < Duration::from_secs(30), "{}", query(&node, name));
            sleep(Duration::from_millis(20));
        }
        assert_eq!(sum("octets"), sent.octets);
        let windows = kept_windows(&node, name);
        let (folded, others): (Vec<_>, Vec<_>) =
            windows.iter().partition(|window| window["status"] == "folded");
        let rows = |window: &&Value| window["rows"].as_array().unwrap().clone();
        assert!(!folded.is_empty() && query(&node, name)["folded"].as_u64().unwrap() > 0);
        assert!(folded.iter().flat_map(rows).all(|row| row["src_ip"] == Value::Null));
        assert_eq!(others.iter().map(|window| rows(window).len()).max(), Some(groups_max));
    }
    assert_eq!(query(&node, "few")["options"]["groups_max"], 50);
}

/// Waits until the reason of a query says this, while records come.
fn wait_for_reason(node: &Node, port: u16, name: &str, part: &str) -> Value {
    let sender = thread::spawn(move || load(25_000).send(port));
    let started = Instant::now();
    loop {
        let now = query(node, name);
        if now["reason"].as_str().is_some_and(|reason| reason.contains(part)) {
            sender.join().unwrap();
            return now;
        }
        assert!(started.elapsed() < Duration::from_secs(40), "{now}");
        sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_query_that_works_more_than_it_may_reads_a_part_and_says_so() {
    let port = free_port();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("node.toml");
    let text = format!(
        "[node]\napi = \"127.0.0.1:0\"\n[[source]]\nlisten = \"udp://127.0.0.1:{port}\"\nevent_time = \"receive\"\nallowed_lateness_ms = 200\n\
         [limits]\nwork_max_ns = 1_000_000\nrows_per_second_max = 100\n"
    );
    fs::write(&config, text).unwrap();
    let node = Node::start(&["--config", config.to_str().unwrap(), "--bare"]);
    super::sender::wait_for_listener(port);
    for (name, beyond) in [("sampled", "sample"), ("stopped", "stop"), ("folded", "fold")] {
        let own = ["queries", "add", name, BY_FLOW, "--work-max-ns", "1", "--beyond", beyond];
        assert_eq!(node.ask(&own).code, Some(0));
    }
    assert_eq!(node.ask(&["queries", "add", "whole", BY_FLOW]).code, Some(0));
    assert_eq!(node.ask(&["queries", "add", "rows", "SELECT src_ip, octets FROM flows"]).code, Some(0));
    let sampled = wait_for_reason(&node, port, "sampled", "it reads one row of ");
    assert_eq!(sampled["state"], "running");
    let stopped = query(&node, "stopped");
    assert!(stopped["state"] == "failed", "{stopped}");
    assert!(stopped["reason"].as_str().unwrap().contains("ns a row, and may work 1"), "{stopped}");
    assert!(query(&node, "folded")["reason"].as_str().unwrap().starts_with("it gets no new groups"));
    for name in ["sampled", "folded", "whole", "rows"] {
        let [delivered, used, filtered, late, dropped] = ["delivered", "used", "filtered", "late", "dropped"]
            .map(|fate| query(&node, name)[fate].as_u64().unwrap());
        assert_eq!(delivered, used + filtered + late + dropped, "{name}");
        assert_eq!(dropped > 0, ["sampled", "rows"].contains(&name), "{name}: {dropped} dropped");
    }
    let whole = query(&node, "whole");
    assert!(whole["reason"] == Value::Null && whole["ns_a_row"].as_u64().unwrap() > 0, "{whole}");
    let windows = kept_windows(&node, "sampled");
    let least = windows.iter().filter_map(|window| window["completeness"].as_f64()).fold(1.0, f64::min);
    assert!(least < 0.9, "completeness {least}");
    let status = json(&node.ask(&["status", "--format", "json"]));
    assert_eq!(status["sources"][0]["state"], "open");
    let shown = node.ask(&["queries", "show", "sampled"]);
    assert!(shown.success().contains("may take    work_max_ns 1, beyond sample"), "{}", shown.text());
}

#[test]
fn a_file_that_asks_for_more_than_there_is_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let queries = folder.path().join("queries");
    fs::create_dir(&queries).unwrap();
    let file = queries.join("mine.sql");
    let text = format!("-- Mine.\n-- groups_max: 5000\n{BY_FLOW}\n");
    fs::write(&file, &text).unwrap();
    let state = folder.path().to_str().unwrap();
    let node = node(free_port(), &["--bare", "--groups-max", "1000", "--state", state]);
    let reloaded = node.ask(&["reload"]);
    let said = reloaded.text();
    assert!(
        reloaded.code == Some(1) && said.contains("groups_max: a query of this node may take at most 1000"),
        "{said}"
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
    fs::write(&file, text.replace("5000", "500")).unwrap();
    assert_eq!(node.ask(&["reload"]).code, Some(0));
    assert_eq!(query(&node, "mine")["options"]["groups_max"], 500);
    fs::write(&file, &text).unwrap();
    assert_eq!(node.ask(&["reload"]).code, Some(1));
    assert_eq!(fs::read_to_string(&file).unwrap(), text, "what runs is another one, and says so");
    assert_eq!(query(&node, "mine")["options"]["groups_max"], 500);
}
