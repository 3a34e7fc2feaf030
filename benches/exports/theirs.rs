//! `netflow_parser`, and the columns filled of what it parsed, as simply as can be.

use crate::BATCH_ROWS;
use crate::sums::{Sums, low};
use crate::workload::Workload;
use netflow_parser::static_versions::v5;
use netflow_parser::variable_versions::ipfix::lookup::{IANAIPFixField as Ie, IPFixField};
use netflow_parser::variable_versions::{ipfix, v9};
use netflow_parser::{FieldValue, NetflowPacket, NetflowParser};
use std::net::Ipv4Addr;
use tapline_record::address::{Address, mapped_v4};
use tapline_trafficgen::exports::Protocol;

/// Parses all datagrams; gives the number of rows.
pub(crate) fn rows(workload: &Workload) -> usize {
    let mut rows = 0;
    parse(workload, |columns| rows += columns.octets.len());
    rows
}

/// Parses all datagrams and adds up every column.
pub(crate) fn sums(workload: &Workload) -> Sums {
    let mut sums = Sums::default();
    parse(workload, |columns| columns.add_to(&mut sums, workload.protocol));
    sums
}

fn parse(workload: &Workload, mut visit: impl FnMut(&Columns)) {
    let (mut parser, mut columns) = (NetflowParser::default(), Columns::default());
    for datagram in workload.datagrams() {
        let result = parser.parse_bytes(datagram.payload);
        assert!(result.is_ok(), "it parses");
        result.packets.iter().for_each(|packet| columns.add_packet(packet));
        if columns.octets.len() >= BATCH_ROWS {
            visit(&columns);
            columns.clear();
        }
    }
    visit(&columns);
}

/// Declares columns, each with what it adds to a sum.
macro_rules! columns {
    ($($name:ident: $kind:ty, $sum:expr;)+) => {
        /// The columns of a batch.
        #[derive(Default)]
        struct Columns { $($name: Vec<$kind>),+ }

        impl Columns {
            fn clear(&mut self) {
                $(self.$name.clear();)+
            }

            fn add_to(&self, sums: &mut Sums, protocol: Protocol) {
                $(if is_filled(stringify!($name), protocol) {
                    sums.add(stringify!($name), self.$name.iter().map($sum));
                })+
            }
        }
    };
}

columns! {
    ts: i64, |&time| time as u64;
    start_time: i64, |&time| time as u64;
    end_time: i64, |&time| time as u64;
    src_ip: Address, |address| low(address);
    dst_ip: Address, |address| low(address);
    next_hop: Address, |address| low(address);
    src_port: u16, |&value| value.into();
    dst_port: u16, |&value| value.into();
    protocol: u8, |&value| value.into();
    tcp_flags: u16, |&value| value.into();
    tos: u8, |&value| value.into();
    packets: i64, |&value| value as u64;
    octets: i64, |&value| value as u64;
    src_as: u32, |&value| value.into();
    dst_as: u32, |&value| value.into();
    src_mask: u8, |&value| value.into();
    dst_mask: u8, |&value| value.into();
    input_interface: u32, |&value| value.into();
    output_interface: u32, |&value| value.into();
    direction: u8, |&value| value.into();
    flow_end_reason: u8, |&value| value.into();
}

/// Whether the protocol's records fill a column.
fn is_filled(column: &str, protocol: Protocol) -> bool {
    match column {
        "direction" => protocol != Protocol::NetflowV5,
        "flow_end_reason" => protocol == Protocol::Ipfix,
        _ => true,
    }
}

/// When a message was sent, and the exporter's uptime then.
#[derive(Clone, Copy)]
struct Moment {
    sent_ns: i64,
    uptime_ms: u32,
}

impl Moment {
    /// The time that an uptime means.
    fn at_uptime(self, uptime_ms: u32) -> i64 {
        let ago_ms = self.uptime_ms.wrapping_sub(uptime_ms).cast_signed();
        self.sent_ns - i64::from(ago_ms) * 1_000_000
    }
}

impl Columns {
    fn add_packet(&mut self, packet: &NetflowPacket) {
        match packet {
            NetflowPacket::V5(packet) => self.add_v5(packet),
            NetflowPacket::V9(packet) => self.add_v9(packet),
            NetflowPacket::IPFix(packet) => self.add_ipfix(packet),
            _ => unreachable!("no datagram is of another protocol"),
        }
    }

