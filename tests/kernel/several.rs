//! Several sources in one run: each has an account of its own, and every row names the one that it came from.

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use harness::csv::read_csv;
use harness::frames;
use harness::ports::free_port;
use harness::run::{Finished, tapline_during, tapline_while};
use serde_json::Value;
use tapline_interface::kernel::KernelOptions;
use tapline_interface::live::PacketSender;
use tapline_trafficgen::exports::{ExportPlan, Fleet, Outbox, Protocol};

use crate::namespace::{self, FAR, NEAR};
use crate::queries::{FRAMES_A_NAP, NAP, packet_sockets, totals, wait_for};
use crate::rights::load;

/// The ends of a second pair.
const NEAR_2: &str = "near2";
const FAR_2: &str = "far2";

/// Answered by the flow table, and by reading packets.
const BY_TABLE: &str =
    "SELECT source, count(*), sum(octets) FROM packets GROUP BY source, tumble('24 hours')";
const BY_PACKETS: &str =
    "SELECT source, ttl, count(*), sum(octets) FROM packets GROUP BY source, ttl, tumble('24 hours')";
const FLOWS: &str = "SELECT source, count(*), sum(packets) FROM flows GROUP BY source, tumble('24 hours')";

/// Octets of the IP packets that are sent.
const OCTETS: i64 = 20 + 8 + 4;

/// Sums by key.
type Totals = BTreeMap<Vec<String>, Vec<i64>>;

/// Gives this thread a network of two pairs and a loopback; `false` where that is not allowed.
pub(crate) fn enter() -> bool {
    namespace::enter() && load(&KernelOptions::default()).is_some() && {
        assert!(namespace::add_pair([NEAR_2, FAR_2], "1") && namespace::ip(&["link", "set", "lo", "up"]));
        true
    }
}

/// Sends frames of UDP out of an interface, a hundred of each of so many flows, all to port 53.
pub(crate) fn send(interface: &str, flows: u16) {
    send_to(53, interface, flows);
}

/// As [`send`], to another port.
pub(crate) fn send_to(port: u16, interface: &str, flows: u16) {
    let sender = PacketSender::open(interface, false).unwrap();
    for number in 0..100 * flows {
        let datagram = frames::udp(1 + number % flows, port, b"data");
        sender.send(&frames::ethernet(frames::IPV4, &frames::ipv4(frames::UDP, &datagram))).unwrap();
        if usize::from(number) % FRAMES_A_NAP == 0 {
            sleep(NAP);
        }
    }
}

/// Runs queries into a folder, while `work` is done once all is ready.
fn run(
    folder: &Path,
    sources: &[&str],
    queries: &[&str],
    is_ready: fn() -> bool,
    work: impl FnOnce(),
) -> Finished {
    let common = ["--format", "csv", "--summary", "json", "--output", folder.to_str().unwrap()];
    tapline_during(&[&["query"], sources, &common, queries].concat(), || {
        wait_for(is_ready);
        work();
    })
}

/// The sums of the query of this number.
fn answer(folder: &Path, number: usize, keys: usize, sums: usize) -> Totals {
    totals(&std::fs::read_to_string(folder.join(format!("query_{number}.csv"))).unwrap(), keys, sums)
}

fn expected<const N: usize>(rows: [(&[&str], &[i64]); N]) -> Totals {
    let row =
        |(keys, sums): (&[&str], &[i64])| (keys.iter().map(|&key| key.to_owned()).collect(), sums.to_vec());
    rows.into_iter().map(row).collect()
}

fn account(run: &Finished) -> Value {
    let _ = run.success();
    serde_json::from_str(run.stderr.lines().last().unwrap_or_default()).unwrap()
}

/// Kind, name and fates of each source of packets: offered, delivered, dropped.
fn fates(account: &Value) -> Vec<(String, String, [u64; 3])> {
    let of = |source: &Value| {
        let text = |name: &str| source[name].as_str().unwrap().to_owned();
        let fates = ["offered", "delivered", "dropped"].map(|name| source[name].as_u64().unwrap());
        (text("kind"), text("source"), fates)
    };
    let sources = account["sources"].as_array().unwrap();
    sources.iter().filter(|source| source["offered"].is_u64()).map(of).collect()
}

