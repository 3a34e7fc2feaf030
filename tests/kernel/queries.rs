//! The product on an interface: queries of keys and sums, answered by the kernel's flow table, next to the same
//! queries over a capture of the same frames.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufWriter;
use std::thread::sleep;
use std::time::{Duration, Instant};

use harness::csv::read_csv;
use harness::run::{tapline_during, tapline_while};
use harness::tapline;
use serde_json::Value;
use tapline_interface::kernel::KernelOptions;
use tapline_interface::live::PacketSender;
use tapline_trafficgen::pcap::PcapFormat;
use tapline_trafficgen::scenario::{Scenario, branch_office};

use crate::namespace::{self, FAR, NEAR};
use crate::rights::load;

const FRAMES: usize = 60_000;
/// Frames in a row between two naps; the receiver has one core, and other work.
pub(crate) const FRAMES_A_NAP: usize = 64;
const SETTLED: Duration = Duration::from_millis(500);
pub(crate) const NAP: Duration = Duration::from_micros(500);

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

pub(crate) fn wait_for(is_ready: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_ready() {
        assert!(start.elapsed() < Duration::from_secs(60), "nobody looks at the interface");
        sleep(Duration::from_millis(20));
    }
    // A program is there a moment before the sockets that it sends frames to.
    sleep(SETTLED);
}

/// Sums of the last columns by the first ones, without windows, completeness and status.
pub(crate) fn totals(text: &str, keys: usize, columns: usize) -> BTreeMap<Vec<String>, Vec<i64>> {
    let csv = read_csv(text);
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

/// A query and its columns.
#[derive(Clone, Copy)]
struct Question {
    sql: &'static str,
    /// Columns of keys, and of sums behind them.
    columns: (usize, usize),
}

/// How an interface is asked.
#[derive(Clone, Copy)]
struct Asked<'a> {
    /// The window of every query; the capture is asked without.
    window: &'a str,
    arguments: &'a [&'a str],
    /// Whether somebody looks at the interface.
    is_ready: fn() -> bool,
}

const BY_TABLE: Asked<'_> = Asked { window: "1 second", arguments: &[], is_ready: namespace::is_attached };

/// Asks the interface and the capture; gives what the run said of itself.
fn check(asked: &Asked<'_>, questions: &[Question]) -> Option<String> {
    if !namespace::enter() {
        return None;
    }
    load(&KernelOptions::default())?;
    let mut scenario = branch_office(harness::scenario::SEED);
    scenario.frames.truncate(FRAMES);
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("frames.pcap");
    scenario.write_pcap(BufWriter::new(File::create(&capture).unwrap()), PcapFormat::default()).unwrap();
    let live: Vec<_> =
        questions.iter().map(|question| format!("{}, tumble('{}')", question.sql, asked.window)).collect();
    let output = folder.path().to_str().unwrap();
    let mut arguments = vec!["query", "--interface", FAR, "--format", "csv", "--output", output];
    arguments.extend(["--summary", "json"]);
    arguments.extend(asked.arguments);
    arguments.extend(live.iter().map(String::as_str));
    let run = tapline_during(&arguments, || {
        wait_for(asked.is_ready);
        send(&scenario);
    });
    let _ = run.success();
    // A filter is asked for on both.
    let filter = asked.arguments.iter().position(|argument| *argument == "--filter");
    let filter = filter.map_or(&[][..], |at| &asked.arguments[at..at + 2]);
    for (number, question) in (1..).zip(questions) {
        let (sql, (keys, sums)) = (question.sql, question.columns);
        let offline = ["query", "--pcap", capture.to_str().unwrap(), "--format", "csv", sql];
        let offline = tapline(&[&offline[..], filter].concat());
        let name = if questions.len() == 1 { "query.csv".to_owned() } else { format!("query_{number}.csv") };
        let found = std::fs::read_to_string(folder.path().join(name)).unwrap();
        let (expected, found) = (totals(offline.success(), keys, sums), totals(&found, keys, sums));
        assert!(!expected.is_empty());
        assert!(expected == found, "{sql}: {} groups, {} live; {}", expected.len(), found.len(), run.stderr);
    }
    let account: Value = serde_json::from_str(run.stderr.lines().last().unwrap_or_default()).unwrap();
    let sources = account["sources"].as_array().unwrap();
    assert!(sources.iter().all(|source| source["dropped"] == 0), "{account}");
    assert!(!namespace::is_attached(), "the interface is as it was");
    Some(run.stderr)
}

