//! An aggregator and its sensors, and exporters that know what they sent to each.

use super::super::node::{http, json, kept_windows, query};
pub(super) use super::super::sender::now_ns;
use super::super::sender::wait_for_listener;
use harness::node::Node;
use harness::ports::free_port;
use harness::waiting::wait_for;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tapline_trafficgen::exports::{ExportPlan, Fleet, Outbox, Protocol};
use tempfile::TempDir;

pub(super) const SECOND: Duration = Duration::from_secs(1);
/// The windows of all queries here.
pub(super) const WINDOW: Duration = Duration::from_secs(2);
/// Between two datagrams of an exporter.
const PACE: Duration = Duration::from_millis(10);

/// An aggregator on this machine.
pub(super) struct Central {
    node: Option<Node>,
    folder: TempDir,
    port: u16,
}

/// A window as it was given.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub(super) records: u64,
    pub(super) status: String,
    pub(super) completeness: Option<f64>,
}

/// A sensor, and who sends to it.
pub(super) struct Sensor {
    name: String,
    node: Option<Node>,
    state: PathBuf,
    token: PathBuf,
    port: u16,
    fleet: Fleet,
    socket: UdpSocket,
    /// Records that were sent to it while it was there, by windows, by seconds, and when.
    sent: BTreeMap<i64, u64>,
    sent_by_second: BTreeMap<i64, u64>,
    log: Vec<(Instant, u64)>,
}

impl Central {
    pub(super) fn start() -> Self {
        Self::with("")
    }

    /// One that hands on to this one what its sensors send.
    pub(super) fn tier(&self, name: &str) -> Self {
        let (token, port) = (self.path(&format!("{name}.token")), self.port);
        fs::write(&token, self.token_for(name)).unwrap();
        let token = token.display();
        Self::with(&format!(
            "[forward]\nto = \"http://127.0.0.1:{port}\"\nname = \"{name}\"\ntoken_file = \"{token}\"\n"
        ))
    }

