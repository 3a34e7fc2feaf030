//! The beginning of a sampled packet in, columns of its row of `flows` out.

use crate::flow_meter::columns_of;
use crate::frame::{Frame, LinkType};
use crate::packet::{Depth, decode};
use tapline_record::{EventTime, FlowColumn, FlowRow, PacketColumn, PacketRow};

/// Sets fields of a row, and that they are there.
macro_rules! set {
    ($row:expr, $($field:ident: $column:ident = $value:expr),+ $(,)?) => {{
        let row = &mut *$row;
        $(row.$field = $value;)+
        row.present |= $(FlowColumn::$column.bit())|+;
    }};
}

pub(super) use set;

/// Fills in what a packet carries, and leaves all other columns as they are; it does not tell its direction.
/// `packet` is room for it.
pub(super) fn fill_from_frame(
    row: &mut FlowRow,
    packet: &mut PacketRow,
    link: LinkType,
    original_octets: u32,
    bytes: &[u8],
) {
    let ts = EventTime(row.ts);
    let frame = Frame { ts, link, direction: None, interface: None, original_octets, bytes };
    decode(&frame, Depth::Transport, packet);
    let carried = columns_of(packet.present);
    macro_rules! take {
        ($($field:ident: $column:ident),+ $(,)?) => {$(
            if carried & FlowColumn::$column.bit() != 0 {
                set!(row, $field: $column = packet.$field);
            }
        )+};
    }
    take!(
        src_ip: SrcIp,
        dst_ip: DstIp,
        src_port: SrcPort,
        dst_port: DstPort,
        protocol: Protocol,
        tcp_flags: TcpFlags,
        vlan: Vlan,
        mpls_label: MplsLabel,
        src_mac: SrcMac,
        dst_mac: DstMac,
        icmp_type: IcmpType,
        icmp_code: IcmpCode,
        ip_version: IpVersion,
    );
    if carried & FlowColumn::Tos.bit() != 0 {
        set!(row, tos: Tos = packet.dscp << 2 | packet.ecn & 3);
    }
    if packet.has(PacketColumn::Octets) {
        set!(row, octets: Octets = packet.octets);
    }
}
