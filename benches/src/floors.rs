//! What each measurement must reach, all in one place.
//!
//! Takes the name of a measurement and what was found, says whether that is enough, and keeps in mind what is not, for
//! `--check`. All are ratios of what ran in turn in one run, so that they hold on any machine. Every measurement has its
//! name here, also one that is for orientation; one that has none fails.

use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

/// Which side of a number is enough.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
    /// Both are: it is measured for orientation.
    Either,
}

use Bound::{AtLeast, AtMost, Either};

/// By the command and what it measures: how many times what tapline takes, another program takes, unless said
/// otherwise.
const FLOORS: [(&str, Bound); 76] = [
    ("offline: softflowd, table for all flows", AtLeast(10.0)),
    ("offline: softflowd, default table", AtLeast(10.0)),
    ("offline: pmacctd", AtLeast(10.0)),
    ("offline: nfpcapd", AtLeast(9.0)),
    ("offline: tshark -z conv,udp", AtLeast(100.0)),
    ("offline: tcpdump -w /dev/null", AtLeast(2.0)),
    // What many queries at once take, as a multiple of one.
    ("queries: 5", Either),
    ("queries: 10", Either),
    ("queries: 20", AtMost(2.5)),
    ("queries: 100", AtMost(6.0)),
    ("queries: 1000", AtMost(40.0)),
    ("exports: nfdump", AtLeast(5.0)),
    ("ingress: NetFlow v5, nfcapd", AtLeast(1.5)),
    ("ingress: NetFlow v9, nfcapd", AtLeast(3.0)),
    ("ingress: IPFIX, nfcapd", AtLeast(3.0)),
    ("ingress: NetFlow v5, nfacctd", Either),
    ("ingress: NetFlow v9, nfacctd", AtLeast(8.0)),
    ("ingress: IPFIX, nfacctd", AtLeast(8.0)),
    // Records that tapline lost.
    ("ingress: lost", AtMost(0.0)),
    // What SQL over AF_XDP counts, as a part of what reading alone does.
    ("live: SQL over AF_XDP", AtLeast(0.9)),
    // Flows by the kernel's table: frames that are sent, and CPU time, as multiples of those of a query that counts by it;
    // and what softflowd takes for a packet.
    ("live: flows, sender", AtLeast(0.95)),
    ("live: flows, CPU", AtMost(1.3)),
    ("live: flows, softflowd", AtLeast(8.0)),
    // Packets of a few flows that are read while the kernel leaves out the others: what part of them is counted, but for the
    // last round of flows, and CPU time, as a multiple of that of a query that counts all packets.
    ("live: a few flows by AF_XDP, counted", AtLeast(0.999)),
    ("live: a few flows by AF_XDP, CPU", AtMost(1.0)),
    // What a record takes with requests to the node, as a multiple of what it takes without.
    ("api: CPU of a record", AtMost(1.02)),
    // Records that were lost while requests came.
    ("api: lost", AtMost(0.0)),
    // The same after a thousand queries have come and gone, and what was lost meanwhile.
    ("churn: CPU of a record afterwards", AtMost(1.01)),
    ("churn: lost", AtMost(0.0)),
    // What a record takes while five hundred watch, as a multiple of what it takes while nobody does; milliseconds from
    // the end of a window, and the lateness that is allowed, until it is seen; and what anybody lost.
    ("viewers: CPU of a record", AtMost(1.02)),
    ("viewers: ms to a page, 99 %", AtMost(200.0)),
    ("viewers: ms to psql, 99 %", AtMost(200.0)),
    ("viewers: lost", AtMost(0.0)),
    // Rows in a second, as a multiple of 200,000, or of most of what the disk or the server takes by itself.
    ("sinks: files, JSON", AtLeast(1.0)),
    ("sinks: files, CSV", AtLeast(1.0)),
    ("sinks: files, Parquet", AtLeast(1.0)),
    ("sinks: PostgreSQL", AtLeast(1.0)),
    ("sinks: ClickHouse", AtLeast(1.0)),
    ("sinks: Kafka", AtLeast(1.0)),
    // Records that are in no window, of three sensors at BackStreamDB's rate, and at twenty times that.
    ("sensors: records missing, 3 × 30000", AtMost(0.0)),
    ("sensors: records missing, 3 × 600000", AtMost(0.0)),
    // Those that nfdump has, that the aggregator has not, and that it does not tell to be missing.
    ("sensors: records that differ from nfdump", AtMost(0.0)),
    ("sensors: windows that differ on a bad link", AtMost(0.0)),
    ("sensors: seconds until a minute is caught up", Either),
    // Of the aggregator: seconds of CPU time a second, megabytes; seconds until the last result of a window is there.
    ("sensors: CPU of a hundred", AtMost(0.5)),
    ("sensors: MB of a hundred", AtMost(500.0)),
    ("sensors: seconds behind a window", AtMost(2.0)),
    ("sensors: windows that differ, of a hundred", AtMost(0.0)),
    // Octets of exports, as a multiple of those on the link.
    ("sensors: octets, traffic matrix", AtLeast(50.0)),
    ("sensors: octets, port sweep", AtLeast(50.0)),
    ("sensors: octets, protocols", AtLeast(50.0)),
    ("sensors: octets, top talkers", AtLeast(50.0)),
    ("sensors: octets, five-tuple", AtLeast(10.0)),
    // What a record takes of a sensor, as a multiple of what it takes of a node that is asked the same by itself.
    ("sensors: CPU of a record", AtMost(1.03)),
    // An hour without a link: how many times as fast it is caught up.
    ("sensors: times real time, of an hour", AtLeast(20.0)),
    ("sensors: windows that differ, of an hour", AtMost(0.0)),
    ("decode: NetFlow v5, netflow_parser", AtLeast(2.0)),
    ("decode: NetFlow v9, netflow_parser", AtLeast(20.0)),
    ("decode: IPFIX, netflow_parser", AtLeast(20.0)),
    ("lower: two integer keys, 1k groups", AtLeast(2.0)),
    ("lower: five-tuple, 100k groups", AtLeast(3.5)),
    ("lower: protocol, 3 groups", AtLeast(1.0)),
    // Nanoseconds a row.
    ("lookup: any address", AtMost(30.0)),
    ("lookup: the addresses of flows", AtMost(30.0)),
    ("lookup: any address, hash table", AtLeast(2.0)),
    ("lookup: any address, maxminddb", AtLeast(2.0)),
    // Octets, with those of sums.
    ("history: octets a row, five_tuple", AtMost(15.0)),
    ("history: octets a row, matrix", AtMost(15.0)),
    // Seconds, of a day at 100,000 rows a minute.
    ("history: top talkers of the day", AtMost(1.0)),
    ("history: octets by hour", AtMost(1.0)),
    ("history: rows by protocol", AtMost(1.0)),
    ("history: an address over the day", AtMost(1.0)),
    ("history: top services of two hours", AtMost(1.0)),
    ("history: an hour's matrix", AtMost(1.0)),
    ("history: top pairs of the day", AtMost(1.0)),
    ("history: who talked to an address", Either),
];

