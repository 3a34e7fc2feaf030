//! Which frames a node wants of an interface: rules and a filter, which change while it runs.

use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use harness::node::Node;
use serde_json::Value;

use crate::namespace::{self, FAR, NEAR};
use crate::node::{json, until};
use crate::queries::packet_sockets;
use crate::several::{enter, send};

const BY_TABLE: &str = "SELECT src_port, count(*) AS n FROM packets GROUP BY src_port, tumble('1 second')";
const BY_PACKETS: &str = "SELECT ttl, count(*) AS n FROM packets GROUP BY ttl, tumble('1 second')";

/// A node as a file says it, which runs both queries.
fn start(config: &Path) -> Node {
    let node = Node::start(&["--bare", "--config", config.to_str().unwrap()]);
    for (name, sql) in [("by_table", BY_TABLE), ("by_packets", BY_PACKETS)] {
        assert_eq!(node.ask(&["queries", "add", name, sql]).code, Some(0));
    }
    until(&node, || packet_sockets() == 1);
    node
}

fn write(config: &Path, wanted: &str) {
    let text = format!("[[source]]\ninterface = \"{FAR}\"\nallowed_lateness_ms = 200\n{wanted}\n");
    std::fs::write(config, text).unwrap();
}

/// Waits until each query has used so many packets in all.
fn wait_for_packets(node: &Node, packets: u64) {
    let has_used = |query: &Value| query["used"] == packets;
    until(node, || json(node, &["queries", "list"]).as_array().unwrap().iter().all(has_used));
}

/// Lets a node read its file again, and gives what it says has changed.
fn reload(node: &Node) -> String {
    let told = node.ask(&["reload"]).success().to_owned();
    // What is being read at this moment is read as it was wanted before.
    sleep(Duration::from_millis(200));
    told
}

/// Waits until each source has these fates: offered, delivered, filtered.
fn wait_for_fates(node: &Node, expected: [u64; 3]) {
    let of = |source: &Value| ["offered", "delivered", "filtered"].map(|fate| source[fate].as_u64().unwrap());
    until(node, || json(node, &["sources"]).as_array().unwrap().iter().all(|source| of(source) == expected));
}

#[test]
fn rules_hold_for_the_table_and_for_packets_and_change_on_reload() {
    if !enter() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let [config, rules] = ["node.toml", "rules"].map(|name| folder.path().join(name));
    std::fs::write(&rules, "deny port:1 # the first flow\n").unwrap();
    write(&config, &format!("rules = {rules:?}"));
    let node = start(&config);
    until(&node, || namespace::has_program(FAR));
    send(NEAR, 3);
    wait_for_packets(&node, 200);
    wait_for_fates(&node, [300, 200, 100]);
    let status = node.ask(&["status"]);
    assert_eq!(status.success().matches("far has rules: deny port:1\n").count(), 1, "{}", status.text());
    std::fs::write(&rules, "deny port:1\ndeny port:2\n").unwrap();
    assert_eq!(reload(&node), "filters: far: rules that hold: 2, of them new: 1; no longer: 0\n");
    assert_eq!(reload(&node), "nothing has changed\n");
    send(NEAR, 3);
    wait_for_packets(&node, 300);
    std::fs::write(&rules, "deny port:1\n\ndeny everything\n").unwrap();
    let wrong = node.ask(&["reload"]);
    assert!(
        wrong.code != Some(0) && wrong.stderr.contains(": line 3: everything: write a prefix"),
        "{wrong:?}"
    );
    send(NEAR, 3);
    wait_for_packets(&node, 400);
    // What holds for all that is read: nothing but the third flow, and nothing at all.
    write(&config, "allow = [\"port:3\"]");
    let _ = reload(&node);
    send(NEAR, 3);
    wait_for_packets(&node, 500);
    write(&config, "allow = [\"vlan:7\"]");
    let _ = reload(&node);
    send(NEAR, 3);
    wait_for_fates(&node, [1500, 500, 1000]);
    assert_eq!(node.stop().code, Some(0));
}

