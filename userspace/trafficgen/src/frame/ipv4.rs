//! IPv4 (RFC 791), without options or fragments.
//!
//! Takes a packet, writes its header of 20 octets, checksum included.

use std::net::Ipv4Addr;

use super::{Packet, checksum};

pub(super) const OCTETS: usize = 20;

const VERSION_AND_HEADER_WORDS: u8 = 0x45;
const DO_NOT_FRAGMENT: u8 = 0x40;
const CHECKSUM_OFFSET: usize = 10;

pub(super) fn write(packet: &Packet, src: Ipv4Addr, dst: Ipv4Addr, out: &mut Vec<u8>) {
    let [length_high, length_low] = (packet.octets() as u16).to_be_bytes();
    let start = out.len();
    out.extend_from_slice(&[VERSION_AND_HEADER_WORDS, 0, length_high, length_low]);
    out.extend_from_slice(&[0, 0, DO_NOT_FRAGMENT, 0]);
    out.extend_from_slice(&[packet.ttl, packet.protocol(), 0, 0]);
    out.extend_from_slice(&src.octets());
    out.extend_from_slice(&dst.octets());
    let checksum = checksum::finish(checksum::sum(&out[start..]));
    out[start + CHECKSUM_OFFSET..start + CHECKSUM_OFFSET + 2].copy_from_slice(&checksum.to_be_bytes());
}