/// Whether some socket reads the packets of an interface of this network.
pub(crate) fn has_packet_socket() -> bool {
    packet_sockets() > 0
}

/// Sockets that read the packets of interfaces of this network.
pub(crate) fn packet_sockets() -> usize {
    let sockets = std::fs::read_to_string("/proc/thread-self/net/packet").unwrap();
    let reads = |socket: &str| {
        let fields: Vec<_> = socket.split_whitespace().collect();
        let [_, _, _, protocol, interface, is_running, ..] = fields.as_slice() else { return false };
        *protocol == "0003" && *interface != "0" && *is_running == "1"
    };
    sockets.lines().filter(|socket| reads(socket)).count()
}

const FIVE_TUPLES: Question = Question {
    sql: "SELECT src_ip, dst_ip, src_port, dst_port, protocol, tcp_flags, count(*), sum(octets), \
          sum(frame_octets) FROM packets GROUP BY src_ip, dst_ip, src_port, dst_port, protocol, tcp_flags",
    columns: (6, 3),
};

#[test]
fn flows_by_five_tuple_and_flags() {
    let Some(said) = check(&BY_TABLE, &[FIVE_TUPLES]) else { return };
    assert!(said.contains("native XDP"), "{said}");
}

#[test]
fn what_frames_lack_is_null() {
    let sql = "SELECT ip_version, vlan, icmp_type, icmp_code, count(*), count(src_ip), count(dst_port), \
               sum(octets), sum(frame_octets) FROM packets GROUP BY ip_version, vlan, icmp_type, icmp_code";
    let Some(said) = check(&BY_TABLE, &[Question { sql, columns: (4, 5) }]) else { return };
    // Either the driver tells the tags that it keeps, or it is told that they are not there.
    let is_left_out = said.contains("left out of account in `frame_octets`, `vlan`");
    assert_ne!(said.contains("\"tags\":true"), is_left_out, "{said}");
}

#[test]
fn conditions_expressions_and_sketches() {
    let sql = "SELECT network(src_ip, 16, 48), service(protocol, dst_port), count(*) FILTER (WHERE dst_port < 1024), \
               sum(octets), approx_distinct(dst_ip), max(dst_port) FROM packets \
               WHERE protocol IN (6, 17) GROUP BY network(src_ip, 16, 48), service(protocol, dst_port)";
    check(&Asked { window: "24 hours", ..BY_TABLE }, &[Question { sql, columns: (2, 4) }]);
}

/// Asks for more than the flow table has.
const PACKETS: Question = Question {
    sql: "SELECT ttl, dst_mac, count(*), sum(octets), max(octets), sum(tcp_window) FROM packets \
          WHERE octets > 60 GROUP BY ttl, dst_mac",
    columns: (2, 4),
};

const BY_COPIES: Asked<'_> = Asked { window: "24 hours", arguments: &[], is_ready: has_packet_socket };

#[test]
fn what_the_table_does_not_know_is_read_from_copies() {
    let Some(said) = check(&BY_COPIES, &[PACKETS]) else { return };
    assert!(said.contains("AF_PACKET"), "{said}");
}

const BY_MIRROR: Asked<'_> = Asked { window: "24 hours", arguments: &["--mirror"], ..BY_TABLE };

