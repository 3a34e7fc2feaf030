//! The transport header, by IP protocol.

use super::ip::protocol;
use super::walk::Walk;
use super::{dccp, icmp, present, sctp, tcp, udp};
use tapline_record::PacketColumn::{DstPort, SrcPort};

/// Fills ports, TCP and ICMP columns and finds the payload.
#[inline]
pub(super) fn fill<'a>(bytes: &'a [u8], walk: &mut Walk<'_, 'a>) {
    walk.payload = match walk.protocol {
        protocol::UDP => udp::strip(bytes, walk),
        protocol::TCP => tcp::strip(bytes, walk),
        protocol::ICMP | protocol::ICMPV6 => icmp::fill(bytes, walk),
        protocol::UDP_LITE => udp::strip_lite(bytes, walk),
        protocol::SCTP => sctp::strip(bytes, walk),
        protocol::DCCP => dccp::strip(bytes, walk),
        _ => None,
    };
}

/// Fills the ports, which every transport protocol has in its first four octets.
#[inline]
pub(super) fn fill_ports([a, b, c, d]: [u8; 4], walk: &mut Walk<'_, '_>) {
    walk.row.src_port = u16::from_be_bytes([a, b]);
    walk.row.dst_port = u16::from_be_bytes([c, d]);
    walk.row.present |= present([SrcPort, DstPort]);
}
