//! Exporters whose times are of no use hold up nobody, and what becomes of their rows is told while it runs.

use super::account::{AS_JSON, summary};
use super::sender::{now_ns, wait_for_listener};
use harness::Finished;
use harness::csv::{Csv, read_csv};
use harness::ports::free_port;
use harness::run::tapline_during;
use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{scope, sleep};
use std::time::Duration;
use tapline_trafficgen::exports::{ExportPlan, Faults, Fleet, Outbox, Protocol};

/// Generated flows end up to five seconds before they are sent; whole seconds of a header add one, a clock that stands
/// still two.
const LATENESS_MS: u64 = 9_000;
const SECOND_NS: u64 = 1_000_000_000;

const ROWS: &str = "SELECT observation_domain, count(*) AS records FROM flows GROUP BY observation_domain, tumble('1 second')";
const LEDGER: &str = "SELECT observation_domain, sum(late_rows) AS late, sum(moved_rows) AS moved, \
     sum(clock_behind_ms) AS behind FROM ledger GROUP BY observation_domain, tumble('1 second')";

/// Exporters, of which one in ten claims nonsense, each of which sends a datagram a round.
struct Crowd {
    plan: ExportPlan,
    exporters: u32,
    rounds: u32,
    pause: Duration,
}

/// What a crowd sent, by its plan, and what came of it.
struct Watched {
    run: Finished,
    /// Records of each exporter.
    sent: BTreeMap<u32, u64>,
    /// The ends of windows, with when their first row was there.
    closed: BTreeMap<u64, u64>,
    /// Rows, and the ledger.
    results: [Csv; 2],
}

impl Crowd {
    fn new(protocol: Protocol) -> Self {
        let faults = Faults { nonsense_percent: 10, ..Faults::default() };
        let plan = ExportPlan { faults, ..ExportPlan::new(protocol, 9) };
        Self { plan, exporters: 1000, rounds: 14, pause: Duration::from_secs(1) }
    }

    /// Whether the exporter of this domain claims nonsense.
    fn claims_nonsense(&self, domain: u32) -> bool {
        self.plan.faults.nonsense_of(domain - 1).is_some()
    }

    /// Sends everything; gives the records of each domain.
    fn send(&self, port: u16) -> BTreeMap<u32, u64> {
        let mut fleet = Fleet::new(&self.plan, 0..self.exporters).unwrap();
        let sockets: Vec<_> = (0..self.exporters).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        let (mut outbox, mut sent) = (Outbox::default(), BTreeMap::new());
        for _ in 0..self.rounds {
            for (exporter, socket) in sockets.iter().enumerate() {
                // The first one of each is its template's.
                while fleet.emit(exporter, now_ns(), &mut outbox) == 0 {}
                *sent.entry(exporter as u32 + 1).or_default() += fleet.datagram_records();
                outbox.datagrams().for_each(|datagram| {
                    socket.send_to(datagram, ("127.0.0.1", port)).unwrap();
                });
                outbox.clear();
            }
            sleep(self.pause);
        }
        sent
    }

    /// Asks for rows and the ledger while it is sent, with further arguments, and looks when windows of rows close.
    fn watch(&self, further: &[&str]) -> Watched {
        let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
        let (url, lateness) = (format!("udp://127.0.0.1:{port}"), LATENESS_MS.to_string());
        let output = folder.path().to_str().unwrap();
        let arguments = ["query", "--listen", &url, "--format", "csv", "--output", output];
        let arguments =
            [&arguments[..], &["--allowed-lateness-ms", &lateness, ROWS, LEDGER], &AS_JSON, further].concat();
        let file = |number: usize| folder.path().join(format!("query_{number}.csv"));
        let (mut sent, mut closed) = (BTreeMap::new(), BTreeMap::new());
        let run = tapline_during(&arguments, || {
            wait_for_listener(port);
            let has_ended = AtomicBool::new(false);
            scope(|threads| {
                let watcher = threads.spawn(|| closings(&file(1), &has_ended));
                sent = self.send(port);
                sleep(Duration::from_millis(LATENESS_MS + 2_000));
                has_ended.store(true, Ordering::Relaxed);
                closed = watcher.join().unwrap();
            });
        });
        let results = [1, 2].map(|number| read_csv(&std::fs::read_to_string(file(number)).unwrap()));
        Watched { run, sent, closed, results }
    }
}

/// When each final window of a second was there, by its end, as long as nobody says that it is over.
fn closings(file: &Path, has_ended: &AtomicBool) -> BTreeMap<u64, u64> {
    let (mut closed, mut read) = (BTreeMap::new(), 0);
    while !has_ended.load(Ordering::Relaxed) {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let whole = text.rfind('\n').map_or(read, |last| last + 1);
        let ends = text[read..whole].lines().filter(|line| line.ends_with(",final"));
        let mut ends: Vec<_> = ends.map(|line| line.split(',').nth(1).unwrap()).collect();
        ends.dedup();
        for end in ends {
            closed.entry(nanoseconds(end)).or_insert_with(now_ns);
        }
        read = whole;
        sleep(Duration::from_millis(20));
    }
    closed
}

