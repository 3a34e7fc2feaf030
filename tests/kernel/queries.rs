//! The product on an interface: queries of keys and sums, answered by the kernel's flow table, next to the same
//! queries over a capture of the same frames.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufWriter;
use std::thread::sleep;
use std::time::{Duration, Instant};

use harness::csv::Csv;
use harness::run::tapline_during;
use harness::tapline;
use tapline_capture::kernel::KernelOptions;
use tapline_capture::live::PacketSender;
use tapline_trafficgen::pcap::PcapFormat;
use tapline_trafficgen::scenario::{Scenario, branch_office};

use crate::namespace::{self, FAR, NEAR};
use crate::rights::load;

const FRAMES: usize = 60_000;
/// Frames in a row between two naps; the receiver has one core, and other work.
const FRAMES_A_NAP: usize = 64;
const SETTLED: Duration = Duration::from_millis(500);
const NAP: Duration = Duration::from_micros(500);

/// Sends the scenario's frames out of the near end.
fn send(scenario: &Scenario) {
    let sender = PacketSender::open(NEAR, false).unwrap();
    let mut octets = vec![];
    for (number, timed) in scenario.frames.iter().enumerate() {
        octets.clear();
        timed.frame.write(&mut octets);
        sender.send(&octets).unwrap();
        if number % FRAMES_A_NAP == 0 {
            sleep(NAP);
        }
    }
}

fn wait_for(is_ready: fn() -> bool) {
    let start = Instant::now();
    while !is_ready() {
        assert!(start.elapsed() < Duration::from_secs(60), "nobody looks at the interface");
        sleep(Duration::from_millis(20));
    }
    // A program is there a moment before the sockets that it sends frames to.
    sleep(SETTLED);
}

/// Sums of the last columns by the first ones, without windows, completeness and status.
fn totals(text: &str, keys: usize, columns: usize) -> BTreeMap<Vec<String>, Vec<i64>> {
    let csv = Csv::parse(text);
    let first = if csv.header[0] == "window_start" { 2 } else { 0 };
    let mut totals: BTreeMap<Vec<String>, Vec<i64>> = BTreeMap::new();
    for row in csv.rows {
        let sums = totals.entry(row[first..first + keys].to_vec()).or_insert_with(|| vec![0; columns]);
        for (sum, value) in sums.iter_mut().zip(&row[first + keys..]) {
            *sum += value.parse::<i64>().unwrap_or(0);
        }
    }
    totals
}

/// A query, its columns, and how it is asked.
struct Question<'a> {
    sql: &'a str,
    /// The window when the interface is asked; the capture is asked without.
    window: &'a str,
    /// Columns of keys, and of sums behind them.
    columns: (usize, usize),
    /// What the interface is asked with.
    arguments: &'a [&'a str],
    /// Whether somebody looks at the interface.
    is_ready: fn() -> bool,
}

/// Asks the interface and the capture; gives what the run said of itself.
fn check(question: &Question<'_>) -> Option<String> {
    if !namespace::enter() {
        return None;
    }
    load(&KernelOptions::default())?;
    let mut scenario = branch_office(harness::scenario::SEED);
    scenario.frames.truncate(FRAMES);
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("frames.pcap");
    scenario.write_pcap(BufWriter::new(File::create(&capture).unwrap()), PcapFormat::default()).unwrap();
    let (sql, (keys, sums)) = (question.sql, question.columns);
    let offline = tapline(&["query", "--pcap", capture.to_str().unwrap(), "--format", "csv", sql]);
    let live = format!("{sql}, tumble('{}')", question.window);
    let asked = ["query", "--interface", FAR, "--format", "csv", live.as_str()];
    let run = tapline_during(&[&asked, question.arguments].concat(), || {
        wait_for(question.is_ready);
        send(&scenario);
    });
    let (expected, found) = (totals(offline.success(), keys, sums), totals(run.success(), keys, sums));
    assert!(!expected.is_empty());
    assert!(expected == found, "{live}: {} groups, {} live; {}", expected.len(), found.len(), run.stderr);
    assert!(run.stderr.contains("dropped 0"), "{}", run.stderr);
    assert!(!namespace::is_attached(), "the interface is as it was");
    Some(run.stderr)
}

/// Whether some socket reads the packets of an interface of this network.
fn has_packet_socket() -> bool {
    let sockets = std::fs::read_to_string("/proc/thread-self/net/packet").unwrap();
    let reads = |socket: &str| {
        let fields: Vec<_> = socket.split_whitespace().collect();
        let [_, _, _, protocol, interface, is_running, ..] = fields.as_slice() else { return false };
        *protocol == "0003" && *interface != "0" && *is_running == "1"
    };
    sockets.lines().any(reads)
}

const FIVE_TUPLES: Question<'_> = Question {
    sql: "SELECT src_ip, dst_ip, src_port, dst_port, protocol, tcp_flags, count(*), sum(octets), \
          sum(frame_octets) FROM packets GROUP BY src_ip, dst_ip, src_port, dst_port, protocol, tcp_flags",
    window: "1 second",
    columns: (6, 3),
    arguments: &[],
    is_ready: namespace::is_attached,
};

#[test]
fn flows_by_five_tuple_and_flags() {
    let Some(said) = check(&FIVE_TUPLES) else { return };
    assert!(said.contains("native XDP"), "{said}");
}

#[test]
fn what_frames_lack_is_null() {
    let sql = "SELECT ip_version, vlan, icmp_type, icmp_code, count(*), count(src_ip), count(dst_port), \
               sum(octets), sum(frame_octets) FROM packets GROUP BY ip_version, vlan, icmp_type, icmp_code";
    check(&Question { sql, columns: (4, 5), ..FIVE_TUPLES });
}

#[test]
fn conditions_expressions_and_sketches() {
    let sql = "SELECT network(src_ip, 16, 48), service(protocol, dst_port), count(*) FILTER (WHERE dst_port < 1024), \
               sum(octets), approx_distinct(dst_ip), max(dst_port) FROM packets \
               WHERE protocol IN (6, 17) GROUP BY network(src_ip, 16, 48), service(protocol, dst_port)";
    check(&Question { sql, window: "24 hours", columns: (2, 4), ..FIVE_TUPLES });
}

/// Asks for more than the flow table has.
const PACKETS: Question<'_> = Question {
    sql: "SELECT ttl, dst_mac, count(*), sum(octets), max(octets), sum(tcp_window) FROM packets \
          WHERE octets > 60 GROUP BY ttl, dst_mac",
    window: "24 hours",
    columns: (2, 4),
    arguments: &[],
    is_ready: has_packet_socket,
};

#[test]
fn what_the_table_does_not_know_is_read_from_copies() {
    let Some(said) = check(&PACKETS) else { return };
    assert!(said.contains("AF_PACKET"), "{said}");
}

#[test]
fn a_mirror_port_is_read_by_af_xdp() {
    let question = Question { arguments: &["--mirror"], is_ready: namespace::is_attached, ..PACKETS };
    let Some(said) = check(&question) else { return };
    assert!(said.contains("AF_XDP"), "{said}");
}

#[test]
fn a_rule_leaves_frames_out_in_the_kernel() {
    let sql = "SELECT src_port, dst_port, count(*), sum(octets) FROM packets \
               WHERE src_port <> 443 AND dst_port <> 443 GROUP BY src_port, dst_port";
    let question = Question { sql, columns: (2, 2), arguments: &["--deny", "port:443"], ..FIVE_TUPLES };
    let Some(said) = check(&question) else { return };
    assert!(said.contains("refused by the pre-filter"), "{said}");
}