/// The measurements that missed their floors.
static MISSED: Mutex<Vec<String>> = Mutex::new(vec![]);

/// Whether what was found is enough, for a table; empty where nothing is asked. A name that is not known misses.
pub fn verdict(name: &str, found: f64) -> String {
    let Some(bound) = bound_of(name) else {
        miss(format!("{name}: {found:.2}, and no measurement of this name is known"));
        return "UNKNOWN".to_owned();
    };
    let is_enough = match bound {
        AtLeast(floor) => found >= floor,
        AtMost(ceiling) => found <= ceiling,
        Either => return String::new(),
    };
    if !is_enough {
        miss(format!("{name}: {found:.2}, {}", text(bound)));
    }
    format!("{} {}", text(bound), if is_enough { "reached" } else { "MISSED" })
}

/// What is asked, for a sentence; empty where nothing is.
#[must_use]
pub fn asked(name: &str) -> String {
    bound_of(name).map(text).unwrap_or_default()
}

/// The names of what a command measures, in the order of this list.
pub fn names_of(command: &str) -> impl Iterator<Item = &'static str> {
    FLOORS.iter().filter_map(move |(name, _)| name.strip_prefix(command)?.strip_prefix(": "))
}

fn bound_of(name: &str) -> Option<Bound> {
    FLOORS.iter().find(|(known, _)| *known == name).map(|(_, bound)| *bound)
}