/// Nanoseconds since 1970 of a time of the last day, such as `2026-11-21T16:02:10Z`.
fn nanoseconds(text: &str) -> u64 {
    const DAY_S: u64 = 86_400;
    let clock = text[11..19].split(':').fold(0, |sum, part| 60 * sum + part.parse::<u64>().unwrap());
    let now = now_ns() / SECOND_NS;
    (now - (now % DAY_S + DAY_S - clock) % DAY_S) * SECOND_NS
}

impl Watched {
    /// Late rows of all exporters, by the account at the end.
    fn late(&self) -> u64 {
        let summary = summary(&self.run);
        let exporters = summary["exporters"].as_array().unwrap();
        exporters.iter().map(|exporter| exporter["late_rows"].as_u64().unwrap()).sum()
    }

    /// The sum of a column over all rows of a query, by domain.
    fn sums(&self, query: usize, name: &str) -> BTreeMap<u32, i64> {
        let csv = &self.results[query];
        let position = |name: &str| csv.header.iter().position(|column| column == name).unwrap();
        let (domain, value) = (position("observation_domain"), position(name));
        let mut sums = BTreeMap::new();
        for row in csv.rows.iter().filter(|row| !row[domain].is_empty()) {
            *sums.entry(row[domain].parse().unwrap()).or_default() += row[value].parse::<i64>().unwrap();
        }
        sums
    }
}

#[test]
fn times_of_no_use_hold_up_nobody() {
    for protocol in [Protocol::NetflowV9, Protocol::Ipfix] {
        let crowd = Crowd::new(protocol);
        let watched = crowd.watch(&[]);
        let stderr = &watched.run.stderr;
        // Windows close the lateness after their end, and a second at most is for reading, working and writing.
        assert!(watched.closed.len() as u64 >= u64::from(crowd.rounds), "{protocol}: {stderr}");
        let delays = watched.closed.iter().map(|(end, closed)| closed.saturating_sub(*end) / 1_000_000);
        let slowest = delays.max().unwrap();
        assert!((LATENESS_MS..LATENESS_MS + 1000).contains(&slowest), "{protocol}: {slowest} ms, {stderr}");
        // Every record is used, or late; only those are late that claim to be old.
        let (used, late) = (watched.sums(0, "records"), watched.sums(1, "late"));
        for (domain, sent) in &watched.sent {
            let [used, late] = [&used, &late].map(|sums| sums.get(domain).copied().unwrap_or(0));
            assert_eq!(used + late, *sent as i64, "{protocol}: domain {domain}: {used} used, {late} late");
            assert!(late == 0 || crowd.claims_nonsense(*domain), "{protocol}: domain {domain}: {late} late");
        }
        let late: i64 = late.values().sum();
        let rounds = i64::from(crowd.rounds);
        assert!(late > 0 && late as u64 == watched.late(), "{protocol}: {late}; {stderr}");
        let moved: i64 = watched.sums(1, "moved").values().sum();
        assert!(moved > 4 * late && moved > 50 * rounds, "{protocol}: {moved}");
        // The fourth of those that claim nonsense is 500 s behind: exporter 39, of domain 40.
        let behind_ms = watched.sums(1, "behind")[&40];
        assert!((499_000..502_000).contains(&behind_ms), "{protocol}: {behind_ms}");
        // The account is the last line; what stands before it was said while the run went on.
        let said = "warning: times of 127.0.0.1 port ";
        let warnings: Vec<_> = stderr.lines().filter(|line| line.starts_with(said)).collect();
        assert!(
            warnings.iter().any(|line| line.contains(" domain 40, ") && line.contains(" s behind ours")),
            "{stderr}"
        );
        assert_eq!(warnings.len(), 16, "further ones are not named: {stderr}");
        let csv = &watched.results[0];
        let mut completeness: Vec<f64> =
            csv.rows.iter().map(|row| row[row.len() - 2].parse().unwrap()).collect();
        completeness.sort_by(f64::total_cmp);
        let median = completeness[completeness.len() / 2];
        assert!((0.9..1.0).contains(&median), "{protocol}: {median}: only what is late is missing");
    }
}

#[test]
fn an_event_time_without_the_flows_own_lets_all_of_them_in() {
    for event_time in ["export", "receive"] {
        let mut crowd = Crowd::new(Protocol::NetflowV5);
        (crowd.exporters, crowd.rounds, crowd.plan.faults.nonsense_percent) = (60, 3, 100);
        let watched = crowd.watch(&["--event-time", event_time]);
        let csv = &watched.results[0];
        let used: u64 = csv.rows.iter().map(|row| row[3].parse::<u64>().unwrap()).sum();
        assert_eq!(used, watched.sent.values().sum::<u64>(), "{event_time}: {}", watched.run.stderr);
        assert_eq!(watched.late(), 0, "{event_time}: {}", watched.run.stderr);
    }
}
