//! Both directions of an interface in one run: what is received and what is sent, in one answer and one account.

use harness::node::Node;
use harness::run::{Finished, tapline_during};
use harness::tapline;
use serde_json::Value;
use std::thread;

use crate::answers::rows;
use crate::namespace::{self, FAR, NEAR};
use crate::node::until;
use crate::pushed::{check_fates, used};
use crate::queries::{has_packet_socket, wait_for};
use crate::several::{enter, send, send_to};

/// Answered by the table, and by reading packets.
const BY_TABLE: &str =
    "SELECT direction, count(*), sum(octets), sum(frame_octets) FROM packets GROUP BY direction";
const BY_PACKETS: &str = "SELECT direction, ttl, count(*), sum(octets) FROM packets GROUP BY direction, ttl";
const FLOWS: &str = "SELECT direction, count(*), sum(packets), sum(octets) FROM flows GROUP BY direction";

/// Octets of the IP packets that are sent, and of their frames.
const OCTETS: i64 = 20 + 8 + 4;
const FRAME_OCTETS: i64 = 14 + OCTETS;

fn is_counting() -> bool {
    namespace::has_program(NEAR)
}

/// Asks the near end in a direction, while it sends 300 frames of three flows and receives 500 of five.
fn ask(sql: &str, direction: &str, is_ready: fn() -> bool) -> Finished {
    let sql = format!("{sql}, tumble('24 hours')");
    let arguments = [
        "query",
        "--interface",
        NEAR,
        "--direction",
        direction,
        "--format",
        "csv",
        "--summary",
        "json",
        &sql,
    ];
    tapline_during(&arguments, || {
        wait_for(is_ready);
        send(NEAR, 3);
        // To another port: what is sent and comes back is one flow.
        send_to(77, FAR, 5);
    })
}

/// The account of the only source.
fn account(run: &Finished) -> Value {
    let account: Value = serde_json::from_str(run.stderr.lines().last().unwrap_or_default()).unwrap();
    account["sources"][0].clone()
}

#[test]
fn the_table_has_both_directions_in_one_account() {
    if !enter() {
        return;
    }
    let row = |direction: i64, frames: i64| {
        [direction, frames, frames * OCTETS, frames * FRAME_OCTETS].map(|number| number.to_string()).join(",")
    };
    for (direction, expected) in [("both", vec![row(0, 500), row(1, 300)]), ("in", vec![row(0, 500)])] {
        let run = ask(BY_TABLE, direction, is_counting);
        assert_eq!(rows(&run, 1, 3), expected, "{direction}: {}", run.stderr);
        let account = account(&run);
        let frames = if direction == "both" { 800 } else { 500 };
        let fates = ["offered", "delivered", "dropped", "filtered"].map(|name| account[name].as_u64());
        assert_eq!(fates, [Some(frames), Some(frames), Some(0), Some(0)], "{account}");
        let by = if direction == "both" { "native XDP and tcx" } else { "native XDP" };
        assert_eq!(account["by"], by, "{account}");
    }
    assert!(!namespace::has_program(NEAR), "the interface is as it was");
}

/// Nothing of XDP is attached then, neither what leaves tags and frames out nor what says so.
#[test]
fn what_is_sent_is_counted_alone() {
    if !enter() {
        return;
    }
    let all = format!("1,300,{},{}", 300 * OCTETS, 300 * FRAME_OCTETS);
    let to_dns = BY_TABLE.replace("GROUP", "WHERE dst_port = 53 GROUP");
    for (sql, expected) in [(BY_TABLE, vec![all.clone()]), (to_dns.as_str(), vec![all])] {
        let run = ask(sql, "out", || namespace::counts_sent(NEAR));
        assert_eq!(rows(&run, 1, 3), expected, "{sql}: {}", run.stderr);
        assert!(!run.stderr.contains("VLAN tags"), "the program finds them: {}", run.stderr);
        let account = account(&run);
        let fates = ["offered", "delivered", "filtered"].map(|name| account[name].as_u64());
        assert_eq!(fates, [Some(300), Some(300), Some(0)], "{account}");
        assert_eq!((&account["by"], &account["kernel_filter"]), (&"tcx".into(), &Value::Null), "{account}");
    }
}