#[test]
fn two_interfaces_have_an_account_each() {
    if !enter() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let is_ready = || [FAR, FAR_2].into_iter().all(namespace::has_program) && packet_sockets() == 2;
    let sources = ["--interface", FAR, "--interface", FAR_2];
    let run = run(folder.path(), &sources, &[BY_TABLE, BY_PACKETS, FLOWS], is_ready, || {
        send(NEAR, 3);
        send(NEAR_2, 5);
    });
    let account = account(&run);
    let by_source = expected([(&[FAR], &[300, 300 * OCTETS]), (&[FAR_2], &[500, 500 * OCTETS])]);
    assert_eq!(answer(folder.path(), 1, 1, 2), by_source, "{account}");
    let by_ttl = expected([(&[FAR, "64"], &[300, 300 * OCTETS]), (&[FAR_2, "64"], &[500, 500 * OCTETS])]);
    assert_eq!(answer(folder.path(), 2, 2, 2), by_ttl, "{account}");
    let flows = expected([(&[FAR], &[3, 300]), (&[FAR_2], &[5, 500])]);
    assert_eq!(answer(folder.path(), 3, 1, 2), flows, "{account}");
    let found = fates(&account);
    let expected = [
        ("flow table", FAR, 300),
        ("packets", FAR, 300),
        ("flow table", FAR_2, 500),
        ("packets", FAR_2, 500),
    ]
    .map(|(kind, source, frames)| (kind.to_owned(), source.to_owned(), [frames, frames, 0]));
    assert_eq!(found, expected, "{account}");
    let used: Vec<_> =
        account["queries"].as_array().unwrap().iter().map(|query| query["used"].as_u64()).collect();
    assert_eq!(used, [Some(800), Some(800), Some(8)], "{account}");
    assert!(![FAR, FAR_2].into_iter().any(namespace::has_program), "the interfaces are as they were");
    for number in 1..=3 {
        let text = std::fs::read_to_string(folder.path().join(format!("query_{number}.csv"))).unwrap();
        assert!(read_csv(&text).rows.iter().all(|row| row.last().unwrap() == "partial"), "{number}: {text}");
    }
}

/// What goes on when one of two interfaces is taken away: the account, and rows of `ledger` about both queries.
fn run_while_one_vanishes(folder: &Path) -> (Finished, Value) {
    const LEDGER: &str = "SELECT query_name, sum(query_used) FROM ledger WHERE query_name IN ('query_1', 'query_2') GROUP BY query_name, tumble('24 hours')";
    let is_ready = || [FAR, FAR_2].into_iter().all(namespace::has_program) && packet_sockets() == 2;
    let sources = ["--interface", FAR, "--interface", FAR_2];
    let run = run(folder, &sources, &[BY_TABLE, BY_PACKETS, LEDGER], is_ready, || {
        send(NEAR, 3);
        assert!(namespace::ip(&["link", "del", NEAR]));
        send(NEAR_2, 5);
        // Behind the next look at whether the interface is there.
        sleep(Duration::from_millis(1500));
        send(NEAR_2, 5);
    });
    let account = serde_json::from_str(run.stderr.lines().last().unwrap_or_default()).unwrap();
    (run, account)
}

#[test]
fn where_one_of_two_interfaces_vanishes_the_other_is_read_on() {
    if !enter() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (run, account) = run_while_one_vanishes(folder.path());
    let by_source = expected([(&[FAR], &[300, 300 * OCTETS]), (&[FAR_2], &[1000, 1000 * OCTETS])]);
    assert_eq!(answer(folder.path(), 1, 1, 2), by_source, "{}", run.stderr);
    let by_ttl = expected([(&[FAR, "64"], &[300, 300 * OCTETS]), (&[FAR_2, "64"], &[1000, 1000 * OCTETS])]);
    assert_eq!(answer(folder.path(), 2, 2, 2), by_ttl, "{}", run.stderr);
    let told = expected([(&["query_1"], &[1300]), (&["query_2"], &[1300])]);
    assert_eq!(answer(folder.path(), 3, 1, 1), told, "{}", run.stderr);
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    let failures: Vec<_> = account["sources"].as_array().unwrap().iter().map(|of| &of["failure"]).collect();
    let gone = Value::from("interface `far` is gone; read it anew once it is back");
    assert_eq!(failures, [&gone, &gone, &Value::Null, &Value::Null], "{account}");
    for (level, times) in [("warning", 1), ("error", 1)] {
        for name in ["far by its flow table", "far"] {
            let line = format!("{level}: {name} could not be read any more: {}", gone.as_str().unwrap());
            let lines = run.stderr.lines().filter(|told| *told == line);
            assert_eq!(lines.count(), times, "{line}: {}", run.stderr);
        }
    }
}

