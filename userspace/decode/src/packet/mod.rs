//! Packet headers, one protocol a file: frames in, rows of the stream `packets` out.
//!
//! Any octets are legal input. A frame that is cut short, that lies or that is not IP gives a row
//! with fewer columns, and at most one [`Damage`]. The main columns are those of the outermost IP
//! header behind VLAN tags, MPLS labels, PPPoE, backbone and fabric headers and service chains, `inner_*` those of the
//! first tunnelled packet. What stands there instead and is not read, is named by [`Unread`].
//!
//! tshark 4.0 says the same of sound frames and of most damaged ones. Where it does not:
//! - an IPv6 extension header that is not whole leaves no protocol, since what is behind is not known;
//! - an IP version that is neither 4 nor 6 is no version;
//! - mobility and HIP headers are looked through as RFC 7045 says, options are not checked;
//! - an IPv6 payload length of zero is no empty packet unless nothing follows: it is what the jumbo option says, or one of
//!   unknown length;
//! - UDP tunnels are known by the destination port, VXLAN by its flag too;
//! - a pseudowire has a control word unless an EtherType stands where it would be without one.

mod arp;
mod batcher;
mod bsd_loopback;
mod damage;
mod dccp;
mod depth;
mod ethernet;
mod ethertype;
mod fabric_path;
mod fields;
mod geneve;
mod gre;
mod gtpu;
mod icmp;
mod ip;
mod ip_extension;
mod ip_in_ip;
mod ipv4;
mod ipv6;
mod jumbo;
mod linux_sll;
mod llc;
mod mpls;
mod nflog;
mod nsh;
mod pbb;
mod ppp;
mod pppoe;
mod sctp;
mod tcp;
mod transport;
mod tunnel;
mod udp;
mod unread;
mod vlan;
mod vxlan;
mod walk;

pub use batcher::{PacketBatcher, Seen};
pub use damage::{Damage, DamageCounts};
pub use depth::Depth;
pub use unread::{Unread, UnreadCounts};

use crate::{Frame, LinkType};
use tapline_record::PacketColumn::{self, FrameOctets, Ts};
use tapline_record::PacketRow;
use walk::Walk;

/// What a frame gives besides its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoded<'a> {
    /// What stopped the decoder, or what it had to distrust.
    pub damage: Option<Damage>,
    /// What stands in front of an IP header that is not read, so that there are no further columns.
    pub unread: Option<Unread>,
    /// Captured octets behind the outermost transport header.
    pub payload: Option<&'a [u8]>,
}

/// Fills `row` with what `frame` carries, down to `depth`.
///
/// Columns that the frame does not carry, or that are deeper, have no bit in `row.present`; the
/// interface, which is text, and the payload are left to the caller.
#[inline]
pub fn decode<'a>(frame: &Frame<'a>, depth: Depth, row: &mut PacketRow) -> Decoded<'a> {
    row.present = present([Ts, FrameOctets]);
    row.ts = frame.ts.0;
    row.frame_octets = frame.original_octets.into();
    if let Some(direction) = frame.direction {
        row.direction = direction as u8;
        row.present |= present([PacketColumn::Direction]);
    }
    let mut walk = Walk::new(row, frame.bytes, frame.original_octets);
    if depth > Depth::Frame {
        fill_frame(frame, depth, &mut walk);
    } else if let LinkType::Other(number) = frame.link {
        walk.unread = Some(Unread::LinkType(number));
    }
    Decoded { damage: walk.damage, unread: walk.unread, payload: walk.payload }
}

#[inline]
fn fill_frame<'a>(frame: &Frame<'a>, depth: Depth, walk: &mut Walk<'_, 'a>) {
    if let Some(bytes) = strip_link(frame, walk) {
        fill_layers(bytes, depth, walk);
    }
}

#[inline]
fn strip_link<'a>(frame: &Frame<'a>, walk: &mut Walk<'_, '_>) -> Option<&'a [u8]> {
    match frame.link {
        LinkType::Ethernet => ethernet::strip(frame.bytes, walk),
        LinkType::EthernetWithFcs => ethernet::strip_with_fcs(frame, walk),
        LinkType::LinuxSll => linux_sll::strip(frame.bytes, walk),
        LinkType::LinuxSll2 => linux_sll::strip_v2(frame.bytes, walk),
        LinkType::BsdNull => bsd_loopback::strip_null(frame.bytes, walk),
        LinkType::BsdLoop => bsd_loopback::strip_loop(frame.bytes, walk),
        LinkType::RawIp | LinkType::Ipv4 => {
            walk.ethertype = ethertype::IPV4;
            Some(frame.bytes)
        }
        LinkType::Ipv6 => {
            walk.ethertype = ethertype::IPV6;
            Some(frame.bytes)
        }
        LinkType::Mpls => {
            walk.ethertype = ethertype::MPLS;
            Some(frame.bytes)
        }
        LinkType::Ppp => ppp::strip_serial(frame.bytes, walk),
        LinkType::PppOverEthernet => pppoe::strip(frame.bytes, walk),
        LinkType::PppWithDirection => ppp::strip_directed(frame.bytes, walk),
        LinkType::Nflog => nflog::strip(frame.bytes, walk),
        LinkType::Other(number) => walk.leave(Unread::LinkType(number)),
    }
}

/// Walks on from an EtherType, of a frame or of what a tunnel carries.
#[inline]
fn fill_layers<'a>(bytes: &'a [u8], depth: Depth, walk: &mut Walk<'_, 'a>) {
    let Some(packet) = ethertype::find_ip(bytes, walk) else { return };
    if depth < Depth::Network {
        return;
    }
    let Some(payload) = ip::strip(packet, walk) else { return };
    if depth < Depth::Transport {
        return;
    }
    transport::fill(payload, walk);
    if depth == Depth::Tunnel {
        tunnel::fill(payload, walk);
    }
}

/// The bits of these columns in a row's `present`.
#[inline]
const fn present<const N: usize>(columns: [PacketColumn; N]) -> u64 {
    let mut bits = 0;
    let mut position = 0;
    while position < N {
        bits |= columns[position].bit();
        position += 1;
    }
    bits
}

/// The columns of those fields, given by their ends, that lie within the first `octets` octets.
const fn columns_within(fields: &[(usize, u64)], octets: usize) -> u64 {
    let mut bits = 0;
    let mut position = 0;
    while position < fields.len() {
        let (end, columns) = fields[position];
        bits |= if end <= octets { columns } else { 0 };
        position += 1;
    }
    bits
}
