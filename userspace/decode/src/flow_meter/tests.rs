//! The rules of the meter, one case each, and the meter against naive models.

use super::{FlowEndReason, FlowMeter, FlowMeterCounters, FlowMeterLimits, FlowUpdate};
use proptest::prelude::{Strategy, any, prop, prop_assert, prop_assert_eq, proptest};
use std::collections::BTreeMap;
use tapline_record::address::mapped_v4;
use tapline_record::column::Symbol;
use tapline_record::{EventTime, FlowColumn, FlowKey, FlowRow, PacketColumn, PacketRow};

const MS: i64 = 1_000_000;
const FIN: u16 = 1;
const SYN: u16 = 2;
const RST: u16 = 4;
const ACK: u16 = 16;

/// A TCP packet of 100 octets.
pub(super) fn tcp(ms: i64, src_port: u16, tcp_flags: u16) -> PacketRow {
    PacketRow {
        present: PacketColumn::Ts.bit()
            | PacketColumn::SrcIp.bit()
            | PacketColumn::DstIp.bit()
            | PacketColumn::Protocol.bit()
            | PacketColumn::SrcPort.bit()
            | PacketColumn::DstPort.bit()
            | PacketColumn::TcpFlags.bit()
            | PacketColumn::Octets.bit(),
        ts: ms * MS,
        src_ip: mapped_v4([10, 0, 0, 1]),
        dst_ip: mapped_v4([10, 0, 0, 2]),
        protocol: 6,
        src_port,
        dst_port: 443,
        tcp_flags,
        octets: 100,
        ..PacketRow::default()
    }
}

/// The packet with a column more, or less.
fn with(mut packet: PacketRow, column: PacketColumn, set: impl Fn(&mut PacketRow)) -> PacketRow {
    packet.present |= column.bit();
    set(&mut packet);
    packet
}

fn without(mut packet: PacketRow, columns: &[PacketColumn]) -> PacketRow {
    packet.present &= !columns.iter().fold(0, |bits, column| bits | column.bit());
    packet
}

fn metered(limits: FlowMeterLimits, packets: &[PacketRow]) -> Vec<FlowRow> {
    let mut meter = FlowMeter::new(limits);
    let mut rows = vec![];
    for packet in packets {
        meter.update(packet, &mut |row| rows.push(*row));
    }
    meter.finish(&mut |row| rows.push(*row));
    assert_eq!(meter.flows(), 0);
    assert_eq!(meter.counters().flows, rows.len() as u64);
    rows
}

