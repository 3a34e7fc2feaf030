//! The same packets, counted by tshark, by capinfos and by tapline.
//!
//! Every capture file is grouped by every column that tshark has too; counts, IP octets and frame
//! octets must be equal, group by group. A difference that is known and explained is in `harness::captures`.

#![forbid(unsafe_code)]

mod exports;
mod filters;
mod flows;

use harness::csv::read_csv;
use harness::tshark::{self, Frame};
use harness::wireshark;
use harness::{Table, captures, tapline};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

pub(crate) struct Capture {
    pub(crate) path: PathBuf,
    pub(crate) frames: Vec<Frame>,
}

pub(crate) static CAPTURES: LazyLock<Vec<Capture>> = LazyLock::new(|| {
    let read = |path: PathBuf| Some(Capture { frames: captures::dissected(&path)?, path });
    captures::packet_files().into_iter().filter_map(read).collect()
});

#[test]
fn tshark_and_capinfos_agree() {
    for capture in &*CAPTURES {
        let Some((packets, octets)) = wireshark::capinfos(&capture.path) else { return };
        let mut expected = Table::default();
        expected.insert(vec![], vec![packets.to_string(), octets.to_string()]);
        let counted = tshark::grouped(&capture.frames, &[]).without_sum(1);
        assert_eq!(expected.difference(&counted), None, "{}", captures::name(&capture.path));
    }
}

/// One test a grouping, so that they run side by side and fail by name.
macro_rules! grouped_by {
    ($($test:ident: [$($column:literal),*];)+) => {
        $(#[test]
        fn $test() {
            agree_on(&[$($column),*]);
        })+
    };
}

grouped_by! {
    in_all: [];
    by_protocol: ["protocol"];
    by_ip_version: ["ip_version"];
    by_src_ip: ["src_ip"];
    by_dst_ip: ["dst_ip"];
    by_src_port: ["src_port"];
    by_dst_port: ["dst_port"];
    by_ttl: ["ttl"];
    by_tcp_flags: ["tcp_flags"];
    by_icmp_type: ["icmp_type"];
    by_src_mac: ["src_mac"];
    by_vlan: ["vlan"];
    by_tunnelled_addresses: ["inner_src_ip", "inner_dst_ip"];
    by_conversation: ["src_ip", "dst_ip", "protocol", "src_port", "dst_port"];
}

fn agree_on(keys: &[&str]) {
    let compare = |capture: &Capture| {
        let file = captures::name(&capture.path);
        let counted = grouped_by_tapline(&capture.path, keys);
        let difference = tshark::grouped(&capture.frames, keys).difference(&counted)?;
        Some(format!("  {file}:\n{difference}"))
    };
    let report: String = CAPTURES.iter().filter_map(compare).collect();
    assert!(report.is_empty(), "by {keys:?}: (packets, octets, frame octets) differ\n{report}");
}

fn grouped_by_tapline(file: &Path, keys: &[&str]) -> Table {
    let sums = "count(*) AS packets, sum(octets) AS octets, sum(frame_octets) AS frame_octets";
    let keys_sql = keys.join(", ");
    let sql = if keys.is_empty() {
        format!("SELECT {sums} FROM packets")
    } else {
        format!("SELECT {keys_sql}, {sums} FROM packets GROUP BY {keys_sql}")
    };
    Table::from_csv(&read_csv(&query(file, &sql)), keys.len())
}

pub(crate) fn query(file: &Path, sql: &str) -> String {
    let file = file.to_str().expect("paths of captures are UTF-8");
    tapline(&["query", "--pcap", file, "--format", "csv", sql]).success().to_owned()
}

/// A query whose answer depends on every part of a frame's header.
const EVERYTHING: &str = "SELECT src_ip, dst_ip, protocol, src_port, dst_port, vlan, ethertype, inner_src_ip, \
    count(*), sum(octets), sum(frame_octets), min(ts), max(ts) FROM packets \
    GROUP BY src_ip, dst_ip, protocol, src_port, dst_port, vlan, ethertype, inner_src_ip \
    ORDER BY src_ip, dst_ip, protocol, src_port, dst_port, vlan, ethertype, inner_src_ip";

#[test]
fn the_container_does_not_matter() {
    let folder = tempfile::tempdir().unwrap();
    for capture in &*CAPTURES {
        let expected = query(&capture.path, EVERYTHING);
        for derived in captures::derived(&capture.path, folder.path()) {
            let names = [&capture.path, &derived].map(|path| captures::name(path));
            assert!(query(&derived, EVERYTHING) == expected, "{} as {}", names[0], names[1]);
        }
        let arguments = ["query", "--pcap", "-", "--format", "csv", EVERYTHING];
        let piped = harness::run::tapline_reading(&capture.path, &arguments);
        assert!(piped.success() == expected, "{} on standard input", captures::name(&capture.path));
    }
}
