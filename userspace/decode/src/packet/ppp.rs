//! The protocol field of PPP (RFC 1661), compressed or not.

use super::columns::present;
use super::damage::Damage;
use super::unread::Unread;
use super::walk::Walk;
use super::{ethertype, ppp_protocol};
use crate::frame::Direction;
use tapline_record::PacketColumn;

/// Address and control of PPP in HDLC-like framing (RFC 1662).
const HDLC_FRAMING: [u8; 2] = [0xff, 0x03];

/// What stands for address and control in Cisco's framing (link type 104): unicast or broadcast.
const CISCO_FRAMING: [[u8; 2]; 2] = [[0x0f, 0x00], [0x8f, 0x00]];
const CISCO_HDLC: u32 = 104;

/// As [`strip_framed`], of a serial link, where Cisco's framing may stand as well.
pub(super) fn strip_serial<'a>(bytes: &'a [u8], walk: &mut Walk<'_, '_>) -> Option<&'a [u8]> {
    if CISCO_FRAMING.iter().any(|framing| bytes.starts_with(framing)) {
        return walk.leave(Unread::LinkType(CISCO_HDLC));
    }
    strip_framed(bytes, walk)
}

/// As [`strip_framed`], behind an octet that says the direction; pppd has it in place of the address.
pub(super) fn strip_directed<'a>(bytes: &'a [u8], walk: &mut Walk<'_, '_>) -> Option<&'a [u8]> {
    let (&[direction], bytes) = walk.header::<1>(bytes, Damage::PppTruncated)?;
    if !walk.row.has(PacketColumn::Direction) {
        let direction = if direction == 0 { Direction::Ingress } else { Direction::Egress };
        walk.row.direction = direction as u8;
        walk.row.present |= present([PacketColumn::Direction]);
    }
    strip_framed(bytes.strip_prefix(&HDLC_FRAMING[1..]).unwrap_or(bytes), walk)
}

/// As [`strip`], with or without address and control before.
pub(super) fn strip_framed<'a>(bytes: &'a [u8], walk: &mut Walk<'_, '_>) -> Option<&'a [u8]> {
    strip(bytes.strip_prefix(&HDLC_FRAMING).unwrap_or(bytes), walk)
}

/// Gives the network packet that PPP carries.
pub(super) fn strip<'a>(bytes: &'a [u8], walk: &mut Walk<'_, '_>) -> Option<&'a [u8]> {
    let (&[first], rest) = walk.header::<1>(bytes, Damage::PppTruncated)?;
    let is_compressed = first % 2 == 1;
    let (protocol, bytes) = if is_compressed {
        (u16::from(first), rest)
    } else {
        let (&[second], rest) = walk.header::<1>(rest, Damage::PppTruncated)?;
        (u16::from_be_bytes([first, second]), rest)
    };
    walk.ethertype = match protocol {
        ppp_protocol::IPV4 => ethertype::IPV4,
        ppp_protocol::IPV6 => ethertype::IPV6,
        ppp_protocol::MPLS => ethertype::MPLS,
        other => return walk.leave(Unread::Ppp(other)),
    };
    Some(bytes)
}
