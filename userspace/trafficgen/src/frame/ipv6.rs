//! IPv6 (RFC 8200), without extension headers.
//!
//! Takes a packet, writes its header of 40 octets.

use std::net::Ipv6Addr;

use super::Packet;

pub(super) const OCTETS: usize = 40;

const VERSION: u8 = 0x60;

pub(super) fn write(packet: &Packet, src: Ipv6Addr, dst: Ipv6Addr, out: &mut Vec<u8>) {
    let [length_high, length_low] = (packet.segment_octets() as u16).to_be_bytes();
    out.extend_from_slice(&[VERSION, 0, 0, 0]);
    out.extend_from_slice(&[length_high, length_low, packet.protocol(), packet.ttl]);
    out.extend_from_slice(&src.octets());
    out.extend_from_slice(&dst.octets());
}
