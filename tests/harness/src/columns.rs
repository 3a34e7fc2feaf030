//! The columns of the kernel's table, as it has them and as the decoder does; for every test that compares the two.

use tapline_decode::{Depth, Frame, LinkType, decode};
use tapline_ebpf_common::FlowKey;
use tapline_record::{EventTime, PacketColumn, PacketRow};

/// The key columns; `None` is NULL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Columns {
    /// Id of the outermost tag.
    pub vlan: Option<u16>,
    /// 4 or 6.
    pub ip_version: Option<u8>,
    /// IPv4 as an IPv6 address.
    pub src_ip: Option<[u8; 16]>,
    /// IPv4 as an IPv6 address.
    pub dst_ip: Option<[u8; 16]>,
    /// The protocol after extension headers.
    pub protocol: Option<u8>,
    /// Source and destination.
    pub ports: Option<[u16; 2]>,
    /// FIN to AE.
    pub tcp_flags: Option<u16>,
    /// Type and code.
    pub icmp: Option<[u8; 2]>,
    /// Whether the octets of IP are known.
    pub has_octets: bool,
}

/// What the decoder says of a frame of so many octets, of which the first are there; and its octets of IP, 0 where
/// that is NULL.
#[must_use]
pub fn of_frame(link: LinkType, bytes: &[u8], original_octets: u32) -> (Columns, u64) {
    let mut row = PacketRow::default();
    let frame = Frame { ts: EventTime(0), link, direction: None, interface: None, original_octets, bytes };
    decode(&frame, Depth::Transport, &mut row);
    let has = |column| row.has(column);
    let has_octets = has(PacketColumn::Octets);
    let columns = Columns {
        vlan: has(PacketColumn::Vlan).then_some(row.vlan),
        ip_version: has(PacketColumn::IpVersion).then_some(row.ip_version),
        src_ip: has(PacketColumn::SrcIp).then_some(row.src_ip),
        dst_ip: has(PacketColumn::DstIp).then_some(row.dst_ip),
        protocol: has(PacketColumn::Protocol).then_some(row.protocol),
        ports: has(PacketColumn::SrcPort).then_some([row.src_port, row.dst_port]),
        tcp_flags: has(PacketColumn::TcpFlags).then_some(row.tcp_flags),
        icmp: has(PacketColumn::IcmpType).then_some([row.icmp_type, row.icmp_code]),
        has_octets,
    };
    (columns, if has_octets { row.octets } else { 0 })
}

/// What the kernel's key says.
#[must_use]
pub fn of_key(key: &FlowKey) -> Columns {
    let network = key.shape().network;
    Columns {
        vlan: key.vlan(),
        ip_version: network.ip_version(),
        src_ip: key.src_ip(),
        dst_ip: key.dst_ip(),
        protocol: key.protocol(),
        ports: key.ports(),
        tcp_flags: key.tcp_flags(),
        icmp: key.icmp(),
        has_octets: network.has_octets(),
    }
}