/// Start and end in milliseconds, packets, end reason.
type Flow = (i64, i64, u64, u8);
/// What it shows, packets as milliseconds and TCP flags, and the flows that they make.
type Case = (&'static str, &'static [(i64, u16)], &'static [Flow]);

pub(super) fn flows_of(rows: &[FlowRow]) -> Vec<Flow> {
    let flow = |row: &FlowRow| (row.start_time / MS, row.end_time / MS, row.packets, row.flow_end_reason);
    rows.iter().map(flow).collect()
}

#[test]
fn one_flow_ends_as_the_rules_say() {
    let cases: [Case; 14] = [
        ("a packet just before the inactive timeout", &[(0, ACK), (14_999, ACK)], &[(0, 14_999, 2, 4)]),
        (
            "a packet at the inactive timeout",
            &[(0, ACK), (15_000, ACK)],
            &[(0, 0, 1, 1), (15_000, 15_000, 1, 4)],
        ),
        (
            "an active flow is cut",
            &[(0, ACK), (14_000, ACK), (28_000, ACK), (42_000, ACK), (56_000, ACK), (60_000, ACK)],
            &[(0, 56_000, 5, 2), (60_000, 60_000, 1, 4)],
        ),
        ("the last ACK joins its flow", &[(0, FIN | ACK), (100, ACK)], &[(0, 100, 2, 3)]),
        ("so does one within the linger after RST", &[(0, RST), (1_999, RST)], &[(0, 1_999, 2, 3)]),
        (
            "the linger counts from the first FIN",
            &[(0, FIN), (1_500, FIN), (2_000, ACK)],
            &[(0, 1_500, 2, 3), (2_000, 2_000, 1, 4)],
        ),
        ("a SYN after the linger", &[(0, FIN), (2_500, SYN)], &[(0, 0, 1, 3), (2_500, 2_500, 1, 4)]),
        (
            "older packets extend the start",
            &[(5_000, ACK), (4_000, ACK), (4_500, ACK)],
            &[(4_000, 5_000, 3, 4)],
        ),
        (
            "and cut an active flow earlier",
            &[(9_000, ACK), (0, ACK), (20_000, ACK), (34_000, ACK), (48_000, ACK), (60_000, ACK)],
            &[(0, 48_000, 5, 2), (60_000, 60_000, 1, 4)],
        ),
        (
            "before the epoch",
            &[(-20_000, ACK), (-5_001, ACK), (9_999, ACK)],
            &[(-20_000, -5_001, 2, 1), (9_999, 9_999, 1, 4)],
        ),
        ("nothing", &[], &[]),
        (
            "a clock that steps back ends the flow",
            &[(3_600_000, ACK), (3_600_100, ACK), (0, ACK), (100, ACK)],
            &[(3_600_000, 3_600_100, 2, 4), (0, 100, 2, 4)],
        ),
        (
            "so does one packet that is a day ahead, in both directions",
            &[(0, ACK), (1_000, ACK), (86_400_000, ACK), (2_000, ACK), (3_000, FIN)],
            &[(0, 1_000, 2, 1), (86_400_000, 86_400_000, 1, 4), (2_000, 3_000, 2, 3)],
        ),
        (
            "a step within the inactive timeout does not",
            &[(20_000, ACK), (5_100, ACK), (15_000, ACK)],
            &[(5_100, 20_000, 3, 4)],
        ),
    ];
    for (what, packets, expected) in cases {
        let packets: Vec<_> = packets.iter().map(|&(ms, flags)| tcp(ms, 1000, flags)).collect();
        assert_eq!(flows_of(&metered(FlowMeterLimits::default(), &packets)), expected, "{what}");
    }
}

#[test]
fn flows_are_given_when_their_time_has_passed() {
    let mut meter = FlowMeter::new(FlowMeterLimits::default());
    let mut rows = vec![];
    meter.update(&tcp(0, 1, ACK), &mut |row| rows.push(*row));
    meter.update(&tcp(0, 2, FIN), &mut |row| rows.push(*row));
    meter.update(&tcp(0, 3, ACK), &mut |row| rows.push(*row));
    for (ms, open) in [(1_999, 3), (2_250, 2), (14_999, 2), (15_250, 0)] {
        meter.advance(EventTime(ms * MS), &mut |row| rows.push(*row));
        assert_eq!(meter.flows(), open, "at {ms} ms");
        assert!((ms - 15_250..=ms - 15_000).contains(&(meter.watermark().0 / MS)), "at {ms} ms");
    }
    assert_eq!(rows.iter().map(|row| row.src_port).collect::<Vec<_>>(), [2, 1, 3]);
    assert_eq!(rows[1].flow_end_reason, FlowEndReason::Idle as u8);
}

#[test]
fn a_deadline_at_the_start_of_a_tick_is_passed_with_it() {
    let mut meter = FlowMeter::new(FlowMeterLimits::default());
    let deadline = 1_000 * TICK_NS;
    meter.update(&PacketRow { ts: deadline - 15_000 * MS, ..tcp(0, 1, ACK) }, &mut |row| panic!("{row:?}"));
    meter.advance(EventTime(deadline - 1), &mut |row| panic!("{row:?}"));
    meter.advance(EventTime(deadline), &mut |_| ());
    assert_eq!(meter.flows(), 0);
}

#[test]
fn steps_of_the_clock_are_counted_and_hold_no_flow_back() {
    let mut meter = FlowMeter::new(FlowMeterLimits::default());
    let mut rows = vec![];
    let mut told = EventTime::MIN;
    for (hour, expected) in [(1, 0), (0, 1), (0, 1), (3, 1), (2, 2)] {
        meter.update(&tcp(hour * 3_600_000, hour as u16, ACK), &mut |row| rows.push(*row));
        assert_eq!(meter.counters().clock_steps, expected, "hour {hour}");
        assert!(meter.watermark() >= told, "the watermark does not step back");
        told = meter.watermark();
    }
    assert_eq!(rows.iter().map(|row| row.src_port).collect::<Vec<_>>(), [1, 0, 3]);
    let step_ms = i64::try_from(meter.counters().clock_step_max_ns).unwrap() / MS;
    assert!((3_599_800..=3_600_200).contains(&step_ms), "{step_ms}");
}

#[test]
fn time_that_is_told_steps_nothing_back() {
    let mut meter = FlowMeter::new(FlowMeterLimits::default());
    meter.update(&tcp(3_600_000, 1, ACK), &mut |row| panic!("{row:?}"));
    meter.advance(EventTime(0), &mut |row| panic!("{row:?}"));
    assert_eq!((meter.counters().clock_steps, meter.flows()), (0, 1));
}

#[test]
fn an_active_timeout_below_the_inactive_one_holds_backwards_too() {
    let limits = FlowMeterLimits { active_timeout_ms: 5_000, ..FlowMeterLimits::default() };
    let packets = [tcp(10_000, 1, ACK), tcp(6_000, 1, ACK), tcp(5_000, 1, ACK), tcp(0, 1, ACK)];
    assert_eq!(
        flows_of(&metered(limits, &packets)),
        [(6_000, 10_000, 2, 2), (5_000, 5_000, 1, 2), (0, 0, 1, 4)]
    );
}

#[test]
fn every_part_of_the_key_tells_flows_apart() {
    let base = tcp(0, 1000, ACK);
    let others = [
        PacketRow { src_ip: mapped_v4([10, 0, 0, 3]), ..base },
        PacketRow { dst_ip: mapped_v4([10, 0, 0, 3]), ..base },
        PacketRow { src_ip: base.dst_ip, dst_ip: base.src_ip, src_port: 443, dst_port: 1000, ..base },
        PacketRow { src_port: 1001, ..base },
        PacketRow { dst_port: 444, ..base },
        PacketRow { protocol: 17, ..base },
        with(base, PacketColumn::Vlan, |packet| packet.vlan = 0),
        with(base, PacketColumn::Vlan, |packet| packet.vlan = 5),
        with(base, PacketColumn::IcmpType, |packet| packet.icmp_type = 8),
        with(base, PacketColumn::IcmpCode, |packet| packet.icmp_code = 1),
        without(base, &[PacketColumn::SrcPort, PacketColumn::DstPort, PacketColumn::TcpFlags]),
        with(base, PacketColumn::IpVersion, |packet| packet.ip_version = 6),
    ];
    for other in others {
        assert_eq!(metered(FlowMeterLimits::default(), &[base, other]).len(), 2, "{other:?}");
    }
    let same = [
        with(base, PacketColumn::Ttl, |packet| packet.ttl = 9),
        with(base, PacketColumn::SrcMac, |packet| packet.src_mac = [1; 6]),
        without(PacketRow { vlan: 9, ..base }, &[PacketColumn::Vlan]),
    ];
    for other in same {
        assert_eq!(metered(FlowMeterLimits::default(), &[base, other]).len(), 1, "{other:?}");
    }
}

/// What a packet lacks is not what another one has as zero, whichever of them comes first.
#[test]
fn what_is_absent_equals_nothing_else() {
    let zero = PacketRow { protocol: 0, ..tcp(0, 0, ACK) };
    let mut zero = PacketRow { dst_port: 0, ..zero };
    for column in [PacketColumn::Vlan, PacketColumn::IcmpType, PacketColumn::IcmpCode] {
        zero = with(zero, column, |_| ());
    }
    let columns = [
        (PacketColumn::SrcPort, FlowColumn::SrcPort),
        (PacketColumn::DstPort, FlowColumn::DstPort),
        (PacketColumn::Vlan, FlowColumn::Vlan),
        (PacketColumn::Protocol, FlowColumn::Protocol),
        (PacketColumn::IcmpType, FlowColumn::IcmpType),
        (PacketColumn::IcmpCode, FlowColumn::IcmpCode),
    ];
    for (column, of_flow) in columns {
        let absent = without(zero, &[column]);
        for packets in [[zero, absent], [absent, zero]] {
            let rows = metered(FlowMeterLimits::default(), &packets);
            let carried: Vec<_> = rows.iter().map(|row| row.has(of_flow)).collect();
            assert_eq!(carried, packets.map(|packet| packet.has(column)), "{column:?}");
        }
    }
}

#[test]
fn a_row_has_what_its_first_packet_has() {
    let mut first = tcp(1, 1000, SYN);
    first = with(first, PacketColumn::Dscp, |packet| packet.dscp = 46);
    first = with(first, PacketColumn::Ecn, |packet| packet.ecn = 1);
    first = with(first, PacketColumn::SrcMac, |packet| packet.src_mac = [1; 6]);
    first = with(first, PacketColumn::DstMac, |packet| packet.dst_mac = [2; 6]);
    first = with(first, PacketColumn::MplsLabel, |packet| packet.mpls_label = 77);
    first = with(first, PacketColumn::IpVersion, |packet| packet.ip_version = 4);
    first = with(first, PacketColumn::Direction, |packet| packet.direction = 1);
    let mut second = with(tcp(2, 1000, ACK), PacketColumn::IpVersion, |packet| packet.ip_version = 4);
    second = with(second, PacketColumn::Dscp, |packet| packet.dscp = 1);
    second = with(second, PacketColumn::SrcMac, |packet| packet.src_mac = [3; 6]);
    let rows = metered(FlowMeterLimits::default(), &[first, second]);
    let [row] = rows[..] else { panic!("{rows:?}") };
    assert_eq!((row.ts, row.start_time, row.end_time), (2 * MS, MS, 2 * MS));
    assert_eq!((row.src_ip, row.dst_ip), (first.src_ip, first.dst_ip));
    assert_eq!((row.src_port, row.dst_port, row.protocol), (1000, 443, 6));
    assert_eq!((row.tcp_flags, row.tos, row.ip_version), (SYN | ACK, 46 << 2 | 1, 4));
    assert_eq!((row.packets, row.octets), (2, 200));
    assert_eq!((row.sampling_rate, row.scaled_packets, row.scaled_octets), (1, 2, 200));
    assert_eq!((row.src_mac, row.dst_mac), ([1; 6], [2; 6]));
    assert_eq!((row.mpls_label, row.direction, row.flow_end_reason), (77, 1, 4));
    for absent in [FlowColumn::Vlan, FlowColumn::IcmpType, FlowColumn::Exporter, FlowColumn::SrcAs] {
        assert!(!row.has(absent), "{absent:?}");
    }
}

#[test]
fn a_flow_is_of_the_source_of_its_first_packet() {
    let mut meter = FlowMeter::new(FlowMeterLimits::default());
    let mut rows = vec![];
    for (source, packet) in
        [(1, tcp(0, 1, ACK)), (2, tcp(1, 1, ACK)), (2, tcp(2, 2, ACK)), (1, tcp(3, 2, ACK))]
    {
        meter.set_source(Symbol(source));
        meter.update(&packet, &mut |row| rows.push(*row));
    }
    meter.finish(&mut |row| rows.push(*row));
    let mut found: Vec<_> = rows.iter().map(|row| (row.src_port, row.source.0, row.packets)).collect();
    found.sort_unstable();
    assert_eq!(found, [(1, 1, 2), (2, 2, 2)]);
    assert!(rows.iter().all(|row| row.has(FlowColumn::Source)));
}

#[test]
fn columns_are_present_where_the_packet_has_them() {
    let ports = [FlowColumn::SrcPort, FlowColumn::DstPort, FlowColumn::TcpFlags];
    let fragment =
        without(tcp(0, 9, 0), &[PacketColumn::SrcPort, PacketColumn::DstPort, PacketColumn::TcpFlags]);
    let mut echo = with(fragment, PacketColumn::IcmpType, |packet| packet.icmp_type = 8);
    echo = with(echo, PacketColumn::IcmpCode, |packet| packet.icmp_code = 0);
    echo = with(echo, PacketColumn::Vlan, |packet| packet.vlan = 0);
    let later = PacketRow { src_port: 77, ts: 5, ..fragment };
    let rows = metered(FlowMeterLimits::default(), &[fragment, echo, later]);
    let [fragments, echo] = rows[..] else { panic!("{rows:?}") };
    assert_eq!(fragments.packets, 2, "what the field holds does not matter");
    for column in ports {
        assert!(!fragments.has(column) && !echo.has(column), "{column:?}");
    }
    assert!(echo.has(FlowColumn::IcmpType) && echo.has(FlowColumn::IcmpCode) && echo.has(FlowColumn::Vlan));
    assert_eq!((echo.icmp_type, echo.icmp_code, echo.vlan), (8, 0, 0));
    let headless = without(tcp(0, 9, 0), &[PacketColumn::Octets, PacketColumn::Protocol]);
    let rows = metered(FlowMeterLimits::default(), &[headless]);
    assert!(rows[0].octets == 0 && rows[0].protocol == 0 && !rows[0].has(FlowColumn::Protocol));
}

#[test]
fn frames_without_ip_are_counted() {
    let mut meter = FlowMeter::new(FlowMeterLimits::default());
    let arp = without(tcp(0, 1, 0), &[PacketColumn::IpVersion, PacketColumn::SrcIp, PacketColumn::DstIp]);
    let mut cut_off = without(tcp(0, 1, 0), &[PacketColumn::DstIp]);
    cut_off.present |= PacketColumn::IpVersion.bit();
    for packet in [arp, tcp(0, 1, 0), cut_off] {
        meter.update(&packet, &mut |row| panic!("{row:?}"));
    }
    let counters = meter.counters();
    let FlowMeterCounters { packets, frames_without_ip, frames_with_damaged_ip, .. } = counters;
    assert_eq!((packets, frames_without_ip, frames_with_damaged_ip), (1, 1, 1));
}

#[test]
fn a_full_table_gives_the_flow_next_to_end() {
    let limits = FlowMeterLimits { flows_max: 2, ..FlowMeterLimits::default() };
    let packets = [tcp(0, 1, ACK), tcp(1_000, 2, ACK), tcp(9_000, 1, ACK), tcp(9_001, 3, ACK)];
    let rows = metered(limits, &packets);
    assert_eq!(rows[0].src_port, 2, "1 came first, but 2 is silent for longer");
    assert_eq!(rows[0].flow_end_reason, FlowEndReason::LackOfResources as u8);
    assert_eq!(rows.len(), 3);
}

#[test]
fn counted_updates_weigh_as_many_packets() {
    let key = FlowKey { src_port: 1, ..FlowKey::default() };
    let update =
        FlowUpdate { key, packets: 10, octets: 1000, first: 0, last: 40 * MS, ..FlowUpdate::default() };
    let later = FlowUpdate { first: 50 * MS, last: 90 * MS, tcp_flags: FIN, ..update };
    let mut meter = FlowMeter::new(FlowMeterLimits::default());
    let mut rows = vec![];
    meter.add(&update, &mut |row| rows.push(*row));
    meter.add(&later, &mut |row| rows.push(*row));
    meter.finish(&mut |row| rows.push(*row));
    assert_eq!(flows_of(&rows), [(0, 90, 20, 3)]);
    assert_eq!((rows[0].octets, meter.counters().packets), (2000, 20));
}

#[test]
fn times_at_the_ends_of_the_scale_do_no_harm() {
    let extremes = [0, i64::MAX, i64::MIN, 1, i64::MIN + 1, i64::MAX - 1, 0];
    for (inactive_timeout_ms, flows_max) in [(15_000, 1), (0, 3), (u32::MAX, 0), (1, u32::MAX)] {
        let limits = FlowMeterLimits { inactive_timeout_ms, flows_max, ..FlowMeterLimits::default() };
        let packets = extremes.map(|ts| PacketRow { ts, ..tcp(0, ts as u16 & 1, FIN) });
        let rows = metered(limits, &packets);
        assert_eq!(rows.iter().map(|row| row.packets).sum::<u64>(), 7);
    }
}

/// A packet of a random sequence: time in milliseconds since the one before, port, flags, octets.
pub(super) type Step = (i64, u16, u16, u64);

pub(super) fn steps(gaps: std::ops::Range<i64>) -> impl Strategy<Value = Vec<Step>> {
    let flags = prop::sample::select(vec![ACK, ACK, ACK, ACK, SYN, FIN, RST]);
    let gap = proptest::prop_oneof![9 => gaps.start.min(0) / 10..gaps.end / 10, 1 => gaps];
    prop::collection::vec((gap, 0_u16..12, flags, 20_u64..1500), 0..400)
}

pub(super) fn packets_of(steps: &[Step]) -> Vec<PacketRow> {
    let mut now = 1_000_000;
    let packet = |&(gap, port, flags, octets): &Step| {
        now += gap;
        PacketRow { octets, ..tcp(now, port, flags) }
    };
    steps.iter().map(packet).collect()
}

/// What the model and the meter must agree on: port, start, end, packets, octets, flags, reason.
pub(super) type Record = (u16, i64, i64, u64, u64, u16, u8);

fn record(row: &FlowRow) -> Record {
    let FlowRow { src_port, start_time, end_time, packets, octets, tcp_flags, flow_end_reason, .. } = *row;
    (src_port, start_time, end_time, packets, octets, tcp_flags, flow_end_reason)
}

pub(super) fn sorted(rows: &[FlowRow]) -> Vec<Record> {
    let mut records: Vec<Record> = rows.iter().map(record).collect();
    records.sort_unstable();
    records
}

/// The definition, one packet at a time, with a look at every flow when a tick of 2^27 ns begins.
#[derive(Default)]
struct Model {
    /// By port: the record, and the time of the first FIN or RST.
    open: BTreeMap<u16, (Record, Option<i64>)>,
    done: Vec<Record>,
    tick: Option<i64>,
}

const TICK_NS: i64 = 1 << 27;

impl Model {
    fn ended_by(&(record, closing): &(Record, Option<i64>), now: i64) -> Option<u8> {
        let (_, start, end, ..) = record;
        let idle = now - end >= 15_000 * MS;
        let aged = now - start >= 60_000 * MS;
        let closed = closing.is_some_and(|closing| now - closing >= 2_000 * MS);
        let timeout = if start + 60_000 * MS < end + 15_000 * MS { 2 } else { 1 };
        (idle || aged || closed).then_some(if closing.is_some() { 3 } else { timeout })
    }

    fn end(&mut self, port: u16, reason: u8) {
        let (mut record, _) = self.open.remove(&port).unwrap();
        record.6 = reason;
        self.done.push(record);
    }

    fn end_those_before(&mut self, now: i64) {
        let ended = self.open.iter().filter_map(|(&port, flow)| Some((port, Self::ended_by(flow, now)?)));
        for (port, reason) in ended.collect::<Vec<_>>() {
            self.end(port, reason);
        }
    }

    /// The clock stepped back by more than the inactive timeout.
    fn step_back(&mut self, tick: i64) {
        self.tick = Some(tick);
        for (port, (_, closing)) in self.open.clone() {
            self.end(port, if closing.is_some() { 3 } else { 4 });
        }
    }

    fn packet(&mut self, packet: &PacketRow) {
        let tick = packet.ts.div_euclid(TICK_NS);
        if self.tick.is_none_or(|known| tick > known) {
            self.tick = Some(tick);
            self.end_those_before(tick * TICK_NS);
        }
        if self.tick.is_some_and(|known| packet.ts < known.saturating_mul(TICK_NS) - 15_000 * MS) {
            self.step_back(tick);
        }
        self.count(packet);
    }

    fn count(&mut self, packet: &PacketRow) {
        let PacketRow { ts, src_port, octets, tcp_flags, .. } = *packet;
        if let Some(reason) = self.open.get(&src_port).and_then(|flow| Self::ended_by(flow, ts)) {
            self.end(src_port, reason);
        }
        let fresh = ((src_port, ts, ts, 0, 0, 0, 0), None);
        let (record, closing) = self.open.entry(src_port).or_insert(fresh);
        let (port, start, end, packets, sum, flags, _) = *record;
        *record = (port, start.min(ts), end.max(ts), packets + 1, sum + octets, flags | tcp_flags, 0);
        *closing = closing.or((tcp_flags & (FIN | RST) != 0).then_some(ts));
    }

    fn finish(mut self) -> Vec<Record> {
        for (mut record, closing) in self.open.into_values() {
            record.6 = if closing.is_some() { 3 } else { 4 };
            self.done.push(record);
        }
        self.done.sort_unstable();
        self.done
    }
}

/// The definition for packets in order: each key by itself, no time but the packets' own.
fn split_by_key(packets: &[PacketRow]) -> Vec<Record> {
    let mut model = Model::default();
    for packet in packets {
        model.count(packet);
    }
    model.finish()
}

/// Records without the reason, which at the end of input depends on how far time has come.
fn sums(records: &[Record]) -> Vec<Record> {
    records
        .iter()
        .map(|&(port, start, end, packets, octets, flags, _)| (port, start, end, packets, octets, flags, 0))
        .collect()
}

proptest! {
    #[test]
    fn packets_in_order_are_split_by_their_own_times(steps in steps(0..20_000)) {
        let packets = packets_of(&steps);
        let mut records = sums(&sorted(&metered(FlowMeterLimits::default(), &packets)));
        records.sort_unstable();
        let mut expected = sums(&split_by_key(&packets));
        expected.sort_unstable();
        prop_assert_eq!(records, expected);
    }

    #[test]
    fn packets_in_any_order_agree_with_the_model(steps in steps(-40_000..20_000)) {
        let packets = packets_of(&steps);
        let mut model = Model::default();
        packets.iter().for_each(|packet| model.packet(packet));
        prop_assert_eq!(sorted(&metered(FlowMeterLimits::default(), &packets)), model.finish());
    }

    #[test]
    fn no_flow_lasts_longer_than_the_active_timeout(
        steps in steps(-100_000..100_000),
        timeouts in any::<[u16; 3]>(),
    ) {
        let [active_timeout_ms, inactive_timeout_ms, linger_ms] = timeouts.map(|ms| u32::from(ms) + 1);
        let limits =
            FlowMeterLimits { active_timeout_ms, inactive_timeout_ms, linger_ms, ..FlowMeterLimits::default() };
        for row in metered(limits, &packets_of(&steps)) {
            prop_assert!(row.end_time - row.start_time < i64::from(active_timeout_ms) * MS);
        }
    }

    #[test]
    fn totals_are_exact_whatever_the_limits(
        steps in steps(-9_000..20_000),
        flows_max in 0_u32..12,
        timeouts in any::<[u16; 3]>(),
    ) {
        let [active, inactive, linger] = timeouts.map(u32::from);
        let limits = FlowMeterLimits {
            active_timeout_ms: active,
            inactive_timeout_ms: inactive,
            linger_ms: linger,
            flows_max,
        };
        let rows = metered(limits, &packets_of(&steps));
        prop_assert_eq!(rows.iter().map(|row| row.packets).sum::<u64>(), steps.len() as u64);
        prop_assert_eq!(rows.iter().map(|row| row.octets).sum::<u64>(), steps.iter().map(|step| step.3).sum::<u64>());
    }

    #[test]
    fn nothing_in_order_is_behind_the_watermark(steps in steps(0..20_000), flows_max in 1_u32..12) {
        let limits = FlowMeterLimits { flows_max, ..FlowMeterLimits::default() };
        let mut meter = FlowMeter::new(limits);
        for packet in packets_of(&steps) {
            let watermark = meter.watermark();
            let mut earliest = EventTime::MAX;
            meter.update(&packet, &mut |row| earliest = earliest.min(EventTime(row.ts)));
            prop_assert!(earliest >= watermark);
            prop_assert!(meter.watermark() >= watermark);
            prop_assert!(meter.flows() <= flows_max as usize);
        }
    }

    #[test]
    fn bursts_of_any_size_give_the_same_rows(steps in steps(-9_000..20_000), burst in 1_usize..100) {
        let packets = packets_of(&steps);
        let mut meter = FlowMeter::new(FlowMeterLimits::default());
        let mut rows = vec![];
        for burst in packets.chunks(burst) {
            meter.update_burst(burst, &mut |row| rows.push(*row));
        }
        meter.finish(&mut |row| rows.push(*row));
        let one_by_one = metered(FlowMeterLimits::default(), &packets);
        prop_assert_eq!(rows.iter().map(record).collect::<Vec<_>>(), one_by_one.iter().map(record).collect::<Vec<_>>());
    }

    #[test]
    fn time_told_between_packets_changes_nothing(steps in steps(-9_000..20_000), flows_max in 1_u32..12) {
        let limits = FlowMeterLimits { flows_max, ..FlowMeterLimits::default() };
        let packets = packets_of(&steps);
        let mut meter = FlowMeter::new(limits);
        let mut rows = vec![];
        for packet in &packets {
            meter.update(packet, &mut |row| rows.push(*row));
            meter.advance(EventTime(packet.ts), &mut |row| rows.push(*row));
        }
        meter.finish(&mut |row| rows.push(*row));
        let again = metered(limits, &packets);
        prop_assert_eq!(rows.iter().map(record).collect::<Vec<_>>(), again.iter().map(record).collect::<Vec<_>>());
    }
}
