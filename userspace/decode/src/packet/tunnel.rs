//! The outermost tunnel, and the first packet inside.

use super::ethertype;
use super::ip::protocol;
use super::walk::Walk;
use super::{Depth, geneve, gre, gtpu, ip_in_ip, present, vxlan};
use std::ops::RangeInclusive;
use tapline_record::PacketColumn::{
    DstIp, DstPort, InnerDstIp, InnerDstPort, InnerProtocol, InnerSrcIp, InnerSrcPort, Protocol, SrcIp,
    SrcPort, TunnelId, TunnelKind,
};
use tapline_record::column::Symbol;
use tapline_record::{PacketColumn, PacketRow};

/// What kind of tunnel; a row names it by [`Kind::symbol`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Vxlan,
    Geneve,
    Gre,
    IpInIp,
    Gtpu,
}

impl Kind {
    /// Texts of the symbols, which a batch must intern first and in this order.
    pub(super) const TEXTS: [&'static str; 5] = ["vxlan", "geneve", "gre", "ipip", "gtpu"];

    const fn symbol(self) -> Symbol {
        Symbol(self as u32)
    }
}

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

/// Notes the tunnel in the row.
pub(super) fn note(kind: Kind, id: Option<u32>, walk: &mut Walk<'_, '_>) {
    walk.row.tunnel_kind = kind.symbol();
    walk.row.present |= present([TunnelKind]);
    if let Some(id) = id {
        walk.row.tunnel_id = id;
        walk.row.present |= present([TunnelId]);
    }
}

/// Decodes the packet inside into a row of its own, of which five columns are kept.
fn fill_inner<'a>(bytes: &'a [u8], walk: &mut Walk<'_, 'a>) {
    let mut inner = PacketRow::default();
    let mut inner_walk = walk.inside(&mut inner);
    super::fill_layers(bytes, Depth::Transport, &mut inner_walk);
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