#[test]
fn a_mirror_port_is_read_by_af_xdp() {
    let Some(said) = check(&BY_MIRROR, &[PACKETS]) else { return };
    assert!(said.contains("AF_XDP") && !said.contains("native XDP"), "{said}");
}

#[test]
fn the_table_and_packets_are_read_at_once() {
    for (asked, packets) in [(BY_MIRROR, "AF_XDP"), (BY_COPIES, "AF_PACKET")] {
        let Some(said) = check(&asked, &[FIVE_TUPLES, PACKETS]) else { return };
        assert!(said.contains("native XDP") && said.contains(packets), "{said}");
    }
}

/// Flows as the kernel counts them; how many there are depends on how fast packets come.
const FLOWS: Question = Question {
    sql: "SELECT src_ip, dst_ip, protocol, sum(packets), sum(octets) FROM flows GROUP BY src_ip, dst_ip, protocol",
    columns: (3, 2),
};

/// Flows with what only packets have.
const FLOWS_OF_PACKETS: Question = Question {
    sql: "SELECT src_mac, dst_ip, tos, sum(packets), sum(octets) FROM flows GROUP BY src_mac, dst_ip, tos",
    columns: (3, 2),
};

#[test]
fn a_filter_holds_for_packets_and_flows() {
    const FILTER: &str = "tcp port 443 and not src net 10.20.40.0/24";
    let copies = Asked { arguments: &["--filter", FILTER], ..BY_COPIES };
    let mirror = Asked { arguments: &["--mirror", "--filter", FILTER], ..BY_MIRROR };
    for asked in [copies, mirror] {
        let Some(said) = check(&asked, &[FIVE_TUPLES, PACKETS, FLOWS]) else { return };
        let table = source_of(&said, "flow table");
        assert!(table["filtered"].as_u64().unwrap() > 0, "{said}");
        assert!(table["kernel_filter"]["sql"].is_string(), "{said}");
        assert_eq!(sum_of(&table), Some(FRAMES as u64), "{said}");
    }
}

/// A filter that looks at more than flows have in common.
#[test]
fn a_filter_over_what_is_not_the_same_of_a_flow_is_not_for_the_table() {
    let asked = Asked { arguments: &["--mirror", "--filter", "len > 100 and not port 443"], ..BY_MIRROR };
    let Some(said) = check(&asked, &[FIVE_TUPLES, PACKETS]) else { return };
    assert!(!said.contains("\"flow table\""), "{said}");
    assert!(source_of(&said, "packets")["kernel_filter"]["sql"].is_string(), "{said}");
}

/// What the account of a run says of the source of this kind.
fn source_of(said: &str, kind: &str) -> Value {
    let account: Value = serde_json::from_str(said.lines().last().unwrap_or_default()).unwrap();
    let sources = account["sources"].as_array().unwrap();
    sources.iter().find(|source| source["kind"] == kind).unwrap().clone()
}

/// The sum of the fates of a source, if it is what was offered.
fn sum_of(source: &Value) -> Option<u64> {
    let fates = ["delivered", "filtered", "dropped"].map(|fate| source[fate].as_u64().unwrap());
    let sum = fates.into_iter().sum();
    (source["offered"] == sum).then_some(sum)
}

/// Conditions that the kernel decides: of packets, and of what the table counts.
const DNS_BY_PACKETS: Question = Question {
    sql: "SELECT ttl, count(*), sum(octets), max(octets) FROM packets WHERE dst_port = 53 OR src_port = 53 GROUP BY ttl",
    columns: (1, 3),
};
const DNS_BY_TABLE: Question = Question {
    sql: "SELECT src_ip, count(*), sum(octets) FROM packets WHERE dst_port = 53 OR src_port = 53 GROUP BY src_ip",
    columns: (1, 2),
};