/// Sends exports to a port of this machine; gives how many records.
fn export(port: u16) -> u64 {
    let (socket, mut outbox) = (UdpSocket::bind("127.0.0.1:0").unwrap(), Outbox::default());
    let mut fleet = Fleet::new(&ExportPlan::new(Protocol::NetflowV5, 3), 0..1).unwrap();
    for _ in 0..20 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
        fleet.emit(0, u64::try_from(now).unwrap(), &mut outbox);
        for datagram in outbox.datagrams() {
            socket.send_to(datagram, ("127.0.0.1", port)).unwrap();
        }
        outbox.clear();
        sleep(Duration::from_millis(1));
    }
    fleet.truth().sent.records
}

/// Whether somebody listens in this network, and a socket reads packets.
fn is_listening() -> bool {
    let sockets = std::fs::read_to_string("/proc/thread-self/net/udp").unwrap();
    sockets.lines().count() > 1 && namespace::has_program(FAR) && packet_sockets() == 1
}

#[test]
fn a_listener_and_an_interface_are_read_at_once() {
    if !enter() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let url = format!("udp://127.0.0.1:{port}");
    let sources = ["--interface", FAR, "--listen", &url];
    let flows = "SELECT source, count(*), count(exporter) FROM flows GROUP BY source, tumble('24 hours')";
    let mut records = 0;
    let run = run(folder.path(), &sources, &[BY_TABLE, flows], is_listening, || {
        send(NEAR, 3);
        records = export(port);
    });
    let account = account(&run);
    let packets = expected([(&[FAR], &[300, 300 * OCTETS])]);
    assert_eq!(answer(folder.path(), 1, 1, 2), packets, "{account}");
    let exported = i64::try_from(records).unwrap();
    let by_source = expected([(&[FAR], &[3, 0]), (&[&url], &[exported, exported])]);
    assert_eq!(answer(folder.path(), 2, 1, 2), by_source, "{account}");
    let frames = [("flow table", FAR), ("packets", FAR)];
    let frames = frames.map(|(kind, source)| (kind.to_owned(), source.to_owned(), [300, 300, 0]));
    assert_eq!(fates(&account), frames, "{account}");
    let listener = account["sources"].as_array().unwrap().last().unwrap();
    assert_eq!((&listener["kind"], &listener["source"]), (&"listener".into(), &url.as_str().into()));
    assert_eq!((&listener["messages"], &listener["rows_dropped"]), (&20.into(), &0.into()), "{account}");
    let exporter = &account["exporters"][0];
    assert_eq!(
        (account["exporters"].as_array().unwrap().len(), &exporter["source"]),
        (1, &url.as_str().into())
    );
    let fates = ["offered", "delivered", "lost", "undecodable"].map(|name| exporter[name].as_u64().unwrap());
    assert_eq!(fates, [records, records, 0, 0], "{account}");
}

/// The table and the reader are two sources: neither carries the stream of the other, nor waits for it.
#[test]
fn windows_of_the_table_and_of_packets_close_while_both_are_read() {
    if !enter() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().to_str().unwrap();
    let url = format!("udp://127.0.0.1:{}", free_port());
    let queries = [BY_TABLE, BY_PACKETS].map(|sql| sql.replace("24 hours", "1 second"));
    let arguments =
        ["query", "--interface", FAR, "--listen", &url, "--allowed-lateness-ms", "300", "--windows", "2"];
    let output = ["--format", "csv", "--output", output, &queries[0], &queries[1]];
    let run = tapline_while(&[&arguments[..], &output].concat(), || {
        send(NEAR, 1);
        sleep(Duration::from_millis(50));
    });
    let _ = run.success();
    for number in [1, 2] {
        let text = std::fs::read_to_string(folder.path().join(format!("query_{number}.csv"))).unwrap();
        let last = |row: &Vec<String>| row.last().unwrap() == "final";
        assert!(read_csv(&text).rows.iter().filter(|row| last(row)).count() >= 2, "{text}");
    }
}
