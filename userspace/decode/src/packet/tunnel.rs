//! The outermost tunnel, and the first packet inside.

use super::depth::Depth;
use super::ethertype;
use super::protocol;
use super::walk::Walk;
use super::{geneve, gre, gtpu, ip_in_ip, layers, vxlan};
use std::ops::RangeInclusive;
use tapline_record::PacketColumn::{
    DstIp, DstPort, InnerDstIp, InnerDstPort, InnerProtocol, InnerSrcIp, InnerSrcPort, Protocol, SrcIp,
    SrcPort,
};
use tapline_record::{PacketColumn, PacketRow};

/// Columns of a row inside a tunnel, and where they go in the row outside.
const INNER_COLUMNS: [(PacketColumn, PacketColumn); 5] = [
    (SrcIp, InnerSrcIp),
    (DstIp, InnerDstIp),
    (Protocol, InnerProtocol),
    (SrcPort, InnerSrcPort),
    (DstPort, InnerDstPort),
];

/// Ports of services (RFC 6335 §6).
const WELL_KNOWN_PORTS: RangeInclusive<u16> = 1..=1023;

/// Fills the columns of the tunnel and of the packet inside, when there is one.
#[inline]
pub(super) fn fill<'a>(bytes: &'a [u8], walk: &mut Walk<'_, 'a>) {
    if let Some(bytes) = open(bytes, walk) {
        fill_inner(bytes, walk);
    }
    // What is not read inside is not said of the frame: who looks less deep does not see it.
    walk.unread = None;
}

#[inline]
fn open<'a>(bytes: &'a [u8], walk: &mut Walk<'_, 'a>) -> Option<&'a [u8]> {
    match walk.protocol {
        protocol::UDP => open_udp(walk.payload?, walk),
        protocol::IPV4 => Some(ip_in_ip::strip(ethertype::IPV4, bytes, walk)),
        protocol::IPV6 => Some(ip_in_ip::strip(ethertype::IPV6, bytes, walk)),
        protocol::GRE => gre::strip(bytes, walk),
        _ => None,
    }
}

/// By destination port, which is the registered one in both directions; the source port is any, but
/// one of a well-known service means an answer to somebody who happens to use that port.
#[inline]
fn open_udp<'a>(data: &'a [u8], walk: &mut Walk<'_, 'a>) -> Option<&'a [u8]> {
    if WELL_KNOWN_PORTS.contains(&walk.row.src_port) {
        return None;
    }
    match walk.row.dst_port {
        vxlan::PORT | vxlan::LINUX_PORT => vxlan::strip(data, walk),
        geneve::PORT => geneve::strip(data, walk),
        gtpu::PORT => gtpu::strip(data, walk),
        _ => None,
    }
}

/// Decodes the packet inside into a row of its own, of which five columns are kept.
fn fill_inner<'a>(bytes: &'a [u8], walk: &mut Walk<'_, 'a>) {
    let mut inner = PacketRow::default();
    let mut inner_walk = walk.inside(&mut inner);
    layers::fill(bytes, Depth::Transport, &mut inner_walk);
    walk.damage = inner_walk.damage;
    let row = &mut *walk.row;
    row.inner_src_ip = inner.src_ip;
    row.inner_dst_ip = inner.dst_ip;
    row.inner_protocol = inner.protocol;
    row.inner_src_port = inner.src_port;
    row.inner_dst_port = inner.dst_port;
    for (from, to) in INNER_COLUMNS {
        row.present |= if inner.has(from) { to.bit() } else { 0 };
    }
}
