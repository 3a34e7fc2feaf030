//! A node on an interface: what it needs of it is attached when a query comes, and let go with the last one; an
//! interface that was taken away is read on when it is back.

use std::thread::sleep;
use std::time::{Duration, Instant};

use harness::node::Node;
use harness::windows::wait_for_window;
use serde_json::Value;

use crate::namespace::{self, FAR, NEAR};
use crate::queries::packet_sockets;
use crate::several::{enter, send};

const BY_TABLE: &str =
    "SELECT source, count(*) AS n, sum(octets) AS octets FROM packets GROUP BY source, tumble('1 second')";
const BY_PACKETS: &str =
    "SELECT source, ttl, count(*) AS n FROM packets GROUP BY source, ttl, tumble('1 second')";

/// What a command of a node prints as JSON.
pub(crate) fn json(node: &Node, arguments: &[&str]) -> Value {
    serde_json::from_str(node.ask(&[arguments, &["--format", "json"]].concat()).success()).unwrap()
}

/// Waits until something is so.
pub(crate) fn until(node: &Node, what: impl Fn() -> bool) {
    let started = Instant::now();
    while !what() {
        assert!(started.elapsed() < Duration::from_secs(30), "{}", json(node, &["status"]));
        sleep(Duration::from_millis(5));
    }
}

/// Waits until both queries have used so many packets.
fn wait_for_packets(node: &Node, packets: u64) {
    let has_used = |query: &Value| query["used"] == packets;
    until(node, || json(node, &["queries", "list"]).as_array().unwrap().iter().all(has_used));
}