    fn add_v5(&mut self, packet: &v5::V5) {
        let header = &packet.header;
        let sent_ns = i64::from(header.unix_secs) * 1_000_000_000 + i64::from(header.unix_nsecs);
        let moment = Moment { sent_ns, uptime_ms: header.sys_up_time };
        for flow in &packet.flowsets {
            let end_time = moment.at_uptime(flow.last);
            self.ts.push(end_time);
            self.start_time.push(moment.at_uptime(flow.first));
            self.end_time.push(end_time);
            self.src_ip.push(mapped_v4(flow.src_addr.octets()));
            self.dst_ip.push(mapped_v4(flow.dst_addr.octets()));
            self.next_hop.push(mapped_v4(flow.next_hop.octets()));
            self.src_port.push(flow.src_port);
            self.dst_port.push(flow.dst_port);
            self.protocol.push(flow.protocol_number);
            self.tcp_flags.push(flow.tcp_flags.into());
            self.tos.push(flow.tos);
            self.packets.push(flow.d_pkts.into());
            self.octets.push(flow.d_octets.into());
            self.src_as.push(flow.src_as.into());
            self.dst_as.push(flow.dst_as.into());
            self.src_mask.push(flow.src_mask);
            self.dst_mask.push(flow.dst_mask);
            self.input_interface.push(flow.input.into());
            self.output_interface.push(flow.output.into());
        }
    }

    fn add_v9(&mut self, packet: &v9::V9) {
        let header = &packet.header;
        let sent_ns = i64::from(header.unix_secs) * 1_000_000_000;
        let moment = Moment { sent_ns, uptime_ms: header.sys_up_time };
        for set in &packet.flowsets {
            let v9::FlowSetBody::Data(data) = &set.body else { continue };
            for (field, value) in data.fields.iter().flatten() {
                self.add_field((*field).into(), value, moment);
            }
        }
    }

    fn add_ipfix(&mut self, packet: &ipfix::IPFix) {
        let moment = Moment { sent_ns: 0, uptime_ms: 0 };
        for set in &packet.flowsets {
            let ipfix::FlowSetBody::Data(data) = &set.body else { continue };
            for (field, value) in data.fields.iter().flatten() {
                self.add_field(element_of(*field), value, moment);
            }
        }
    }

    /// Adds the value of an information element to its column.
    fn add_field(&mut self, element: u16, value: &FieldValue, moment: Moment) {
        match element {
            1 => self.octets.push(number(value) as i64),
            2 => self.packets.push(number(value) as i64),
            4 => self.protocol.push(number(value) as u8),
            5 => self.tos.push(number(value) as u8),
            6 => self.tcp_flags.push(number(value) as u16),
            7 => self.src_port.push(number(value) as u16),
            8 => self.src_ip.push(address(value)),
            9 => self.src_mask.push(number(value) as u8),
            10 => self.input_interface.push(number(value) as u32),
            11 => self.dst_port.push(number(value) as u16),
            12 => self.dst_ip.push(address(value)),
            13 => self.dst_mask.push(number(value) as u8),
            14 => self.output_interface.push(number(value) as u32),
            15 => self.next_hop.push(address(value)),
            16 => self.src_as.push(number(value) as u32),
            17 => self.dst_as.push(number(value) as u32),
            21 => self.add_end(moment.at_uptime(number(value) as u32)),
            22 => self.start_time.push(moment.at_uptime(number(value) as u32)),
            61 => self.direction.push(number(value) as u8),
            136 => self.flow_end_reason.push(number(value) as u8),
            152 => self.start_time.push(number(value) as i64 * 1_000_000),
            153 => self.add_end(number(value) as i64 * 1_000_000),
            _ => {}
        }
    }

    fn add_end(&mut self, time: i64) {
        self.end_time.push(time);
        self.ts.push(time);
    }
}

fn number(value: &FieldValue) -> u64 {
    match value {
        FieldValue::TcpControlBits(bits, _) => u16::from(*bits).into(),
        FieldValue::FlowEndReason(reason) => u8::from(*reason).into(),
        other => other.as_u64().or_else(|| other.as_u8().map(u64::from)).expect("a number"),
    }
}

fn address(value: &FieldValue) -> Address {
    let FieldValue::Ip4Addr(address) = value else { unreachable!("no field is of IPv6") };
    mapped_v4(Ipv4Addr::octets(address))
}

/// The number of an element, which the parser does not give back.
fn element_of(field: IPFixField) -> u16 {
    let IPFixField::IANA(element) = field else { return 0 };
    match element {
        Ie::OctetDeltaCount => 1,
        Ie::PacketDeltaCount => 2,
        Ie::ProtocolIdentifier => 4,
        Ie::IpClassOfService => 5,
        Ie::TcpControlBits => 6,
        Ie::SourceTransportPort => 7,
        Ie::SourceIpv4address => 8,
        Ie::SourceIpv4prefixLength => 9,
        Ie::IngressInterface => 10,
        Ie::DestinationTransportPort => 11,
        Ie::DestinationIpv4address => 12,
        Ie::DestinationIpv4prefixLength => 13,
        Ie::EgressInterface => 14,
        Ie::IpNextHopIpv4address => 15,
        Ie::BgpSourceAsNumber => 16,
        Ie::BgpDestinationAsNumber => 17,
        Ie::FlowDirection => 61,
        Ie::FlowEndReason => 136,
        Ie::FlowStartMilliseconds => 152,
        Ie::FlowEndMilliseconds => 153,
        _ => 0,
    }
}
