//! Packets of any keys in, compared with their sums by key and pane.

use super::*;
use std::collections::BTreeMap;
use tapline_record::StreamId;
use tapline_record::address::mapped_v4;
use tapline_trafficgen::random::Random;

const ALL_PACKET_COLUMNS: u64 = (1 << PacketColumn::ALL.len()) - 1;

/// A packet of one of some flows, which may lack any column; what it lacks holds whatever was there before.
fn packet(random: &mut Random, ts: i64) -> PacketRow {
    let version = if random.below(3) == 0 { 6 } else { 4 };
    let address = |number: u64| match version {
        4 => mapped_v4([10, 0, 0, number as u8]),
        _ => [0x20 + number as u8; 16],
    };
    let lacking = if random.below(2) == 0 { 1 << random.below(PacketColumn::ALL.len() as u64) } else { 0 };
    let always = PacketColumn::Ts.bit() | PacketColumn::FrameOctets.bit();
    PacketRow {
        present: ALL_PACKET_COLUMNS & !lacking | always,
        ts,
        direction: random.below(2) as u8,
        src_mac: [random.below(2) as u8; 6],
        dst_mac: [0xff, 0, 0, 0, 0, random.below(2) as u8],
        ethertype: 0x0800,
        vlan: random.below(2) as u16 * 4095,
        inner_vlan: 7,
        ip_version: version,
        src_ip: address(random.below(3)),
        dst_ip: address(random.below(2)),
        protocol: 17,
        ttl: random.below(2) as u8 * 255,
        dscp: random.below(2) as u8,
        ecn: 3,
        src_port: random.below(2) as u16 * 0xffff,
        dst_port: 53,
        tcp_flags: random.below(2) as u16,
        icmp_type: 8,
        icmp_code: random.below(2) as u8,
        octets: random.below(1_500),
        frame_octets: 60 + random.below(1_500),
        ..PacketRow::default()
    }
}

/// Sums by the text of pane and keys: packets, octets, octets of frames, first and last time.
type Sums = BTreeMap<String, [i64; 5]>;

fn add(sums: &mut Sums, key: String, [packets, octets, frame_octets, first, last]: [i64; 5]) {
    let sum = sums.entry(key).or_insert([0, 0, 0, i64::MAX, i64::MIN]);
    *sum = [sum[0] + packets, sum[1] + octets, sum[2] + frame_octets, sum[3].min(first), sum[4].max(last)];
}

/// Sums of the rows of batches; where these are packets, each counts for one.
fn sums_of(batches: &[RecordBatch], keys: &[&str], pane_ns: Option<i64>) -> Sums {
    let mut sums = Sums::new();
    for batch in batches {
        let number = |name: &str, row: usize| -> Option<i64> {
            let column = batch.column_by_name(name)?;
            let text = arrow_cast_text(column, row)?;
            Some(text.parse().unwrap())
        };
        for row in 0..batch.num_rows() {
            let ts = number("ts", row).unwrap();
            let last = number("last_ts", row).unwrap_or(ts);
            let pane = |time: i64| pane_ns.map(|width| EventTime(time).align_down(width).0);
            assert_eq!(pane(ts), pane(last), "a row is of one pane");
            let values: Vec<_> =
                keys.iter().map(|key| arrow_cast_text(batch.column_by_name(key).unwrap(), row)).collect();
            let key = format!("{:?} {values:?} {}", pane(ts), number("octets", row).is_some());
            let octets = number("octets", row).unwrap_or_default();
            let values = [number("packets", row).unwrap_or(1), octets, number("frame_octets", row).unwrap()];
            let [packets, octets, frame_octets] = values;
            add(&mut sums, key, [packets, octets, frame_octets, ts, last]);
        }
    }
    sums
}

/// The value of a column as text; `None` of NULL.
fn arrow_cast_text(column: &dyn arrow_array::Array, row: usize) -> Option<String> {
    use arrow_array::cast::AsArray as _;
    use arrow_array::types::{Int64Type, TimestampNanosecondType, UInt8Type, UInt16Type};
    use arrow_schema::DataType;
    if column.is_null(row) {
        return None;
    }
    Some(match column.data_type() {
        DataType::UInt8 => column.as_primitive::<UInt8Type>().value(row).to_string(),
        DataType::UInt16 => column.as_primitive::<UInt16Type>().value(row).to_string(),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::Timestamp(_, _) => column.as_primitive::<TimestampNanosecondType>().value(row).to_string(),
        DataType::Utf8 => column.as_string::<i32>().value(row).to_owned(),
        _ => format!("{:x?}", column.as_fixed_size_binary().value(row)),
    })
}

