//! What the meter is told: some packets of one flow.
//!
//! Takes a decoded packet, gives a [`FlowUpdate`]; a kernel flow table gives updates of many
//! packets at once. A field counts only when its bit in `present` is set.

use tapline_record::address::Mac;
use tapline_record::column::Symbol;
use tapline_record::{FlowColumn, FlowKey, PacketColumn, PacketRow};

/// TCP flags that end a flow: FIN and RST.
const CLOSING_FLAGS: u16 = 0x01 | 0x04;

/// Some packets of one flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowUpdate {
    /// The flow.
    pub key: FlowKey,
    /// The columns that these packets carry, one [`PacketColumn::bit`] each.
    pub present: u64,
    /// Packets.
    pub packets: u64,
    /// Octets of the IP packets.
    pub octets: u64,
    /// Time of the first packet, nanoseconds since the epoch.
    pub first: i64,
    /// Time of the last packet, nanoseconds since the epoch.
    pub last: i64,
    /// TCP flags, joined by OR.
    pub tcp_flags: u16,
    /// Type of service or traffic class of the first packet.
    pub tos: u8,
    /// 0 ingress, 1 egress.
    pub direction: u8,
    /// Topmost MPLS label of the first packet.
    pub mpls_label: u32,
    /// The source that the first packet came from.
    pub source: Symbol,
    /// Source MAC address of the first packet.
    pub src_mac: Mac,
    /// Destination MAC address of the first packet.
    pub dst_mac: Mac,
}

impl FlowUpdate {
    /// One packet of this source and of this key, which is [`key_of`] it.
    #[inline]
    pub(super) fn of_packet(packet: &PacketRow, key: FlowKey, source: Symbol) -> Self {
        let when = |column: PacketColumn, value: u16| if packet.has(column) { value } else { 0 };
        let octet = |column, value: u8| when(column, value.into()).to_le_bytes()[0];
        Self {
            key,
            present: packet.present,
            packets: 1,
            octets: if packet.has(PacketColumn::Octets) { packet.octets } else { 0 },
            first: packet.ts,
            last: packet.ts,
            tcp_flags: when(PacketColumn::TcpFlags, packet.tcp_flags),
            tos: octet(PacketColumn::Dscp, packet.dscp << 2) | octet(PacketColumn::Ecn, packet.ecn & 3),
            direction: packet.direction,
            mpls_label: packet.mpls_label,
            source,
            src_mac: packet.src_mac,
            dst_mac: packet.dst_mac,
        }
    }

    /// Whether one of the packets ends the flow.
    #[must_use]
    #[inline]
    pub(crate) const fn closes(&self) -> bool {
        self.tcp_flags & CLOSING_FLAGS != 0
    }
}

/// Later fragments have no ports; that is a key of its own, whatever the fields hold.
#[inline]
pub(super) fn key_of(packet: &PacketRow) -> FlowKey {
    let wide = |column, value| if packet.has(column) { value } else { 0 };
    let octet = |column, value| if packet.has(column) { value } else { 0 };
    FlowKey {
        src_ip: packet.src_ip,
        dst_ip: packet.dst_ip,
        src_port: wide(PacketColumn::SrcPort, packet.src_port),
        dst_port: wide(PacketColumn::DstPort, packet.dst_port),
        vlan: wide(PacketColumn::Vlan, packet.vlan),
        protocol: octet(PacketColumn::Protocol, packet.protocol),
        icmp_type: octet(PacketColumn::IcmpType, packet.icmp_type),
        icmp_code: octet(PacketColumn::IcmpCode, packet.icmp_code),
        ip_version: octet(PacketColumn::IpVersion, packet.ip_version),
        carried: packet.present as u32 & FlowKey::MAY_LACK,
    }
}

/// Whether a packet belongs to a flow: it has an IP header that names both ends.
#[inline]
pub(super) const fn has_addresses(packet: &PacketRow) -> bool {
    packet.present & ADDRESSES == ADDRESSES
}

const ADDRESSES: u64 = PacketColumn::SrcIp.bit() | PacketColumn::DstIp.bit();

/// Columns that a flow has from its packets.
const CARRIED: [(PacketColumn, FlowColumn); 14] = [
    (PacketColumn::SrcIp, FlowColumn::SrcIp),
    (PacketColumn::DstIp, FlowColumn::DstIp),
    (PacketColumn::SrcPort, FlowColumn::SrcPort),
    (PacketColumn::DstPort, FlowColumn::DstPort),
    (PacketColumn::Protocol, FlowColumn::Protocol),
    (PacketColumn::TcpFlags, FlowColumn::TcpFlags),
    (PacketColumn::Dscp, FlowColumn::Tos),
    (PacketColumn::Vlan, FlowColumn::Vlan),
    (PacketColumn::MplsLabel, FlowColumn::MplsLabel),
    (PacketColumn::SrcMac, FlowColumn::SrcMac),
    (PacketColumn::DstMac, FlowColumn::DstMac),
    (PacketColumn::IcmpType, FlowColumn::IcmpType),
    (PacketColumn::IcmpCode, FlowColumn::IcmpCode),
    (PacketColumn::Direction, FlowColumn::Direction),
];

/// The columns of `flows` that a packet with these columns carries.
#[inline]
pub(crate) fn columns_of(packet: u64) -> u64 {
    let moved = CARRIED.map(|(from, to)| (packet >> from as u8 & 1) << to as u8);
    let version = (packet >> PacketColumn::IpVersion as u8 & 1) << FlowColumn::IpVersion as u8;
    moved.iter().fold(version, |columns, column| columns | column)
}