    /// One whose file says this besides.
    pub(super) fn with(more: &str) -> Self {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        let mut central = Self { node: None, folder, port };
        let text = format!(
            "[node]\nstate = \"{}\"\npsql = \"127.0.0.1:0\"\n[aggregator]\nlisten = \"127.0.0.1:{port}\"\nidle_after = \"2s\"\nstragglers = \"1s\"\n{more}",
            central.path("central").display()
        );
        fs::write(central.path("aggregator.toml"), text).unwrap();
        central.restart();
        central
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn node(&self) -> &Node {
        self.node.as_ref().unwrap()
    }

    /// Starts it, where it was before.
    pub(super) fn restart(&mut self) {
        let file = self.path("aggregator.toml");
        self.node = Some(Node::start(&["--bare", "--config", file.to_str().unwrap()]));
    }

    /// Ends it as a power cut does.
    pub(super) fn kill(&mut self) {
        self.node.take().unwrap().kill();
    }

    pub(super) fn add(&self, name: &str, sql: &str) {
        let added = self.node().ask(&["queries", "add", name, sql]);
        assert_eq!(added.code, Some(0), "{}", added.stderr);
    }

    /// A sensor of this name that joins by the command that the aggregator prints.
    pub(super) fn sensor(&self, name: &str) -> Sensor {
        self.stranger(name, &self.token_for(name))
    }

    /// The token that a sensor of this name joins with.
    fn token_for(&self, name: &str) -> String {
        let joins = self.node().ask(&["sensors", "join", name]);
        let line = joins.success();
        let (_, rest) = line.split_once("TAPLINE_FORWARD_TOKEN=").unwrap();
        let token = rest.split_whitespace().next().unwrap();
        assert!(
            line.contains(&format!("--forward http://127.0.0.1:{} --forward-name {name} ", self.port)),
            "{line}"
        );
        token.to_owned()
    }

    /// One that comes with this token, whosever it is.
    pub(super) fn stranger(&self, name: &str, token: &str) -> Sensor {
        let place = self.folder.path().read_dir().unwrap().count();
        let file = self.path(&format!("{name}-{place}.token"));
        fs::write(&file, token).unwrap();
        let mut sensor = Sensor::new(name, &self.path(&format!("{name}-{place}")), &file);
        sensor.restart(self);
        sensor
    }

    /// Waits until so many sensors run a query.
    pub(super) fn wait_until_runs(&self, name: &str, sensors: usize) {
        wait_for(&format!("{sensors} sensors run {name}"), || {
            let shown = query(self.node(), name);
            let parts = shown["parts"].as_array().cloned().unwrap_or_default();
            let running = parts.iter().filter(|part| part["state"] == "running").count();
            let connected = json(&self.node().ask(&["sensors", "--format", "json"]));
            let connected =
                connected.as_array().unwrap().iter().filter(|one| one["state"] == "connected").count();
            if running == sensors && connected >= sensors { Ok(()) } else { Err(shown.to_string()) }
        });
    }

    /// What it gives of a query, by the starts of windows.
    pub(super) fn given(&self, name: &str) -> BTreeMap<i64, Given> {
        let mut given = BTreeMap::new();
        for window in kept_windows(self.node(), name) {
            let records = rows(&window).iter().map(|row| row["records"].as_u64().unwrap()).sum();
            let (status, completeness) = (text(&window["status"]), window["completeness"].as_f64());
            given.insert(start_of(&window), Given { records, status, completeness });
        }
        given
    }

    /// What it has stored of a query of one row a window, and what it has in memory besides: the most records of each window,
    /// and in how many rows that say to be all of it.
    pub(super) fn stored(&self, name: &str) -> BTreeMap<i64, (u64, u64)> {
        let sql = format!(
            "SELECT window_start, max(records) AS records, count(*) FILTER (WHERE status = 'final') AS finals \
             FROM \"{name}\" GROUP BY window_start"
        );
        let (status, answer) =
            http(self.node(), "POST", "/api/v1/sql", &serde_json::json!({ "sql": sql }).to_string());
        assert_eq!(status, 200, "{answer}");
        let answer: Value = serde_json::from_str(&answer).unwrap();
        let number = |row: &Value, column: &str| row[column].as_u64().unwrap();
        let stored =
            rows(&answer).iter().map(|row| (start_of(row), (number(row, "records"), number(row, "finals"))));
        stored.collect()
    }

    /// The octets of all windows that it gives of a query, by sensor.
    pub(super) fn octets_by_sensor(&self, name: &str) -> BTreeMap<String, u64> {
        let mut octets = BTreeMap::new();
        for row in kept_windows(self.node(), name).iter().flat_map(|window| rows(window).clone()) {
            *octets.entry(text(&row["sensor"])).or_default() += row["octets"].as_u64().unwrap();
        }
        octets
    }
}

impl Sensor {
    fn new(name: &str, state: &Path, token: &Path) -> Self {
        let plan = ExportPlan::new(Protocol::NetflowV5, 7);
        Self {
            name: name.to_owned(),
            node: None,
            state: state.to_owned(),
            token: token.to_owned(),
            port: free_port(),
            fleet: Fleet::new(&plan, 0..1).unwrap(),
            socket: UdpSocket::bind("127.0.0.1:0").unwrap(),
            sent: BTreeMap::new(),
            sent_by_second: BTreeMap::new(),
            log: vec![],
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn node(&self) -> &Node {
        self.node.as_ref().unwrap()
    }

    pub(super) fn token(&self) -> String {
        fs::read_to_string(&self.token).unwrap()
    }

    /// Starts it, with the state that it had.
    pub(super) fn restart(&mut self, central: &Central) {
        let (listen, to) =
            (format!("udp://127.0.0.1:{}", self.port), format!("http://127.0.0.1:{}", central.port));
        let (state, token) = (self.state.to_str().unwrap(), self.token.to_str().unwrap());
        self.node = Some(Node::start(&[
            "--bare",
            "--listen",
            &listen,
            "--event-time",
            "export",
            "--allowed-lateness-ms",
            "200",
            "--state",
            state,
            "--forward",
            &to,
            "--forward-name",
            &self.name,
            "--forward-token-file",
            token,
        ]));
        wait_for_listener(self.port);
    }

    /// Ends it as a power cut does.
    pub(super) fn kill(&mut self) {
        self.node.take().unwrap().kill();
    }

    /// Ends it as systemd does.
    pub(super) fn stop(&mut self) {
        let ended = self.node.take().unwrap().stop();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    }

    /// Records that were sent to it, by windows.
    pub(super) const fn sent(&self) -> &BTreeMap<i64, u64> {
        &self.sent
    }

    /// The same by seconds.
    pub(super) const fn sent_by_second(&self) -> &BTreeMap<i64, u64> {
        &self.sent_by_second
    }

    /// Octets that its records tell of.
    pub(super) fn octets(&self) -> u64 {
        self.fleet.truth().pairs.values().map(|pair| pair.octets).sum()
    }

    /// The most records that were sent to it in a span of this length.
    pub(super) fn sent_in(&self, span: Duration) -> u64 {
        let within = |from: Instant| self.log.iter().filter(move |(at, _)| (from..from + span).contains(at));
        let sums = self.log.iter().map(|(from, _)| within(*from).map(|(_, records)| records).sum());
        sums.max().unwrap_or_default()
    }

    /// Sends one datagram.
    fn send(&mut self) {
        let (mut outbox, now) = (Outbox::default(), now_ns());
        let records = self.fleet.emit(0, now, &mut outbox);
        let target = SocketAddr::from(([127, 0, 0, 1], self.port));
        outbox.datagrams().for_each(|datagram| {
            self.socket.send_to(datagram, target).unwrap();
        });
        *self.sent.entry(window_of(now)).or_default() += records;
        *self.sent_by_second.entry((now - now % SECOND.as_nanos() as u64) as i64).or_default() += records;
        self.log.push((Instant::now(), records));
    }
}

/// Sends to all of these for so long.
pub(super) fn send(sensors: &mut [&mut Sensor], time: Duration) {
    send_each(sensors, time, PACE);
}

/// Sends to each of these a datagram each time that so long has passed.
pub(super) fn send_each(sensors: &mut [&mut Sensor], time: Duration, pace: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < time {
        sensors.iter_mut().for_each(|sensor| sensor.send());
        sleep(pace);
    }
}

/// Records that were sent to all of these, by windows.
pub(super) fn sums(sensors: &[Sensor]) -> BTreeMap<i64, u64> {
    let mut sums = BTreeMap::new();
    for (start, records) in sensors.iter().flat_map(|sensor| &sensor.sent) {
        *sums.entry(*start).or_default() += records;
    }
    sums
}

/// The start of the window that an instant is in.
pub(super) fn window_of(ns: u64) -> i64 {
    let width = WINDOW.as_nanos() as u64;
    (ns / width * width) as i64
}

pub(super) fn rows(window: &Value) -> &Vec<Value> {
    window["rows"].as_array().unwrap()
}

pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The start of a window, in nanoseconds since the epoch.
pub(super) fn start_of(window: &Value) -> i64 {
    // Windows begin at whole seconds of a day that is known: 2026-11-29T16:00:02Z.
    let text = text(&window["window_start"]);
    let number = |range: std::ops::Range<usize>| text[range].parse::<i64>().unwrap();
    let days = days_since_epoch(number(0..4), number(5..7), number(8..10));
    let seconds = number(11..13) * 3600 + number(14..16) * 60 + number(17..19);
    (days * 86_400 + seconds) * 1_000_000_000
}

/// Days of the Gregorian calendar since 1970 (Howard Hinnant's days_from_civil).
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year - era * 400;
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}
