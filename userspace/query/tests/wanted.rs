//! What a query is said to need of packets holds of each packet that its conditions let through, and where all of them can
//! be said, of no other: random conditions, as DataFusion executes them, meet random packets.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use datafusion::arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use datafusion::physical_expr::PhysicalExpr;
use proptest::prelude::*;
use proptest::sample::select;
use std::sync::{Arc, LazyLock};
use tapline_query::{ContinuousQuery, Planner, Step};
use tapline_record::{BatchBuilder, PACKETS, PacketColumn, PacketRow};

static PLANNER: LazyLock<Planner> = LazyLock::new(Planner::new);

/// Conditions that a filter can say.
const SAID: &[&str] = &[
    "dst_port = 53",
    "dst_port <> 53",
    "src_port < 1024",
    "src_port >= 1024",
    "dst_port > -1",
    "dst_port = 70000",
    "dst_port IN (53, 80)",
    "dst_port IN (1, 3, 5, 7, 53)",
    "dst_port NOT IN (1, 3, 5, 7, 53)",
    "src_port BETWEEN 50 AND 60",
    "protocol = 17",
    "vlan IS NULL",
    "vlan IS NOT NULL",
    "vlan = 7",
    "ip_version = 4",
    "icmp_type IS NULL",
    "octets > 100",
    "frame_octets <= 100",
    "tcp_flags & 2 <> 0",
    "tcp_flags & 18 = 2",
    "src_mac = '00:00:00:00:00:01'",
    "src_ip = '10.0.0.1'",
    "src_ip <> '10.0.0.1'",
    "src_ip IN ('10.0.0.1', '2001:db8::1')",
    "src_ip BETWEEN '10.0.0.0' AND '10.0.0.9'",
    "cidr(src_ip, '10.0.0.0/8')",
    "cidr(dst_ip, '2001:db8::/32')",
    "cidr(dst_ip, '::/0')",
    "network(src_ip, 24, 32) = '10.0.0.0'",
    "network(src_ip, 24, 32) = '10.0.0.1'",
    "network(dst_ip, 8, 32) <> '2001:db8::'",
    "network(src_ip, 24, 32) IN ('10.0.0.0', '2001:db8::')",
    "true",
    "false",
    "(dst_port IS DISTINCT FROM 53)",
    "(src_port IS NOT DISTINCT FROM 53)",
];

/// Conditions that it cannot say.
const UNSAID: &[&str] = &[
    "src_port = dst_port",
    "ttl % 2 = 0",
    "src_ip < dst_ip",
    "text(src_ip) LIKE '10.%'",
    "coalesce(vlan, 0) = 0",
];

fn condition(leaves: &'static [&'static str]) -> impl Strategy<Value = String> {
    let leaf = select(leaves).prop_map(str::to_owned);
    leaf.prop_recursive(4, 12, 3, |inner| {
        let some = || prop::collection::vec(inner.clone(), 2..4);
        prop_oneof![
            some().prop_map(|parts| format!("({})", parts.join(" AND "))),
            some().prop_map(|parts| format!("({})", parts.join(" OR "))),
            inner.clone().prop_map(|inner| format!("NOT ({inner})")),
            inner.clone().prop_map(|inner| format!("(({inner}) IS TRUE)")),
            inner.prop_map(|inner| format!("(({inner}) IS NOT FALSE)")),
        ]
    })
}

fn all_leaves() -> &'static [&'static str] {
    static ALL: LazyLock<Vec<&str>> = LazyLock::new(|| [SAID, UNSAID].concat());
    &ALL
}

/// Addresses that conditions meet, and others.
fn address() -> impl Strategy<Value = [u8; 16]> {
    let of = |text: &str| tapline_record::address::parse_ip(text).unwrap();
    let known =
        ["10.0.0.0", "10.0.0.1", "10.0.0.9", "11.0.0.0", "2001:db8::", "2001:db8::1", "::", "::1"].map(of);
    prop_oneof![6 => select(known.to_vec()), 1 => any::<[u8; 16]>()]
}

fn port() -> impl Strategy<Value = u16> {
    prop_oneof![4 => select(vec![0, 1, 7, 53, 55, 80, 1023, 1024, 65_535]), 1 => any::<u16>()]
}

