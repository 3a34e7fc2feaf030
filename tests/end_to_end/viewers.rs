//! Many who watch a node, and some who do not read: all get the newest windows, and nobody holds more than his part.

use super::node::{http, node};
use super::preview::while_records_come;
use super::sender::now_ns;
use harness::node::Node;
use harness::ports::free_port;
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

const BY_SECOND: &str =
    "SELECT count(*) AS records, sum(octets) AS octets FROM flows GROUP BY tumble('1 second')";
/// A window of so many rows that a few of them fill what a connection has room for.
const BY_FLOW: &str = "SELECT src_ip, dst_ip, src_port, dst_port, count(*) AS records, sum(octets) AS octets \
    FROM flows GROUP BY src_ip, dst_ip, src_port, dst_port, tumble('1 second')";
/// As many may watch at once.
const WATCHERS_MAX: usize = 768;
/// Files that this process needs for them.
const DESCRIPTORS: usize = 4096;
const WITHIN: Duration = Duration::from_secs(60);
/// What is younger is of now, also on a machine that has much to do; who does not read stops for longer.
const NEW_S: f64 = 10.0;
const STOPS_FOR: Duration = Duration::from_secs(20);

/// One who watches a query, event by event.
struct Viewer(BufReader<TcpStream>);

impl Viewer {
    fn ask(node: &Node, query: &str) -> Self {
        let host = node.url().trim_start_matches("http://");
        let mut stream = TcpStream::connect(host).unwrap();
        stream.set_read_timeout(Some(WITHIN)).unwrap();
        write!(stream, "GET /api/v1/queries/{query}/stream?kept=0 HTTP/1.1\r\nhost: {host}\r\n\r\n").unwrap();
        Self(BufReader::new(stream))
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.0.read_line(&mut line).unwrap() > 0, "the node has closed a connection");
        line
    }

    /// The status of the answer; its head is read.
    fn status(&mut self) -> String {
        let status = self.line();
        while self.line() != "\r\n" {}
        status.split(' ').nth(1).unwrap().to_owned()
    }

    /// The next event and its data.
    fn next(&mut self) -> (String, Value) {
        let mut event = String::new();
        loop {
            let line = self.line();
            if let Some(name) = line.strip_prefix("event: ") {
                event = name.trim().to_owned();
            }
            if let Some(data) = line.strip_prefix("data: ") {
                return (event, serde_json::from_str(data.trim()).unwrap());
            }
        }
    }
}

/// Lets this process have as many connections as it takes.
pub(super) fn take_descriptors() {
    let pid = std::process::id().to_string();
    let limit = format!("--nofile={DESCRIPTORS}:");
    let taken = Command::new("prlimit").args(["--pid", &pid, &limit]).status().unwrap();
    assert!(taken.success(), "this process may not have {DESCRIPTORS} files");
}

/// Seconds since a time of results, as of now.
fn age(time: &str) -> f64 {
    let parts: Vec<f64> = time[11..time.len() - 1].split(':').map(|part| part.parse().unwrap()).collect();
    let of_day = parts.iter().fold(0.0, |seconds, part| seconds * 60.0 + part);
    (now_ns() as f64 / 1e9 - of_day).rem_euclid(86_400.0)
}

#[test]
fn as_many_as_may_watch_get_each_window_and_others_are_told() {
    take_descriptors();
    let port = free_port();
    let node = node(port, &["--bare"]);
    assert_eq!(node.ask(&["queries", "add", "all", BY_SECOND]).code, Some(0));
    let mut viewers: Vec<Viewer> = (0..WATCHERS_MAX).map(|_| Viewer::ask(&node, "all")).collect();
    viewers.iter_mut().for_each(|viewer| assert_eq!(viewer.status(), "200"));
    let (status, problem) = http(&node, "GET", "/api/v1/queries/all/stream", "");
    let problem: Value = serde_json::from_str(&problem).unwrap();
    assert_eq!((status, &problem["status"]), (503, &503.into()));
    let expected = "768 watch already, and no more may; ask for results instead";
    assert_eq!(problem["detail"], expected);
    assert_eq!(http(&node, "GET", "/api/v1/status", "").0, 200, "others are answered");
    while_records_come(port, || {
        let windows: Vec<Vec<Value>> = viewers
            .iter_mut()
            .map(|viewer| {
                let events = [viewer.next(), viewer.next()];
                events.map(|(event, window)| (event == "window").then_some(window).unwrap()).to_vec()
            })
            .collect();
        assert!(windows.iter().all(|seen| *seen == windows[0]), "they differ");
        let [first, second] = [0, 1].map(|number| windows[0][number]["window_end"].as_str().unwrap());
        assert!(first < second, "{first} {second}");
    });
    drop(viewers.pop());
    let started = Instant::now();
    while Viewer::ask(&node, "all").status() != "200" {
        assert!(started.elapsed() < WITHIN, "there is no room again");
    }
    drop(viewers);
    assert_eq!(node.stop().code, Some(0));
}

#[test]
fn who_does_not_read_gets_the_newest_window_when_he_does() {
    let port = free_port();
    let node = node(port, &["--bare"]);
    assert_eq!(node.ask(&["queries", "add", "flows", BY_FLOW]).code, Some(0));
    while_records_come(port, || {
        let begun = Instant::now();
        let mut quick = Viewer::ask(&node, "flows");
        let mut slow: Vec<Viewer> = (0..20).map(|_| Viewer::ask(&node, "flows")).collect();
        slow.iter_mut().for_each(|viewer| assert_eq!(viewer.status(), "200"));
        let octets = quick.next().1.to_string().len();
        let before = node.resident_octets();
        let started = Instant::now();
        while started.elapsed() < STOPS_FOR {
            let (event, window) = quick.next();
            assert_eq!(event, "window", "who reads loses nothing");
            assert!(age(window["window_end"].as_str().unwrap()) < NEW_S, "{}", window["window_end"]);
        }
        let held = node.resident_octets().saturating_sub(before);
        assert!(held < (48 << 20), "{held} octets for 20 who do not read, of windows of {octets}");
        for viewer in &mut slow {
            let (lost, newest) = until_newest(viewer);
            // A window ends each second, and some may have come late.
            let given = begun.elapsed().as_secs() + 5;
            assert!(lost <= given, "{lost} of {given}");
            assert!(age(newest["window_end"].as_str().unwrap()) < NEW_S, "{}", newest["window_end"]);
        }
    });
    assert_eq!(node.stop().code, Some(0));
}

/// Reads what is on its way, up to the first window behind those that were lost; gives how many these are.
fn until_newest(viewer: &mut Viewer) -> (u64, Value) {
    let (mut lost, started) = (0, Instant::now());
    loop {
        assert!(started.elapsed() < WITHIN, "who stopped has lost nothing, or hears nothing of it");
        match viewer.next() {
            (event, told) if event == "lost" => lost += told["results"].as_u64().unwrap(),
            (_, window) if lost > 0 => return (lost, window),
            _ => {}
        }
    }
}
