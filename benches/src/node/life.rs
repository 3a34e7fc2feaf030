//! A node from its start to its end, and whoever watches it.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tapline_programs::cable::FAR;
use tapline_programs::usage::{self, Running};

use super::{Setting, ask};

/// Where the node listens.
pub(super) const LISTENS: &str = "127.0.0.1:2055";

/// The queries whose windows are compared; others come and go.
const QUERIES: [(&str, &str); 2] = [
    (
        "exports",
        "SELECT count(*) AS records FROM flows WHERE source = 'udp://127.0.0.1:2055' GROUP BY tumble('10 seconds')",
    ),
    ("frames", "SELECT count(*) AS records FROM packets GROUP BY tumble('10 seconds')"),
];
/// What comes and goes.
const GUEST: &str = "SELECT src_ip, dst_port, count(*) AS n, sum(octets) AS octets FROM flows GROUP BY src_ip, dst_port, tumble('5 seconds') ORDER BY n DESC LIMIT 10";

const BETWEEN_LOOKS: Duration = Duration::from_millis(500);
/// Memory is as it will be after so long, and changes no more than by this part.
const SETTLED: Duration = Duration::from_secs(60);
const GROWTH_MAX: f64 = 0.05;

/// A node, while it lives and afterwards.
pub(super) struct Life {
    node: Option<Running>,
    watchers: Vec<(&'static str, Running)>,
    started: Instant,
    /// How long after its start, and what it had in memory then.
    memory: Vec<(Duration, u64)>,
    /// Queries that came and went.
    pub(super) changes: u64,
    /// The longest that one of these took.
    pub(super) slowest: Duration,
    /// Until it answered for the first time.
    pub(super) answered: Duration,
    /// How it ended.
    pub(super) end: &'static str,
    /// What its queries gave: name and line.
    pub(super) rows: Vec<(&'static str, String)>,
}

impl Life {
    /// Starts it; the first one has its queries added.
    pub(super) fn start(setting: &Setting, is_first: bool) -> Result<Self> {
        let mut command = setting.cable.far(&setting.tapline);
        command.args(["run", "--bare", "--interface", FAR, "--listen", &format!("udp://{LISTENS}")]);
        command.args(["--event-time", "receive", "--allowed-lateness-ms", "2000", "--state"]);
        let started = Instant::now();
        let node = usage::start(command.arg(&setting.state))?;
        node.wait_until_it_answers(|| ask(setting, &["status"]))?;
        let answered = started.elapsed();
        let mut watchers = vec![];
        for (name, sql) in QUERIES {
            if is_first {
                ask(setting, &["queries", "add", name, sql])?;
            }
            let mut watcher = setting.cable.far(&setting.tapline);
            watcher.args(["queries", "watch", name, "--format", "json"]);
            watchers.push((name, usage::start(&mut watcher)?));
        }
        let (memory, rows) = (vec![], vec![]);
        let (node, changes, slowest, end) = (Some(node), 0, Duration::ZERO, "");
        Ok(Self { node, watchers, started, memory, changes, slowest, answered, end, rows })
    }

    /// Lets queries come and go until then, and looks at its memory.
    pub(super) fn live_until(&mut self, setting: &Setting, then: Instant) -> Result<()> {
        while Instant::now() < then {
            let begun = Instant::now();
            ask(setting, &["queries", "add", "guest", GUEST])?;
            ask(setting, &["queries", "drop", "guest"])?;
            self.slowest = self.slowest.max(begun.elapsed() / 2);
            self.changes += 2;
            if let Some(node) = &self.node {
                ensure!(!node.has_ended(), "the node has ended");
                self.memory.push((self.started.elapsed(), node.resident_octets()));
            }
            sleep(BETWEEN_LOOKS.min(then.saturating_duration_since(Instant::now())));
        }
        Ok(())
    }

    pub(super) fn signal(&self, name: &str) -> Result<()> {
        self.node.as_ref().map_or(Ok(()), |node| node.signal(name))
    }

    /// Ends it by this signal, and takes what was seen of it.
    pub(super) fn end(mut self, signal: &'static str) -> Result<Self> {
        self.signal(signal)?;
        self.end = signal;
        if let Some(node) = self.node.take() {
            let measured = node.finish()?;
            let is_well = measured.output.status.success() || signal == "KILL";
            ensure!(is_well, "the node ended badly: {}", measured.said());
        }
        for (name, watcher) in self.watchers.drain(..) {
            let output = watcher.finish()?.output;
            let lines = String::from_utf8_lossy(&output.stdout);
            self.rows.extend(lines.lines().map(|line| (name, line.to_owned())));
        }
        Ok(self)
    }

    /// What it had in memory once that was as it would be, and the most and the least afterwards.
    pub(super) fn memory(&self) -> Option<[u64; 3]> {
        let mut settled = self.memory.iter().filter(|(time, _)| *time >= SETTLED).map(|(_, octets)| *octets);
        let first = settled.next()?;
        let (least, most) =
            settled.fold((first, first), |(least, most), now| (least.min(now), most.max(now)));
        Some([first, least, most])
    }

    /// Whether its memory stayed as it was.
    pub(super) fn check(&self) -> Result<()> {
        if let Some([first, _, most]) = self.memory() {
            let growth = most as f64 / first as f64 - 1.0;
            ensure!(growth <= GROWTH_MAX, "memory grew by {:.1} % after the first minute", growth * 100.0);
        }
        Ok(())
    }
}