prop_compose! {
    fn packet()(
        present in any::<u64>(),
        [src_ip, dst_ip] in [address(), address()],
        [src_port, dst_port] in [port(), port()],
        protocol in select(vec![1_u8, 6, 17]),
        vlan in select(vec![0_u16, 7, 100]),
        [ttl, icmp_type, last] in any::<[u8; 3]>(),
        tcp_flags in 0..0x200_u16,
        octets in 0..300_u64,
    ) -> PacketRow {
        // What is not there is zero.
        let has = |column: PacketColumn| present & column.bit() != 0;
        let address = |column, address| if has(column) { address } else { [0; 16] };
        let number = |column, number| if has(column) { number } else { 0 };
        PacketRow {
            present: present | PacketColumn::FrameOctets.bit(),
            src_ip: address(PacketColumn::SrcIp, src_ip),
            dst_ip: address(PacketColumn::DstIp, dst_ip),
            src_port: number(PacketColumn::SrcPort, src_port),
            dst_port: number(PacketColumn::DstPort, dst_port),
            vlan: number(PacketColumn::Vlan, vlan),
            tcp_flags: number(PacketColumn::TcpFlags, tcp_flags),
            protocol: if has(PacketColumn::Protocol) { protocol } else { 0 },
            ip_version: if has(PacketColumn::IpVersion) { 4 + 2 * (protocol & 1) } else { 0 },
            ttl: if has(PacketColumn::Ttl) { ttl } else { 0 },
            icmp_type: if has(PacketColumn::IcmpType) { icmp_type } else { 0 },
            src_mac: if has(PacketColumn::SrcMac) { [0, 0, 0, 0, 0, last & 3] } else { [0; 6] },
            octets: if has(PacketColumn::Octets) { octets } else { 0 },
            frame_octets: octets + 14,
            ..PacketRow::default()
        }
    }
}

fn planned(condition: &str) -> ContinuousQuery {
    let sql = format!("SELECT ttl FROM packets WHERE {condition}");
    PLANNER.plan(&sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
}

/// Which rows of packets the query's conditions let through, as its operators look at them.
fn let_through(query: &ContinuousQuery, rows: &[PacketRow]) -> Vec<bool> {
    // Where no row can meet them, nothing is read.
    let Some(branch) = query.lowers.iter().flat_map(|lower| &lower.branches).next() else {
        return vec![false; rows.len()];
    };
    let mut builder = BatchBuilder::new(&PACKETS, &branch.columns, rows.len().next_power_of_two() * 64);
    builder.append(rows.len(), |position, column| PacketRow::append(rows, position, column));
    let mut batch: RecordBatch = builder.finish();
    let mut through = vec![true; rows.len()];
    for step in &branch.steps {
        let columns =
            |one: &Arc<dyn PhysicalExpr>| one.evaluate(&batch).unwrap().into_array(rows.len()).unwrap();
        match step {
            Step::Filter(predicate) => {
                let met = columns(predicate);
                let met: &BooleanArray = met.as_boolean();
                for (row, through) in through.iter_mut().enumerate() {
                    *through &= met.is_valid(row) && met.value(row);
                }
            }
            Step::Project(expressions, schema) => {
                let columns = expressions.iter().map(columns).collect();
                batch = RecordBatch::try_new(Arc::clone(schema), columns).unwrap();
            }
        }
    }
    through
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_is_said_is_what_is_executed(
        condition in condition(SAID),
        rows in prop::collection::vec(packet(), 1..40),
    ) {
        let query = planned(&condition);
        let wanted = query.wanted_of(&PACKETS);
        for (row, through) in rows.iter().zip(let_through(&query, &rows)) {
            prop_assert_eq!(wanted.holds(row), through, "{}: {} of {:?}", &condition, wanted.sql(), row);
        }
    }

    #[test]
    fn what_cannot_be_said_only_lets_more_through(
        condition in condition(all_leaves()),
        rows in prop::collection::vec(packet(), 1..40),
    ) {
        let query = planned(&condition);
        let wanted = query.wanted_of(&PACKETS);
        for (row, through) in rows.iter().zip(let_through(&query, &rows)) {
            prop_assert!(wanted.holds(row) || !through, "{}: {} of {:?}", &condition, wanted.sql(), row);
        }
    }
}
