//! What flows now, asked of a node on an interface: by the kernel's table, or by who reads packets.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use harness::frames;
use harness::node::Node;
use serde_json::Value;
use tapline_interface::live::PacketSender;

use crate::namespace::{self, FAR, NEAR};
use crate::node::{json, until};
use crate::queries::{FRAMES_A_NAP, NAP, packet_sockets};
use crate::several::{enter, send};

/// Lets the reader of packets meter flows.
const BY_PACKETS: &str =
    "SELECT count(*) AS flows FROM flows WHERE src_mac IS NOT NULL GROUP BY tumble('1 second')";
/// Lets who empties the kernel's table meter them.
const BY_TABLE: &str = "SELECT count(*) AS flows FROM flows GROUP BY tumble('1 second')";
/// Octets of each IP packet.
const OCTETS: u64 = 20 + 8 + 4;

fn node() -> Node {
    Node::start(&["--interface", FAR, "--bare", "--allowed-lateness-ms", "200"])
}

/// A node whose reader of packets meters flows.
fn metering() -> Node {
    let node = node();
    assert_eq!(node.ask(&["queries", "add", "by_packets", BY_PACKETS]).code, Some(0));
    until(&node, || packet_sockets() == 1);
    node
}

/// What a node says of active flows.
fn asked(node: &Node) -> Value {
    json(node, &["flows", "--limit", "10000"])
}

/// Of each flow, in the order of its port: source port, packets, octets, octets that are in records.
fn flows(answer: &Value) -> Vec<[u64; 4]> {
    let of = |flow: &Value| {
        assert_eq!((&flow["source"], &flow["dst_port"]), (&FAR.into(), &53.into()), "{flow}");
        ["src_port", "packets", "octets", "records_sent"].map(|name| flow[name].as_u64().unwrap())
    };
    let mut flows: Vec<_> = answer["flows"].as_array().unwrap().iter().map(of).collect();
    flows.sort_unstable();
    flows
}

/// Three flows of a hundred datagrams.
fn expected() -> Vec<[u64; 4]> {
    (1..=3).map(|port| [port, 100, 100 * OCTETS, 0]).collect()
}

fn reason(answer: &Value) -> &str {
    answer["reasons"][0].as_str().unwrap_or_default()
}

#[test]
fn without_a_query_the_kernel_counts_for_who_asks() {
    if !enter() {
        return;
    }
    let node = node();
    assert!(!namespace::has_program(FAR), "nobody has asked");
    let first = asked(&node);
    assert_eq!((&first["complete"], &first["total"]), (&false.into(), &0.into()), "{first}");
    assert!(reason(&first).starts_with("far is metered for 0 s"), "{first}");
    assert!(namespace::has_program(FAR) && packet_sockets() == 0);
    send(NEAR, 3);
    until(&node, || flows(&asked(&node)) == expected());
    assert_eq!(json(&node, &["queries", "list"]), Value::Array(vec![]), "it is no query of anybody's");
    let since = Instant::now();
    until(&node, || asked(&node)["complete"] == true || since.elapsed() > Duration::from_secs(25));
    let later = asked(&node);
    assert_eq!(later["complete"], true, "{later}");
    assert!(later["flows"].as_array().unwrap().iter().all(|flow| flow["idle"].as_f64().unwrap() > 5.0));
    assert_eq!(node.stop().code, Some(0));
}

#[test]
fn a_flow_is_seen_while_it_lasts_and_while_it_is_silent() {
    if !enter() {
        return;
    }
    let node = metering();
    send(NEAR, 3);
    until(&node, || flows(&asked(&node)) == expected());
    let young = asked(&node);
    sleep(Duration::from_secs(3));
    let answer = asked(&node);
    assert_eq!(flows(&answer), expected(), "{answer}");
    for (flow, before) in answer["flows"].as_array().unwrap().iter().zip(young["flows"].as_array().unwrap()) {
        assert!(flow["idle"].as_f64().unwrap() >= 3.0 && flow["state"] == "active", "{flow}");
        assert_eq!((&flow["start_time"], &flow["protocol"]), (&before["start_time"], &17.into()));
    }
    assert_eq!(node.stop().code, Some(0));
}

/// A node of which who empties the kernel's table meters flows.
fn metering_by_table() -> Node {
    let node = node();
    assert_eq!(node.ask(&["queries", "add", "by_table", BY_TABLE]).code, Some(0));
    until(&node, || namespace::has_program(FAR));
    assert_eq!(packet_sockets(), 0, "nobody reads packets");
    node
}

#[test]
fn a_flow_goes_on_over_its_records() {
    if enter() {
        assert_a_flow_goes_on(metering());
    }
}

#[test]
fn a_flow_that_the_kernel_counts_goes_on_over_its_records() {
    if enter() {
        assert_a_flow_goes_on(metering_by_table());
    }
}

fn assert_a_flow_goes_on(node: Node) {
    let sender = PacketSender::open(NEAR, false).unwrap();
    let datagram = frames::udp(7, 53, b"data");
    let frame = frames::ethernet(frames::IPV4, &frames::ipv4(frames::UDP, &datagram));
    let (begun, mut sent, mut start) = (Instant::now(), 0, Value::Null);
    // A record is given after a minute.
    while begun.elapsed() < Duration::from_secs(64) {
        sender.send(&frame).unwrap();
        sent += 1;
        sleep(Duration::from_millis(250));
        if start.is_null() {
            start = asked(&node)["flows"][0]["start_time"].clone();
        }
    }
    until(&node, || flows(&asked(&node)).first().is_some_and(|flow| flow[1] == sent));
    let answer = asked(&node);
    let flows = flows(&answer);
    assert_eq!(flows.len(), 1, "{answer}");
    let [port, packets, octets, in_records] = flows[0];
    assert_eq!((port, packets, octets), (7, sent, sent * OCTETS));
    assert!(in_records > 0 && in_records < octets, "{answer}");
    assert_eq!(answer["flows"][0]["start_time"], start, "as it began");
    until(&node, || json(&node, &["queries", "list"])[0]["used"] == 1);
    assert_eq!(node.stop().code, Some(0));
}

#[test]
fn whoever_asks_of_many_flows_loses_no_frame() {
    if !enter() {
        return;
    }
    let node = metering();
    let has_sent = AtomicBool::new(false);
    scope(|scope| {
        scope.spawn(|| {
            let sender = PacketSender::open(NEAR, false).unwrap();
            for port in 1..=u16::MAX {
                let datagram = frames::udp(port, 53, b"data");
                let packet = frames::ipv4(frames::UDP, &datagram);
                sender.send(&frames::ethernet(frames::IPV4, &packet)).unwrap();
                if usize::from(port) % FRAMES_A_NAP == 0 {
                    sleep(NAP);
                }
            }
            has_sent.store(true, Ordering::Release);
        });
        while !has_sent.load(Ordering::Acquire) {
            let answer = asked(&node);
            assert!(answer["total"].as_u64().unwrap() <= u64::from(u16::MAX), "{}", answer["total"]);
        }
    });
    until(&node, || asked(&node)["total"] == u16::MAX);
    let is_whole = |source: &Value| {
        source["kind"] != "packets" || source["delivered"] == u16::MAX && source["dropped"] == 0
    };
    until(&node, || json(&node, &["sources"]).as_array().unwrap().iter().all(is_whole));
    assert_eq!(node.stop().code, Some(0));
}
