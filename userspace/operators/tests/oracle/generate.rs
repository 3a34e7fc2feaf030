//! Rows and queries from a seed.

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use tapline_record::address::parse_ip;
use tapline_record::{PacketColumn, PacketRow};

/// What a row is made of: NULLs where an option is none.
pub(crate) type Row = (i64, Option<u8>, Option<u8>, Option<u8>, Option<u16>, Option<u16>);

/// Up to 200 rows within 45 seconds, in disorder.
pub(crate) fn rows() -> impl Strategy<Value = Vec<Row>> {
    let row = (
        0_i64..45_000,
        prop::option::weighted(0.9, 0_u8..6),
        prop::option::weighted(0.9, 0_u8..4),
        prop::option::weighted(0.95, select(vec![1_u8, 6, 17])),
        prop::option::weighted(0.9, select(vec![53_u16, 80, 443, 8080])),
        prop::option::weighted(0.95, 40_u16..1500),
    );
    prop::collection::vec(row, 0..200)
}

/// The row as decoders give it.
pub(crate) fn packet_row(&(ms, src, dst, protocol, port, octets): &Row) -> PacketRow {
    let addresses = ["10.0.0.1", "10.0.0.2", "10.0.1.1", "192.0.2.7", "2001:db8::1", "2001:db8::2"];
    let address = |number: Option<u8>| {
        number.and_then(|number| parse_ip(addresses[usize::from(number)])).unwrap_or_default()
    };
    let present = [
        (PacketColumn::Ts, true),
        (PacketColumn::Source, true),
        (PacketColumn::SrcIp, src.is_some()),
        (PacketColumn::DstIp, dst.is_some()),
        (PacketColumn::Protocol, protocol.is_some()),
        (PacketColumn::DstPort, port.is_some()),
        (PacketColumn::TcpFlags, protocol == Some(6)),
        (PacketColumn::Octets, octets.is_some()),
        (PacketColumn::FrameOctets, true),
    ];
    PacketRow {
        present: present.iter().filter(|(_, has)| *has).fold(0, |bits, (column, _)| bits | column.bit()),
        ts: 1_700_000_000_000_000_000 + ms * 1_000_000,
        src_ip: address(src),
        dst_ip: address(dst),
        protocol: protocol.unwrap_or_default(),
        dst_port: port.unwrap_or_default(),
        tcp_flags: octets.unwrap_or_default() % 32,
        octets: u64::from(octets.unwrap_or_default()),
        ..PacketRow::default()
    }
}

const KEYS: [&str; 9] = [
    "src_ip",
    "dst_ip",
    "protocol",
    "dst_port",
    "octets / 500",
    "protocol = 6",
    "coalesce(dst_port, protocol)",
    "sensor",
    "lower(site)",
];
const AGGREGATES: [&str; 9] = [
    "count(*)",
    "count(dst_port)",
    "sum(octets)",
    "min(octets)",
    "max(src_ip)",
    "avg(octets)",
    "sum(octets + 1) FILTER (WHERE dst_port = 443)",
    "count(DISTINCT dst_ip)",
    "max(ts)",
];
const FILTERS: [&str; 8] = [
    "",
    "WHERE protocol IN (6, 17)",
    "WHERE octets BETWEEN 100 AND 900",
    "WHERE src_ip IS NULL OR dst_port < 1000",
    "WHERE cidr(src_ip, '10.0.0.0/16') AND NOT protocol = 1",
    "WHERE false",
    "WHERE sensor = 'probe-2' OR dst_port = 53",
    "WHERE site = 'south' AND protocol = 6",
];
const WINDOWS: [&str; 5] = [
    "",
    "tumble('7 seconds')",
    "tumble('60 seconds')",
    "hop('5 seconds', '15 seconds')",
    "hop('4 s', '10 s')",
];
const HAVINGS: [&str; 3] = ["", "HAVING count(*) > 1", "HAVING max(octets) > 600 OR min(octets) IS NULL"];

const COMMON_KEYS: [&str; 6] = [
    "src_ip, dst_ip",
    "dst_port, protocol",
    "network(src_ip, 16, 48), protocol",
    "text(src_ip)",
    "octets / 500, dst_ip",
    "dst_ip",
];
const COMMON_FILTERS: [&str; 8] = [
    "",
    "WHERE protocol = 6",
    "WHERE protocol = 6 AND dst_port < 1000",
    "WHERE dst_port < 1000",
    "WHERE src_ip IS NULL OR dst_port < 1000",
    "WHERE octets > 700 AND dst_port < 1000 AND protocol = 6",
    "WHERE octets / 100 > 3",
    "WHERE octets / 100 > 3 AND protocol = 6",
];

/// Queries that have much in common: conditions, keys, windows or all of these.
pub(crate) fn queries_in_common() -> impl Strategy<Value = Vec<String>> {
    let keys = prop::collection::vec(select(&COMMON_KEYS[..]), 1..=2);
    let query = |keys: Vec<&'static str>| {
        let clauses = (select(&COMMON_FILTERS[..]), select(&WINDOWS[..]));
        let query = (select(keys), clauses, subsequence(AGGREGATES.to_vec(), 1..=3));
        let text = |(keys, (filter, window), aggregates): (&str, (&str, &str), Vec<&str>)| {
            let aggregates = aggregates.iter().enumerate();
            let list: Vec<String> = aggregates.map(|(number, text)| format!("{text} AS a{number}")).collect();
            let window = if window.is_empty() { String::new() } else { format!(", {window}") };
            format!("SELECT {keys}, {} FROM packets {filter} GROUP BY {keys}{window}", list.join(", "))
        };
        prop::collection::vec(query.prop_map(text), 2..=6)
    };
    keys.prop_flat_map(query)
}

/// A query of some keys, aggregates, filter, window and HAVING; sometimes regrouped once more.
pub(crate) fn query() -> impl Strategy<Value = String> {
    let keys = subsequence(KEYS.to_vec(), 0..=3);
    let aggregates = subsequence(AGGREGATES.to_vec(), 1..=4);
    let clauses = (select(&FILTERS[..]), select(&WINDOWS[..]), select(&HAVINGS[..]));
    (keys, aggregates, clauses, any::<bool>()).prop_map(|(keys, aggregates, clauses, regroup)| {
        let (filter, window, having) = clauses;
        let named = |(number, text): (usize, &&str)| format!("{text} AS c{number}");
        let list: Vec<String> = keys.iter().chain(&aggregates).enumerate().map(named).collect();
        let mut groups: Vec<&str> = keys.clone();
        groups.extend(Some(window).filter(|window| !window.is_empty()));
        let group_by =
            if groups.is_empty() { String::new() } else { format!("GROUP BY {}", groups.join(", ")) };
        let inner = format!("SELECT {} FROM packets {filter} {group_by} {having}", list.join(", "));
        if regroup { format!("SELECT count(*) AS n, count(c0) AS m FROM ({inner})") } else { inner }
    })
}