#[test]
fn flows_have_the_direction_of_their_packets() {
    if !enter() {
        return;
    }
    let run = ask(FLOWS, "both", is_counting);
    let row = |direction: i64, flows: i64| {
        [direction, flows, 100 * flows, 100 * flows * OCTETS].map(|number| number.to_string()).join(",")
    };
    assert_eq!(rows(&run, 1, 3), [row(0, 5), row(1, 3)], "{}", run.stderr);
}

#[test]
fn packets_of_a_direction_are_read_as_copies() {
    if !enter() {
        return;
    }
    let row = |direction: i64, frames: i64| format!("{direction},64,{frames},{}", frames * OCTETS);
    let cases =
        [("in", vec![row(0, 500)]), ("out", vec![row(1, 300)]), ("both", vec![row(0, 500), row(1, 300)])];
    for (direction, expected) in cases {
        let run = ask(BY_PACKETS, direction, has_packet_socket);
        assert_eq!(rows(&run, 2, 2), expected, "{direction}: {}", run.stderr);
    }
}

#[test]
fn queries_that_come_and_go_cost_no_frame_of_either_direction() {
    const FLOWS: u16 = 300;
    if !enter() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("node.toml");
    let source =
        format!("[[source]]\ninterface = \"{NEAR}\"\ndirection = \"both\"\nallowed_lateness_ms = 200\n");
    std::fs::write(&file, source).unwrap();
    let node = Node::start(&["--config", file.to_str().unwrap(), "--bare"]);
    let add = |name: &str, sql: &str| assert_eq!(node.ask(&["queries", "add", name, sql]).code, Some(0));
    let of = |what: &str| {
        format!(
            "SELECT src_port, count(*) AS n FROM packets WHERE {what} GROUP BY src_port, tumble('1 second')"
        )
    };
    for (name, what) in [("received", "direction = 0"), ("sent", "direction = 1"), ("all", "dst_port = 53")] {
        add(name, &of(what));
    }
    until(&node, is_counting);
    let sending =
        [(NEAR, FLOWS), (FAR, 2 * FLOWS)].map(|(end, flows)| thread::spawn(move || send(end, flows)));
    let mut rounds = 0;
    while !sending.iter().all(thread::JoinHandle::is_finished) {
        rounds += 1;
        add("other", &of(&format!("dst_port = {}", 1000 + rounds)));
        assert_eq!(node.ask(&["queries", "drop", "other"]).code, Some(0));
    }
    sending.into_iter().for_each(|sender| sender.join().unwrap());
    assert!(rounds > 1);
    let frames = 100 * u64::from(FLOWS);
    until(&node, || used(&node, "all") == 3 * frames);
    assert_eq!(["sent", "received"].map(|name| used(&node, name)), [frames, 2 * frames]);
    check_fates(&node);
    assert_eq!(node.stop().code, Some(0));
}

#[test]
fn by_what_each_direction_is_read_is_explained() {
    if !enter() {
        return;
    }
    let explain = |direction: &str, sql: &str| {
        let sql = format!("{sql}, tumble('1 second')");
        tapline(&["query", "--interface", NEAR, "--direction", direction, "--explain", &sql])
            .success()
            .to_owned()
    };
    let by_table = "the kernel counts frames that are received by XDP, frames that are sent by tcx, as many as they are cut into";
    assert!(explain("both", BY_TABLE).contains(by_table));
    assert!(explain("out", BY_TABLE).contains("the kernel counts frames that are sent by tcx"));
    let by_packets =
        "packets that are sent are read through AF_PACKET: one that the interface cuts later is one row";
    let text = explain("both", BY_PACKETS);
    assert!(text.contains(by_packets) && text.contains("reads packets: ttl is no key"), "{text}");
    assert!(!explain("in", BY_TABLE).contains("tcx"));
}

#[test]
fn a_direction_that_makes_no_sense_is_refused() {
    if !enter() {
        return;
    }
    let sql = format!("{BY_TABLE}, tumble('1 second')");
    let run = tapline(&["query", "--interface", "lo", "--direction", "both", &sql]);
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.contains("interface `lo` receives each frame that it sends"), "{}", run.stderr);
    let run = tapline(&["query", "--interface", NEAR, "--mirror", "--direction", "out", &sql]);
    assert_eq!(run.code, Some(2), "{}", run.stderr);
}
