//! What the scenario knows about itself, asked for in SQL.

use super::{OFFICE, query};
use harness::Table;
use harness::csv::read_csv;
use tapline_trafficgen::scenario::{Truth, Volume};

const SECOND_NS: u64 = 1_000_000_000;

/// The answer to `sql`, whose first `keys` columns are the key, and the truth.
fn asked(sql: &str, keys: usize) -> (&'static Truth, Table) {
    (&OFFICE.truth, Table::from_csv(&read_csv(&query(sql)), keys))
}

fn volume(volume: &Volume) -> Vec<String> {
    vec![volume.packets.to_string(), volume.octets.to_string()]
}

/// `2026-03-02T09:01:00Z`, for a time on the day of the scenario.
fn text_of_minute(ns: u64) -> String {
    let minute_of_day = ns / (60 * SECOND_NS) % (24 * 60);
    format!("2026-03-02T{:02}:{:02}:00Z", minute_of_day / 60, minute_of_day % 60)
}

#[test]
fn frames_in_all() {
    let (truth, counted) = asked("SELECT count(*), sum(frame_octets), count(vlan) FROM packets", 0);
    let mut expected = Table::default();
    expected.insert(
        vec![],
        [truth.frames, truth.frame_octets, truth.tagged_frames].map(|sum| sum.to_string()).to_vec(),
    );
    assert_eq!(expected.difference(&counted), None);
}

#[test]
fn packets_by_source() {
    let sql = "SELECT src_ip, count(*), sum(octets) FROM packets WHERE src_ip IS NOT NULL GROUP BY src_ip";
    let (truth, counted) = asked(sql, 1);
    let mut expected = Table::default();
    truth.sources.iter().for_each(|(source, sums)| expected.insert(vec![source.to_string()], volume(sums)));
    assert_eq!(expected.difference(&counted), None);
}

#[test]
fn packets_by_minute_and_protocol() {
    let sql = "SELECT protocol, count(*) AS packets, sum(octets) AS octets FROM packets \
        WHERE protocol IS NOT NULL GROUP BY protocol, tumble('60 seconds')";
    let (truth, counted) = asked(sql, 3);
    let mut expected = Table::default();
    for ((start, protocol), sums) in &truth.minutes {
        let key = [text_of_minute(*start), text_of_minute(start + 60 * SECOND_NS), protocol.to_string()];
        expected.insert(key.to_vec(), [volume(sums), vec!["final".to_owned()]].concat());
    }
    assert_eq!(expected.difference(&counted), None);
}

#[test]
fn the_sweep_among_flows_of_one_packet() {
    let sql = "SELECT src_ip, dst_port, count(*) AS probes FROM \
        (SELECT src_ip, dst_ip, dst_port FROM flows WHERE packets = 1 AND tcp_flags = 2 \
         GROUP BY src_ip, dst_ip, dst_port, tumble('60 seconds')) \
        GROUP BY src_ip, dst_port HAVING count(*) >= 100";
    let (truth, found) = asked(sql, 4);
    let minute = truth.heavy_talker.start_ns / (60 * SECOND_NS) * 60 * SECOND_NS;
    let [start, end] = [minute + 60 * SECOND_NS, minute + 120 * SECOND_NS].map(text_of_minute);
    let mut expected = Table::default();
    expected.insert(
        vec![start, end, truth.sweep.source.to_string(), truth.sweep.port.to_string()],
        vec![truth.sweep.targets.len().to_string(), "final".to_owned()],
    );
    assert_eq!(expected.difference(&found), None);
}

#[test]
fn the_heavy_talker_is_on_top() {
    let sql = "SELECT src_ip, dst_ip, sum(octets) > 1000000 FROM packets \
        WHERE src_ip IS NOT NULL GROUP BY src_ip, dst_ip ORDER BY sum(octets) DESC LIMIT 1";
    let (truth, found) = asked(sql, 2);
    let mut expected = Table::default();
    let talker = [truth.heavy_talker.source, truth.heavy_talker.destination].map(|ip| ip.to_string());
    expected.insert(talker.to_vec(), vec!["true".to_owned()]);
    assert_eq!(expected.difference(&found), None);
}