#[test]
fn a_filter_comes_changes_and_goes_while_a_node_runs() {
    if !enter() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("node.toml");
    write(&config, "filter = \"udp src port 1 or 2\"");
    let node = start(&config);
    until(&node, || namespace::has_program(FAR));
    send(NEAR, 3);
    wait_for_packets(&node, 200);
    wait_for_fates(&node, [300, 200, 100]);
    let status = node.ask(&["status"]);
    assert_eq!(status.success().matches("far keeps: udp src port 1 or 2\n").count(), 1, "{}", status.text());
    let explained = node.ask(&["queries", "explain", BY_TABLE]);
    assert!(explained.success().contains("only what `udp src port 1 or 2` keeps"), "{}", explained.text());
    write(&config, "filter = \"udp src port 3\"\ndeny = [\"protocol:6\"]");
    assert_eq!(
        reload(&node),
        "filters: far: only what `udp src port 3` keeps is read, and no longer what `udp src port 1 or 2` does\n\
         filters: far: rules that hold: 1, of them new: 1; no longer: 0\n"
    );
    send(NEAR, 3);
    wait_for_packets(&node, 300);
    write(&config, "filter = \"udp prot 3\"");
    let wrong = node.ask(&["reload"]);
    assert!(wrong.code != Some(0) && wrong.stderr.contains("[[source]] 1: filter: "), "{wrong:?}");
    send(NEAR, 3);
    wait_for_packets(&node, 400);
    wait_for_fates(&node, [900, 400, 500]);
    write(&config, "");
    let told = reload(&node);
    assert!(told.contains("far: all is read, and no longer only what `udp src port 3` keeps"), "{told}");
    assert!(!told.contains("sources_"), "nothing is opened anew: {told}");
    send(NEAR, 3);
    wait_for_packets(&node, 700);
    write(&config, "filter = \"udp src port 1\"");
    assert!(reload(&node).contains("far: only what `udp src port 1` keeps is read"));
    send(NEAR, 3);
    wait_for_packets(&node, 800);
    wait_for_fates(&node, [1500, 800, 700]);
    assert_eq!(node.stop().code, Some(0));
}

#[test]
fn what_a_filter_keeps_that_looks_at_each_frame_is_read_frame_by_frame() {
    if !enter() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("node.toml");
    write(&config, "filter = \"len > 20 and (udp src port 1 or 2)\"");
    let node = start(&config);
    assert!(!namespace::has_program(FAR), "the table does not tell apart what is wanted");
    assert_eq!(json(&node, &["sources"]).as_array().unwrap().len(), 1);
    send(NEAR, 3);
    wait_for_packets(&node, 200);
    wait_for_fates(&node, [300, 200, 100]);
    write(&config, "filter = \"len > 20 and udp src port 3\"");
    assert!(!reload(&node).contains("sources_"));
    send(NEAR, 3);
    wait_for_packets(&node, 300);
    // Where a filter looks at flows the kernel counts, and nobody has to be asked anew.
    write(&config, "filter = \"udp src port 3\"");
    assert!(reload(&node).contains("far: only what `udp src port 3` keeps is read"));
    until(&node, || namespace::has_program(FAR) && packet_sockets() == 1);
    send(NEAR, 3);
    wait_for_packets(&node, 400);
    write(&config, "filter = \"greater 20\"");
    assert!(reload(&node).contains("far: only what `greater 20` keeps is read"));
    until(&node, || !namespace::has_program(FAR) && packet_sockets() == 1);
    send(NEAR, 3);
    wait_for_packets(&node, 700);
    assert_eq!(node.stop().code, Some(0));
}

/// Asks a node with this filter, which keeps two of three flows, for active flows and for records.
fn check_flows(filter: &str, is_read: impl Fn() -> bool) {
    let node =
        Node::start(&["--interface", FAR, "--filter", filter, "--bare", "--allowed-lateness-ms", "200"]);
    let asked = || json(&node, &["flows", "--limit", "100"]);
    let _ = asked();
    until(&node, is_read);
    let _ = asked();
    send(NEAR, 3);
    until(&node, || asked()["total"] == 2);
    // Records come when flows have been silent for long enough.
    let records = "SELECT src_port, sum(packets) AS packets FROM flows GROUP BY src_port, tumble('1 second')";
    assert_eq!(node.ask(&["queries", "add", "records", records]).code, Some(0));
    send(NEAR, 3);
    until(&node, || json(&node, &["queries", "list"])[0]["used"] == 2);
    assert_eq!(node.stop().code, Some(0));
}

#[test]
fn flows_of_what_a_filter_keeps_are_metered() {
    if !enter() {
        return;
    }
    check_flows("udp src port 1 or 2", || namespace::has_program(FAR));
    let by_frames = || packet_sockets() == 1 && !namespace::has_program(FAR);
    check_flows("len > 20 and (udp src port 1 or 2)", by_frames);
}