#[test]
fn the_kernel_leaves_out_what_no_query_needs() {
    for (asked, question, kind) in
        [(BY_MIRROR, DNS_BY_PACKETS, "packets"), (BY_TABLE, DNS_BY_TABLE, "flow table")]
    {
        let Some(said) = check(&asked, &[question]) else { return };
        let source = source_of(&said, kind);
        assert_eq!(source["kernel_filter"]["sql"], "dst_port = 53 OR src_port = 53", "{said}");
        assert_eq!(sum_of(&source), Some(FRAMES as u64), "{said}");
        let [delivered, filtered] = ["delivered", "filtered"].map(|fate| source[fate].as_u64().unwrap());
        assert!(delivered > 0 && filtered > delivered, "{said}");
    }
}

#[test]
fn each_of_several_readers_has_what_its_queries_need() {
    let Some(said) = check(&BY_MIRROR, &[DNS_BY_TABLE, PACKETS, DNS_BY_PACKETS]) else { return };
    let [table, packets] = ["flow table", "packets"].map(|kind| source_of(&said, kind));
    assert_eq!([sum_of(&table), sum_of(&packets)], [Some(FRAMES as u64); 2], "{said}");
    let filtered = [&table, &packets].map(|source| source["filtered"].as_u64().unwrap());
    assert!(filtered[0] > filtered[1] && filtered[1] > 0, "{said}");
}

#[test]
fn a_long_list_is_looked_up_in_the_kernel() {
    let ports: Vec<String> = (0..1000).map(|port| (2 * port + 1).to_string()).collect();
    let sql =
        format!("SELECT ttl, count(*) FROM packets WHERE dst_port IN ({}) GROUP BY ttl", ports.join(", "));
    let question = Question { sql: sql.leak(), columns: (1, 1) };
    let Some(said) = check(&BY_MIRROR, &[question]) else { return };
    let source = source_of(&said, "packets");
    assert_eq!(source["kernel_filter"]["sql"], "dst_port IN (1000 values)", "{said}");
    assert_eq!(
        (&source["kernel_filter"]["lists"], sum_of(&source)),
        (&1.into(), Some(FRAMES as u64)),
        "{said}"
    );
    let [delivered, filtered] = ["delivered", "filtered"].map(|fate| source[fate].as_u64().unwrap());
    assert!(delivered > 0 && filtered > 0, "{said}");
}

#[test]
fn no_query_hears_of_another_on_an_interface() {
    for (asked, question) in
        [(BY_TABLE, FIVE_TUPLES), (BY_COPIES, PACKETS), (BY_TABLE, FLOWS), (BY_COPIES, FLOWS_OF_PACKETS)]
    {
        let Some(_) = check(&Asked { window: "24 hours", ..asked }, &[question]) else { return };
    }
    for workers in ["1", "2", "4"] {
        for arguments in [&["--workers", workers][..], &["--mirror", "--workers", workers]] {
            let is_ready = if arguments.len() > 2 { namespace::is_attached } else { has_packet_socket };
            check(
                &Asked { window: "24 hours", arguments, is_ready },
                &[FIVE_TUPLES, PACKETS, FLOWS, FLOWS_OF_PACKETS],
            );
        }
    }
}

#[test]
fn windows_come_while_frames_trickle_in() {
    if !namespace::enter() || load(&KernelOptions::default()).is_none() {
        return;
    }
    let frame = crate::account::template();
    let sender = PacketSender::open(NEAR, false).unwrap();
    for ways in [&[][..], &["--mirror"]] {
        let sql = "SELECT count(ttl) FROM packets GROUP BY tumble('1 second')";
        let arguments = ["query", "--interface", FAR, "--format", "csv", "--windows", "1", sql];
        let run = tapline_while(&[&arguments[..], ways].concat(), || {
            sender.send(&frame).unwrap();
            sleep(Duration::from_millis(20));
        });
        let csv = read_csv(run.success());
        assert_eq!(csv.rows[0].last().unwrap(), "final", "{}\n{}", run.text(), run.stderr);
    }
}