/// The states of all sources.
fn states(node: &Node) -> Vec<String> {
    let sources = json(node, &["sources"]);
    sources.as_array().unwrap().iter().map(|source| source["state"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn an_interface_is_read_while_a_query_needs_it_and_anew_when_it_is_back() {
    if !enter() {
        return;
    }
    let node = Node::start(&["--interface", FAR, "--bare", "--allowed-lateness-ms", "200"]);
    assert_eq!(states(&node), ["unused", "unused"]);
    assert!(!namespace::has_program(FAR) && packet_sockets() == 0, "nothing is attached that nobody needs");
    for (name, sql) in [("by_table", BY_TABLE), ("by_packets", BY_PACKETS)] {
        assert_eq!(node.ask(&["queries", "add", name, sql]).code, Some(0));
    }
    until(&node, || namespace::has_program(FAR) && packet_sockets() == 1);
    send(NEAR, 3);
    wait_for_packets(&node, 300);
    assert!(namespace::ip(&["link", "del", NEAR]));
    until(&node, || states(&node) == ["absent", "absent"]);
    let status = node.ask(&["status"]);
    assert!(status.success().contains("interface `far` is gone"), "{}", status.text());
    // Windows close by the clock meanwhile.
    let newest = |name: &str| {
        let shown = json(&node, &["queries", "show", name]);
        shown["last_window_start"].as_str().map(str::to_owned)
    };
    until(&node, || newest("by_table").is_some() && newest("by_packets").is_some());
    assert!(namespace::add_pair([NEAR, FAR], "2"));
    until(&node, || states(&node) == ["open", "open"]);
    until(&node, || namespace::has_program(FAR) && packet_sockets() == 1);
    send(NEAR, 5);
    wait_for_packets(&node, 800);
    // A source tells its account behind each turn, in which the queries may have used its rows already.
    let is_whole = |source: &Value| source["delivered"] == 800 && source["dropped"] == 0;
    until(&node, || json(&node, &["sources"]).as_array().unwrap().iter().all(is_whole));
    for name in ["by_table", "by_packets"] {
        assert_eq!(node.ask(&["queries", "drop", name]).code, Some(0));
    }
    until(&node, || !namespace::has_program(FAR) && packet_sockets() == 0);
    assert_eq!(states(&node), ["unused", "unused"]);
    assert_eq!(node.stop().code, Some(0));
}

#[test]
fn an_interface_that_is_not_there_is_told_at_the_start() {
    if !enter() {
        return;
    }
    let run = harness::tapline(&["run", "--interface", "fra", "--api", "127.0.0.1:0"]);
    assert!(
        run.code == Some(1) && run.stderr.contains("there is no interface `fra`; there are `far`"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_node_that_starts_again_says_which_frames_passed_meanwhile() {
    if !enter() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().to_str().unwrap();
    let start =
        || Node::start(&["--interface", FAR, "--bare", "--allowed-lateness-ms", "200", "--state", state]);
    let first = start();
    let queries = ["by_table", "by_packets"];
    for (name, sql) in queries.into_iter().zip([BY_TABLE, BY_PACKETS]) {
        let sql = sql.replace("1 second", "10 seconds");
        assert_eq!(first.ask(&["queries", "add", name, &sql]).code, Some(0));
    }
    let begin = wait_for_window(Duration::from_secs(10));
    send(NEAR, 3);
    wait_for_packets(&first, 300);
    assert_eq!(first.stop().code, Some(0));
    send(NEAR, 2);
    let second = start();
    second.wait_for("200 frames passed far since the node stopped");
    send(NEAR, 5);
    wait_for_packets(&second, 500);
    for name in queries {
        let run = second.ask(&["queries", "watch", name, "--format", "json", "--windows", "1"]);
        let row = run.success().lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let row = row.into_iter().find(|row| row["window_start"].as_str().unwrap().contains(&begin));
        let row = row.unwrap_or_else(|| panic!("{}", run.text()));
        assert_eq!((&row["n"], &row["status"]), (&800.into(), &"final".into()), "{row}");
        assert!((row["completeness"].as_f64().unwrap() - 0.8).abs() < 0.001, "{row}");
    }
}

/// What systemd gives a node by the unit in configs/.
const GIVEN: &str = "+bpf,+perfmon,+net_admin,+net_raw";

#[test]
fn a_node_of_a_user_who_is_not_root_reads_an_interface_by_what_it_was_given() {
    if !enter() {
        return;
    }
    let (inheritable, ambient) = (format!("--inh-caps={GIVEN}"), format!("--ambient-caps={GIVEN}"));
    let setpriv = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", &inheritable, &ambient];
    let node = Node::start_by(&setpriv, &["--interface", FAR, "--bare", "--allowed-lateness-ms", "200"]);
    for (name, sql) in [("by_table", BY_TABLE), ("by_packets", BY_PACKETS)] {
        assert_eq!(node.ask(&["queries", "add", name, sql]).code, Some(0));
    }
    until(&node, || namespace::has_program(FAR) && packet_sockets() == 1);
    send(NEAR, 3);
    wait_for_packets(&node, 300);
    for status in threads(&node) {
        for line in [
            "CapPrm: 000000c000003000",
            "CapEff: 000000c000003000",
            "CapAmb: 0000000000000000",
            "NoNewPrivs: 1",
        ] {
            assert!(says(&status, line), "{line}: {status}");
        }
    }
    assert_eq!(node.stop().code, Some(0));
}

/// What the kernel says of each thread of a node.
fn threads(node: &Node) -> Vec<String> {
    let threads = std::fs::read_dir(format!("/proc/{}/task", node.id())).unwrap();
    // One may have ended meanwhile.
    threads.filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("status")).ok()).collect()
}

/// Whether it says this, whatever is between the words.
fn says(status: &str, line: &str) -> bool {
    status.lines().any(|found| found.split_whitespace().eq(line.split(' ')))
}

#[test]
fn a_node_of_root_keeps_what_interfaces_need_and_nothing_else() {
    if !enter() {
        return;
    }
    let node = Node::start(&["--interface", FAR, "--bare", "--allowed-lateness-ms", "200"]);
    for status in threads(&node) {
        // To lock memory, besides, which root needs no limit for.
        for line in ["CapPrm: 000000c000007000", "CapBnd: 000000c000007000", "NoNewPrivs: 1"] {
            assert!(says(&status, line), "{line}: {status}");
        }
    }
    assert_eq!(node.stop().code, Some(0));
}
