//! Packets from a seed, and batches of them.

use arrow_array::RecordBatch;
use std::sync::Arc;
use tapline_operators::{SourceId, StreamBatch};
use tapline_query::ContinuousQuery;
use tapline_record::address::parse_ip;
use tapline_record::column::BURST_ROWS;
use tapline_record::{BatchBuilder, Epoch, Layout, PACKETS, PacketColumn, PacketRow, StreamId};
use tapline_trafficgen::random::Random;

pub(crate) const SECOND_NS: i64 = 1_000_000_000;
/// A full hour, with which the packets begin.
pub(crate) const BEGIN_NS: i64 = 1_700_002_800 * SECOND_NS;

/// Milliseconds in which all packets lie, and how far they are from the order of time.
const WITHIN_MS: u64 = 45_000;
const DISORDER_MS: u64 = 2_000;

const ADDRESSES: [&str; 6] = ["10.0.0.1", "10.0.0.2", "10.0.1.1", "192.0.2.7", "2001:db8::1", "2001:db8::2"];

/// So many packets between few hosts, a little out of the order of time.
pub(crate) fn packets(random: &mut Random, count: usize) -> Vec<PacketRow> {
    let mut rows: Vec<(u64, PacketRow)> = (0..count)
        .map(|_| {
            let ms = random.below(WITHIN_MS);
            (ms + random.below(DISORDER_MS), packet(random, ms))
        })
        .collect();
    rows.sort_by_key(|(order, _)| *order);
    rows.into_iter().map(|(_, row)| row).collect()
}

/// The same, each between hosts of its own.
pub(crate) fn packets_apart(random: &mut Random, count: usize) -> Vec<PacketRow> {
    let mut rows = packets(random, count);
    for row in &mut rows {
        row.present |= PacketColumn::SrcIp.bit() | PacketColumn::DstIp.bit();
        let mut address = || ((u128::from(random.bits()) << 64) | u128::from(random.bits())).to_be_bytes();
        (row.src_ip, row.dst_ip) = (address(), address());
    }
    rows
}

fn packet(random: &mut Random, ms: u64) -> PacketRow {
    let mut has = |percent: u64| random.percent(percent);
    let present = [
        (PacketColumn::Ts, true),
        (PacketColumn::Source, true),
        (PacketColumn::SrcIp, has(90)),
        (PacketColumn::DstIp, has(90)),
        (PacketColumn::Protocol, has(95)),
        (PacketColumn::DstPort, has(90)),
        (PacketColumn::Octets, has(95)),
        (PacketColumn::FrameOctets, true),
    ];
    let present = present.iter().filter(|(_, has)| *has).fold(0, |bits, (column, _)| bits | column.bit());
    let if_there = |column: PacketColumn, value: u64| if present & column.bit() == 0 { 0 } else { value };
    let mut address = |column: PacketColumn| {
        let address = parse_ip(random.choose::<&str>(&ADDRESSES)).unwrap();
        if present & column.bit() == 0 { Default::default() } else { address }
    };
    let (src_ip, dst_ip) = (address(PacketColumn::SrcIp), address(PacketColumn::DstIp));
    let protocol = *random.choose(&[1, 6, 17]);
    let port = *random.choose(&[53, 80, 443, 8080]);
    let octets = random.within(40..1500);
    PacketRow {
        present,
        ts: BEGIN_NS + ms as i64 * 1_000_000,
        src_ip,
        dst_ip,
        protocol: if_there(PacketColumn::Protocol, protocol) as u8,
        dst_port: if_there(PacketColumn::DstPort, port) as u16,
        octets: if_there(PacketColumn::Octets, octets),
        ..PacketRow::default()
    }
}

/// All rows as one batch of what a query reads.
pub(crate) fn batch_of(query: &ContinuousQuery, rows: &[PacketRow]) -> StreamBatch {
    let columns = query.columns_of(&PACKETS).unwrap();
    let mut of_streams = [const { None }; StreamId::COUNT];
    of_streams[StreamId::Packets as usize] = Some(columns.clone());
    let layout = Arc::new(Layout::new(Epoch(1), of_streams));
    StreamBatch { source: SourceId(0), stream: &PACKETS, layout, batch: build(rows, &columns), sequence: 0 }
}

fn build(rows: &[PacketRow], columns: &[usize]) -> RecordBatch {
    let mut builder = BatchBuilder::new(&PACKETS, columns, rows.len());
    for burst in rows.chunks(BURST_ROWS) {
        builder.append(burst.len(), |position, column| PacketRow::append(burst, position, column));
    }
    builder.finish()
}
