//! A node that stops and starts again: it goes on with the windows that were open, and says what it missed.

use super::sender::{now_ns, wait_for_listener};
use harness::node::Node;
use harness::ports::free_port;
use harness::windows::wait_for_window;
use serde_json::Value;
use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};
use tapline_trafficgen::exports::{ExportPlan, Fleet, Outbox, Protocol};

const WINDOW: Duration = Duration::from_secs(16);
const COUNT: &str =
    "SELECT count(*) AS records, sum(octets) AS octets FROM flows GROUP BY tumble('16 seconds')";

/// Exporters of every protocol, whose numbers go on whether anybody listens or not.
struct Exporters {
    fleets: Vec<(Fleet, UdpSocket)>,
    target: SocketAddr,
}

impl Exporters {
    fn new(port: u16) -> Self {
        let protocols = [Protocol::NetflowV5, Protocol::NetflowV9, Protocol::Ipfix, Protocol::Sflow];
        let fleet = |protocol| {
            let plan = ExportPlan::new(protocol, 7);
            (Fleet::new(&plan, 0..1).unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap())
        };
        let target = SocketAddr::from(([127, 0, 0, 1], port));
        Self { fleets: protocols.into_iter().map(fleet).collect(), target }
    }

    /// Sends so many datagrams of each; gives how many records they held.
    fn send(&mut self, datagrams: u32) -> u64 {
        let (before, mut outbox) = (self.records(), Outbox::default());
        for _ in 0..datagrams {
            for (fleet, socket) in &mut self.fleets {
                fleet.emit(0, now_ns(), &mut outbox);
                outbox.datagrams().for_each(|datagram| drop(socket.send_to(datagram, self.target)));
                outbox.clear();
            }
            sleep(Duration::from_millis(2));
        }
        self.records() - before
    }

    fn records(&self) -> u64 {
        self.fleets.iter().map(|(fleet, _)| fleet.truth().sent.records).sum()
    }
}

fn node(port: u16, state: &Path) -> Node {
    let (url, state) = (format!("udp://127.0.0.1:{port}"), state.to_str().unwrap());
    let soon = ["--event-time", "receive", "--allowed-lateness-ms", "200"];
    let node = Node::start(&[&["--listen", &url, "--bare", "--state", state], &soon[..]].concat());
    wait_for_listener(port);
    node
}

fn used(node: &Node) -> u64 {
    let shown = node.ask(&["queries", "show", "all", "--format", "json"]);
    let shown: Value = serde_json::from_str(shown.success()).unwrap();
    shown["used"].as_u64().unwrap()
}

fn wait_for(node: &Node, records: u64) {
    let started = Instant::now();
    while used(node) < records {
        assert!(started.elapsed() < Duration::from_secs(20), "{} of {records}", used(node));
        sleep(Duration::from_millis(10));
    }
}

/// The rows of a node's query, as they come, until those of the window that begins then.
fn row_of(node: &Node, start: &str) -> Value {
    let begun = Instant::now();
    loop {
        let run = node.ask(&["queries", "watch", "all", "--format", "json", "--windows", "1"]);
        for line in run.success().lines() {
            let row: Value = serde_json::from_str(line).unwrap();
            if row["window_start"].as_str().unwrap().contains(start) {
                return row;
            }
        }
        assert!(begun.elapsed() < 3 * WINDOW, "no window of {start}: {}", run.text());
    }
}

#[test]
fn a_node_goes_on_with_open_windows_and_says_what_it_missed() {
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let state = folder.path().join("state");
    let mut exporters = Exporters::new(port);
    let first = node(port, &state);
    assert_eq!(first.ask(&["queries", "add", "all", COUNT]).code, Some(0));
    let start = wait_for_window(WINDOW);
    let before = exporters.send(400);
    wait_for(&first, before);
    let ended = first.stop();
    assert!(
        ended.code == Some(0) && ended.stderr.contains("are kept for the next start"),
        "{}",
        ended.stderr
    );
    let missed = exporters.send(300);
    let second = node(port, &state);
    assert!(!state.join("open-windows").exists(), "what was taken up is gone");
    let behind = exporters.send(500);
    wait_for(&second, behind);
    let row = row_of(&second, &start);
    assert_eq!(row["records"], before + behind, "{row}");
    assert_eq!(row["status"], "final", "{row}");
    let (here, all) = ((before + behind) as f64, (before + behind + missed) as f64);
    let completeness = row["completeness"].as_f64().unwrap();
    assert!((completeness - here / all).abs() < 0.02, "{completeness} of {}: {row}", here / all);
}

#[test]
fn what_was_held_is_lost_with_power_and_the_window_says_so() {
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let mut exporters = Exporters::new(port);
    let first = node(port, folder.path());
    assert_eq!(first.ask(&["queries", "add", "all", COUNT]).code, Some(0));
    let start = wait_for_window(WINDOW);
    let before = exporters.send(50);
    wait_for(&first, before);
    first.kill();
    let second = node(port, folder.path());
    let behind = exporters.send(50);
    wait_for(&second, behind);
    let row = row_of(&second, &start);
    assert_eq!((&row["records"], &row["status"]), (&behind.into(), &"partial".into()), "{row}");
}

#[test]
fn a_file_that_cannot_be_taken_up_is_put_aside() {
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let path = folder.path().join("open-windows");
    let mut exporters = Exporters::new(port);
    let first = node(port, folder.path());
    assert_eq!(first.ask(&["queries", "add", "all", COUNT]).code, Some(0));
    wait_for(&first, exporters.send(20));
    assert_eq!(first.stop().code, Some(0));
    let whole = fs::read(&path).unwrap();
    let mut damaged = whole.clone();
    *damaged.last_mut().unwrap() ^= 1;
    let newer = [b"tapline open windows 3\n", &whole[23..]].concat();
    let cut = whole[..whole.len() - 1].to_vec();
    for (octets, part) in [
        (damaged, "it is damaged"),
        (cut, "it is damaged"),
        (newer, "it is none of ours, or of another version"),
    ] {
        fs::write(&path, &octets).unwrap();
        let node = node(port, folder.path());
        node.wait_for(&format!("the open windows of the last run are given up: {}: {part}", path.display()));
        assert!(!path.exists());
        let aside = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
        let aside = aside.filter(|path| path.to_str().unwrap().contains("refused"));
        assert!(aside.map(|path| fs::read(path).unwrap()).any(|found| found == octets), "{part}");
        node.kill();
    }
    // Another text under the name is another query.
    fs::write(&path, &whole).unwrap();
    fs::write(folder.path().join("queries/all.sql"), COUNT.replace("16", "8")).unwrap();
    let node = node(port, folder.path());
    node.wait_for(
        "the open windows of `all` are put aside: it does not run, or is another query than it was",
    );
}