fn miss(what: String) {
    MISSED.lock().unwrap_or_else(PoisonError::into_inner).push(what);
}

fn text(bound: Bound) -> String {
    match bound {
        AtLeast(floor) => format!("≥ {floor}"),
        AtMost(ceiling) => format!("≤ {ceiling}"),
        Either => String::new(),
    }
}

/// The measurements so far that missed their floors.
#[must_use]
pub fn missed() -> Vec<String> {
    MISSED.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// How a benchmark in memory ends: it fails if `--check` is on its command line and something missed its floor.
#[must_use]
pub fn exit_code() -> ExitCode {
    let is_checked = std::env::args().any(|argument| argument == "--check");
    if is_checked && !missed().is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_trafficgen::exports::Protocol;

    #[test]
    fn what_is_not_enough_is_kept_in_mind() {
        assert_eq!(verdict("offline: pmacctd", 10.0), "≥ 10 reached");
        assert_eq!(verdict("queries: 20", 2.6), "≤ 2.5 MISSED");
        assert_eq!(verdict("queries: 10", 99.0), "");
        assert_eq!(verdict("offline: something new", 3.0), "UNKNOWN");
        assert_eq!(asked("queries: 20"), "≤ 2.5");
        let unknown = "offline: something new: 3.00, and no measurement of this name is known";
        assert_eq!(missed(), ["queries: 20: 2.60, ≤ 2.5", unknown]);
    }

    #[test]
    fn each_command_that_measures_is_compared_with_the_list() {
        // The others are, where their names are: in `peers`, `queries`, `exports`, `ingress`, `live`, `api`, `sinks` and `sensors`.
        let commands = [
            "offline", "queries", "exports", "ingress", "live", "api", "churn", "viewers", "sinks",
            "sensors", "decode", "lower", "lookup", "history",
        ];
        let known: usize = commands.iter().map(|command| names_of(command).count()).sum();
        assert_eq!(known, FLOORS.len());
    }

    #[test]
    fn benchmarks_in_memory_measure_what_is_in_the_list() {
        // They are programs without a harness for tests, so their text is read.
        let lower = include_str!("../lower/main.rs")
            .lines()
            .filter_map(|line| line.trim().strip_prefix("name: \"")?.strip_suffix("\","));
        assert!(lower.eq(names_of("lower")));
        let questions = include_str!("../history/questions.rs")
            .lines()
            .filter_map(|line| line.trim().strip_prefix("name: \"")?.strip_suffix("\","));
        assert!(questions.eq(names_of("history").filter(|name| !name.starts_with("octets a row"))));
        let decode = [Protocol::NetflowV5, Protocol::NetflowV9, Protocol::Ipfix];
        let text = "[Protocol; 3] = [Protocol::NetflowV5, Protocol::NetflowV9, Protocol::Ipfix];";
        assert!(include_str!("../exports/main.rs").contains(text));
        assert!(decode.iter().map(|protocol| format!("{protocol}, netflow_parser")).eq(names_of("decode")));
    }

    #[test]
    fn each_name_stands_once() {
        let names: std::collections::BTreeSet<_> = FLOORS.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), FLOORS.len());
    }
}