#[test]
fn flows_end_on_a_silent_interface() {
    if !namespace::enter() || load(&KernelOptions::default()).is_none() {
        return;
    }
    let frame = crate::account::template();
    let sender = PacketSender::open(NEAR, false).unwrap();
    let by_packets = "SELECT packets FROM flows WHERE src_mac IS NOT NULL LIMIT 1";
    for (sql, is_by_table) in [("SELECT packets FROM flows LIMIT 1", true), (by_packets, false)] {
        let is_ready = if is_by_table { namespace::is_attached } else { has_packet_socket };
        let mut has_sent = false;
        let run = tapline_while(&["query", "--interface", FAR, "--format", "csv", sql], || {
            if !has_sent && is_ready() {
                has_sent = true;
                sleep(SETTLED);
                sender.send(&frame).unwrap();
            }
            sleep(Duration::from_millis(100));
        });
        assert!(run.success().starts_with("packets\n1\n"), "{sql}: {}", run.text());
    }
}

/// What `--deny port:443` leaves.
const WITHOUT_443: Question = Question {
    sql: "SELECT src_port, dst_port, count(*), sum(octets) FROM packets \
          WHERE src_port <> 443 AND dst_port <> 443 GROUP BY src_port, dst_port",
    columns: (2, 2),
};

#[test]
fn a_rule_leaves_frames_out_in_the_kernel() {
    let said = check(&Asked { arguments: &["--deny", "port:443"], ..BY_TABLE }, &[WITHOUT_443]);
    let Some(said) = said else { return };
    assert!(said.contains("refused by the pre-filter"), "{said}");
}

#[test]
fn rules_in_a_file_change_while_a_query_runs() {
    if !namespace::enter() || load(&KernelOptions::default()).is_none() {
        return;
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    let rules = |text: &str| {
        std::fs::write(&file, text).unwrap();
        sleep(Duration::from_millis(1500));
    };
    let (frame, sender) = (crate::account::template(), PacketSender::open(NEAR, false).unwrap());
    let send = |frames| (0..frames).for_each(|_| sender.send(&frame).unwrap());
    for (column, ways) in [("*", &[][..]), ("ttl", &["--mirror"])] {
        rules("deny protocol:17 # UDP\n");
        let sql = format!("SELECT count({column}) FROM packets GROUP BY tumble('24 hours')");
        let file = file.path().to_str().unwrap();
        let arguments = ["query", "--interface", FAR, "--format", "csv", "--rules", file, &sql];
        let run = tapline_during(&[&arguments[..], ways].concat(), || {
            wait_for(namespace::is_attached);
            send(100);
            rules("deny port:1\ndeny port:2\n");
            send(50);
            rules("deny everything\n");
            send(7);
        });
        assert_eq!(totals(run.success(), 0, 1).into_values().collect::<Vec<_>>(), [[57]], "{}", run.stderr);
        for said in [
            "100 frames refused by the pre-filter",
            "2 rules of the pre-filter hold from now on",
            "stay as they were: --rules ",
            ": line 1: everything: write a prefix",
        ] {
            assert!(run.stderr.contains(said), "{said}: {}", run.stderr);
        }
    }
}

#[test]
fn a_rule_holds_for_the_packets_of_a_mirror_port() {
    let packets = Question {
        sql: "SELECT ttl, count(*), sum(octets) FROM packets \
              WHERE src_port <> 443 AND dst_port <> 443 GROUP BY ttl",
        columns: (1, 2),
    };
    let ports_only = ["--mirror", "--deny", "port:443", "--allow", "protocol:6", "--allow", "protocol:17"];
    let asked = Asked { arguments: &ports_only, ..BY_MIRROR };
    for questions in [vec![packets], vec![WITHOUT_443, packets]] {
        let Some(said) = check(&asked, &questions) else { return };
        assert!(said.contains("refused by the pre-filter"), "{said}");
    }
}