fn take_all(cache: &mut FlowCache) -> Vec<RecordBatch> {
    std::iter::from_fn(|| cache.take(true)).collect()
}

/// The packets themselves, with the columns of these names.
fn batch_of(packets: &[PacketRow], names: &[&str]) -> RecordBatch {
    let positions: Vec<_> = names.iter().map(|name| PACKETS.position(name).unwrap()).collect();
    let mut builder = BatchBuilder::new(&PACKETS, &positions, packets.len() + BURST_ROWS);
    for burst in packets.chunks(BURST_ROWS) {
        builder.append(burst.len(), |position, column| PacketRow::append(burst, position, column));
    }
    builder.finish()
}

const KEYS: [&str; 19] = [
    "direction",
    "src_mac",
    "dst_mac",
    "ethertype",
    "vlan",
    "inner_vlan",
    "ip_version",
    "src_ip",
    "dst_ip",
    "protocol",
    "ttl",
    "dscp",
    "ecn",
    "src_port",
    "dst_port",
    "tcp_flags",
    "icmp_type",
    "icmp_code",
    "octets",
];

#[test]
fn rows_of_any_keys_stand_for_all_packets_of_their_pane() {
    let mut random = Random::new(7, "packets");
    for round in 0..300 {
        let keys: Vec<_> = KEYS.into_iter().filter(|_| random.below(3) == 0).collect();
        let own = ["ts", "octets", "frame_octets", "last_ts", "packets"];
        let mut columns: Vec<_> =
            keys.iter().chain(&own).map(|name| PACKET_FLOWS.position(name).unwrap()).collect();
        columns.sort_unstable();
        columns.dedup();
        let pane_ns = (round % 3 > 0).then_some(1_000);
        let mut cache = FlowCache::new(&columns, pane_ns, 256);
        let mut time = 0;
        let mut next = || {
            time += random.below(5) as i64;
            let earlier = if random.below(20) == 0 { random.below(3_000) as i64 } else { 0 };
            packet(&mut random, time - earlier)
        };
        let packets: Vec<_> = (0..2_000).map(|_| next()).collect();
        let mut given = vec![];
        for burst in packets.chunks(1 + round % 90) {
            cache.update_burst(burst);
            given.extend(std::iter::from_fn(|| cache.take(false)));
        }
        cache.flush();
        assert_eq!(cache.oldest(), EventTime::MAX);
        given.extend(take_all(&mut cache));
        let keys: Vec<_> = keys.into_iter().filter(|key| *key != "octets").collect();
        let names: Vec<_> = keys.iter().chain(&["ts", "octets", "frame_octets"]).copied().collect();
        let expected = sums_of(&[batch_of(&packets, &names)], &keys, pane_ns);
        assert_eq!(sums_of(&given, &keys, pane_ns), expected, "round {round}, keys {keys:?}");
    }
}

/// Some packets of one flow a number, at these times.
fn packets_at(times: impl IntoIterator<Item = (i64, u16)>) -> Vec<PacketRow> {
    let row = |(ts, src_port)| PacketRow {
        present: PacketColumn::Ts.bit() | PacketColumn::SrcPort.bit() | PacketColumn::FrameOctets.bit(),
        ts,
        src_port,
        ..PacketRow::default()
    };
    times.into_iter().map(row).collect()
}

fn cache(pane_ns: Option<i64>) -> FlowCache {
    let columns = [PacketFlowColumn::Ts, PacketFlowColumn::SrcPort, PacketFlowColumn::Packets];
    FlowCache::new(&columns.map(|column| column as usize), pane_ns, 1 << 20)
}

/// How many packets each row of `batches` has.
fn rows(batches: &[RecordBatch]) -> Vec<i64> {
    use arrow_array::cast::AsArray as _;
    let packets = |batch: &RecordBatch| {
        batch.column(2).as_primitive::<arrow_array::types::Int64Type>().values().to_vec()
    };
    batches.iter().flat_map(packets).collect()
}

#[test]
fn a_later_pane_gives_the_one_before_and_an_earlier_packet_is_a_row() {
    let mut cache = cache(Some(10));
    cache.update_burst(&packets_at([(10, 1), (11, 1), (12, 2), (9, 1), (19, 1)]));
    assert_eq!((cache.oldest(), rows(&take_all(&mut cache))), (EventTime(10), vec![1]), "that of before");
    cache.update_burst(&packets_at([(20, 1)]));
    assert_eq!((cache.oldest(), rows(&take_all(&mut cache))), (EventTime(20), vec![3, 1]));
    cache.advance(EventTime(29));
    assert_eq!(cache.oldest(), EventTime(20), "the pane has not ended");
    cache.advance(EventTime(30));
    assert_eq!((cache.oldest(), rows(&take_all(&mut cache))), (EventTime::MAX, vec![1]));
}

