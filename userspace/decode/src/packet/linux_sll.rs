//! Linux cooked captures, versions 1 and 2 (LINKTYPE_LINUX_SLL and LINKTYPE_LINUX_SLL2).

use super::columns::present;
use super::damage::Damage;
use super::ethertype;
use super::fields::Fields as _;
use super::llc;
use super::unread::Unread;
use super::walk::Walk;
use crate::frame::Direction;
use tapline_record::PacketColumn::{self, SrcMac};

/// Instead of an EtherType: an LLC header follows.
const PROTOCOL_LLC: u16 = 0x0004;
/// Packet types up to this one were received: for us, broadcast, multicast, for another host.
const RECEIVED_MAX: u16 = 3;
/// The packet type of what this host sent.
const SENT: u16 = 4;
/// Length of a MAC address.
const MAC_OCTETS: u16 = 6;

/// What both versions say.
struct Cooked {
    packet_type: u16,
    address_octets: u16,
    address: [u8; 6],
}

/// Takes direction and source of version 1 and gives what follows.
pub(super) fn strip<'a>(bytes: &'a [u8], walk: &mut Walk<'_, '_>) -> Option<&'a [u8]> {
    let (header, bytes) = walk.header::<16>(bytes, Damage::LinuxSllTruncated)?;
    let cooked = Cooked {
        packet_type: header.be16::<0>(),
        address_octets: header.be16::<4>(),
        address: header.octets::<6, 6>(),
    };
    cooked.fill(walk);
    follow(header.be16::<14>(), bytes, walk)
}

/// As [`strip`], for version 2.
pub(super) fn strip_v2<'a>(bytes: &'a [u8], walk: &mut Walk<'_, '_>) -> Option<&'a [u8]> {
    let (header, bytes) = walk.header::<20>(bytes, Damage::LinuxSllTruncated)?;
    let cooked = Cooked {
        packet_type: header[10].into(),
        address_octets: header[11].into(),
        address: header.octets::<12, 6>(),
    };
    cooked.fill(walk);
    follow(header.be16::<0>(), bytes, walk)
}

/// Below 0x0600 the field is one of Linux's own numbers.
fn follow<'a>(protocol: u16, bytes: &'a [u8], walk: &mut Walk<'_, '_>) -> Option<&'a [u8]> {
    match protocol {
        PROTOCOL_LLC => llc::strip(bytes, walk),
        0..ethertype::TYPE_MIN => walk.leave(Unread::Cooked(protocol)),
        _ => {
            ethertype::enter(protocol, walk);
            Some(bytes)
        }
    }
}

impl Cooked {
    /// Fills the columns; the capture's own word on the direction goes before the packet type.
    fn fill(&self, walk: &mut Walk<'_, '_>) {
        let row = &mut *walk.row;
        if self.address_octets == MAC_OCTETS {
            row.src_mac = self.address;
            row.present |= present([SrcMac]);
        }
        if !row.has(PacketColumn::Direction)
            && let Some(direction) = self.direction()
        {
            row.direction = direction as u8;
            row.present |= present([PacketColumn::Direction]);
        }
    }

    fn direction(&self) -> Option<Direction> {
        match self.packet_type {
            0..=RECEIVED_MAX => Some(Direction::Ingress),
            SENT => Some(Direction::Egress),
            _ => None,
        }
    }
}
