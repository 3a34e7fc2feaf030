//! Flow records, against the packets that they are made of.
//!
//! The definition is applied to tshark's frames by a map of open flows that is asked at every frame.

use super::{CAPTURES, Capture, query};
use harness::csv::read_csv;
use harness::tshark::Frame;
use harness::{Table, captures};
use std::collections::HashMap;
use std::path::Path;

const SECOND: i64 = 1_000_000_000;
const FIN_OR_RST: u16 = 1 | 4;
const KEY: [&str; 8] =
    ["src_ip", "dst_ip", "protocol", "src_port", "dst_port", "vlan", "icmp_type", "icmp_code"];

/// A flow that may go on.
struct Open {
    first: i64,
    last: i64,
    closing: Option<i64>,
}

impl Open {
    fn is_over(&self, now: i64) -> bool {
        let is_closed = self.closing.is_some_and(|closing| now >= closing + 2 * SECOND);
        is_closed || now >= self.last + 15 * SECOND || now >= self.first + 60 * SECOND
    }
}

/// Flows, packets and octets by key.
fn flows_of(frames: &[Frame]) -> Table {
    let mut open: HashMap<Vec<&str>, Open> = HashMap::new();
    let mut sums: HashMap<Vec<&str>, [u64; 3]> = HashMap::new();
    for frame in frames {
        let (Some(octets), ts) = (frame.octets, frame.ts) else { continue };
        let key = KEY.map(|column| frame.value(column)).to_vec();
        let [flows, packets, all_octets] = sums.entry(key.clone()).or_default();
        *packets += 1;
        *all_octets += octets;
        let flow = open.entry(key).or_insert_with(|| Open { first: i64::MIN, last: ts, closing: None });
        if flow.first == i64::MIN || flow.is_over(ts) {
            *flow = Open { first: ts, last: ts, closing: None };
            *flows += 1;
        }
        flow.first = flow.first.min(ts);
        flow.last = flow.last.max(ts);
        let flags = frame.value("tcp_flags").parse::<u16>().unwrap_or(0);
        flow.closing = flow.closing.or((flags & FIN_OR_RST != 0).then_some(ts));
    }
    let mut table = Table::default();
    for (key, sums) in sums {
        let key = key.into_iter().map(str::to_owned).collect();
        table.insert(key, sums.map(|sum| sum.to_string()).to_vec());
    }
    table
}

fn is_ordered(frames: &[Frame]) -> bool {
    frames.is_sorted_by_key(|frame| frame.ts)
}

fn asked(file: &Path, keys: &[&str], sums: &str, from: &str) -> Table {
    let keys_sql = keys.join(", ");
    let sql = format!("SELECT {keys_sql}, {sums} FROM {from} GROUP BY {keys_sql}");
    Table::from_csv(&read_csv(&query(file, &sql)), keys.len())
}

#[test]
fn flows_are_those_of_the_definition() {
    for Capture { path, frames } in CAPTURES.iter().filter(|capture| is_ordered(&capture.frames)) {
        let flows = asked(path, &KEY, "count(*), sum(packets), sum(octets)", "flows");
        let difference = flows_of(frames).difference(&flows);
        assert!(
            difference.is_none(),
            "{}: (flows, packets, octets)\n{}",
            captures::name(path),
            difference.unwrap()
        );
    }
}

#[test]
fn flows_add_up_to_their_packets() {
    for Capture { path, .. } in &*CAPTURES {
        let packets = asked(path, &["protocol"], "count(*), sum(octets)", "packets WHERE src_ip IS NOT NULL");
        let flows = asked(path, &["protocol"], "sum(packets), sum(octets)", "flows");
        assert_eq!(packets.difference(&flows), None, "{}", captures::name(path));
    }
}