#[test]
fn a_clock_that_was_set_back_does_not_make_rows_of_all_packets() {
    let mut cache = cache(Some(10));
    cache.update_burst(&packets_at([(1_000, 1)]));
    cache.update_burst(&packets_at((0..100).map(|_| (5, 1))));
    cache.flush();
    assert_eq!(rows(&take_all(&mut cache)), [1, 1, 99]);
}

#[test]
fn the_ends_of_time_are_taken() {
    for pane_ns in [None, Some(10)] {
        let mut cache = cache(pane_ns);
        let times = [i64::MIN, i64::MAX, 0, i64::MAX - 1, i64::MIN];
        cache.update_burst(&packets_at(times.map(|time| (time, 1))));
        cache.flush();
        assert_eq!(rows(&take_all(&mut cache)).iter().sum::<i64>(), 5);
    }
}

#[test]
fn packets_without_a_common_flow_go_by_and_come_back_later() {
    let mut cache = cache(Some(1 << 40));
    let others = |from: u64, to: u64| packets_at((from..to).map(|number| (0, number as u16)));
    let half = JUDGED_PACKETS / 2;
    // Twice as many packets as flows is not worth the cache; it shows when the pane ends.
    cache.update_burst(&others(0, half));
    cache.update_burst(&others(0, half - 1));
    cache.update_burst(&others(half, half + 1));
    cache.flush();
    take_all(&mut cache);
    let passing = PASSING_TIMES * JUDGED_PACKETS;
    for _ in 0..passing / 8 {
        cache.update_burst(&packets_at([(0, 1); 8]));
    }
    assert_eq!(cache.oldest(), EventTime::MAX, "no packet is being counted");
    assert_eq!(rows(&take_all(&mut cache)), vec![1; passing as usize]);
    cache.update_burst(&packets_at([(0, 1), (0, 1)]));
    cache.flush();
    assert_eq!(rows(&take_all(&mut cache)), [2]);
}

#[test]
fn more_flows_than_there_is_room_for_are_given_before_the_pane_ends() {
    let columns = [PacketFlowColumn::SrcIp, PacketFlowColumn::DstIp, PacketFlowColumn::Packets];
    let mut cache = FlowCache::new(&columns.map(|column| column as usize), None, 4096);
    let packet = |number: u32| PacketRow {
        present: PacketColumn::IpVersion.bit() | PacketColumn::SrcIp.bit() | PacketColumn::DstIp.bit(),
        ip_version: 4,
        src_ip: mapped_v4((number / 4).to_be_bytes()),
        ..PacketRow::default()
    };
    let flows = FLOWS_MAX as u32 + 1_000;
    let mut given = vec![];
    for burst in (0..4 * flows).map(packet).collect::<Vec<_>>().chunks(BURST_ROWS) {
        cache.update_burst(burst);
        assert!(cache.batches() * 4096 <= FLOWS_MAX + 4096);
        given.extend(std::iter::from_fn(|| cache.take(false)));
    }
    cache.flush();
    given.extend(take_all(&mut cache));
    let packets = rows(&given);
    assert_eq!(packets.iter().sum::<i64>(), i64::from(4 * flows));
    assert!(packets.len() <= flows as usize + 1, "{} rows", packets.len());
}

#[test]
fn a_new_layout_has_its_own_keys() {
    let mut cache = cache(None);
    cache.update_burst(&packets_at([(1, 1), (2, 2)]));
    cache.flush();
    assert_eq!(rows(&take_all(&mut cache)), [1, 1]);
    let columns = [PacketFlowColumn::Ts, PacketFlowColumn::FrameOctets, PacketFlowColumn::Packets];
    cache.relayout(&columns.map(|column| column as usize), Some(5));
    cache.update_burst(&packets_at([(1, 1), (2, 2), (5, 1)]));
    cache.flush();
    assert_eq!(rows(&take_all(&mut cache)), [2, 1]);
}

#[test]
fn every_column_but_the_streams_own_is_one_of_packets() {
    assert_eq!(PACKET_FLOWS.id, StreamId::PacketFlows);
    for (position, column) in PACKET_FLOWS.columns.iter().enumerate() {
        let place = place_in_packets(position);
        assert_eq!(place.is_none(), column.name == "packets", "{}", column.name);
        let is_same = place.is_none_or(|place| PACKETS.columns[place].kind == column.kind);
        assert!(is_same, "{} is of the type that packets have", column.name);
    }
}
