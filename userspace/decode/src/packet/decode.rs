//! A frame in, its row out: the walk begins at what the link type names.

use super::columns::present;
use super::damage::Damage;
use super::depth::Depth;
use super::unread::Unread;
use super::walk::Walk;
use super::{bsd_loopback, ethernet, ethertype, layers, linux_sll, nflog, ppp, pppoe, tunnel};
use crate::frame::{Frame, LinkType};
use tapline_record::PacketColumn::{self, FrameOctets, Ts};
use tapline_record::PacketRow;

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
    let Some(bytes) = strip_link(frame, walk) else { return };
    let payload = layers::fill(bytes, depth, walk);
    if depth == Depth::Tunnel
        && let Some(payload) = payload
    {
        tunnel::fill(payload, walk);
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
