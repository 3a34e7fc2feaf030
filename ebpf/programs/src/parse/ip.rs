//! The IP header, of the version that its first octet says.

use tapline_ebpf_common::Network;

use super::Octets;
use super::extension;
use super::transport;
use super::walk::{Walk, be16};

const V4_OCTETS: u32 = 20;
const V6_OCTETS: u32 = 40;
const IPV4: u16 = 0x0800;
const HOP_BY_HOP: u8 = 0;
/// Octets of a hop-by-hop header with this option alone.
const HOP_BY_HOP_OCTETS: u32 = 8;
const NO_NEXT_HEADER: u8 = 59;
/// The hop-by-hop option of a jumbogram, and its length.
const JUMBO_PAYLOAD: [u8; 2] = [0xc2, 4];
/// What no link carries at once is no length.
const JUMBO_OCTETS_MAX: u32 = 1 << 30;

/// Takes the IP header, and what is behind it unless that is not to be had.
///
/// What an EtherType calls IPv4 may be IPv6; not the other way round.
#[inline(always)]
pub(super) fn strip<F: Octets + ?Sized>(walk: &mut Walk<'_, F>) -> Option<()> {
    let [first] = walk.peek()?;
    match (walk.position.ethertype, first >> 4) {
        (IPV4, 4) => v4(walk),
        (_, 6) => v6(walk),
        _ => None,
    }
}

#[inline(always)]
fn v4<F: Octets + ?Sized>(walk: &mut Walk<'_, F>) -> Option<()> {
    let Some(header) = walk.peek::<{ V4_OCTETS as usize }>() else { return v4_start(walk, walk.left()) };
    let header_octets = u32::from(header[0] & 0x0f) * 4;
    let claim = u32::from(be16(header[2], header[3]));
    if header_octets < V4_OCTETS {
        return v4_start(walk, 1);
    }
    if claim != 0 && claim < header_octets {
        return v4_start(walk, 4);
    }
    let octets = if claim == 0 { walk.left() } else { claim };
    let [.., a, b, c, d, e, f, g, h] = header;
    walk.key.set_src_ip(mapped([a, b, c, d]));
    walk.key.set_dst_ip(mapped([e, f, g, h]));
    walk.octets = octets;
    walk.network = Network::V4;
    walk.protocol = header[9];
    walk.position.next_header = header[9];
    walk.limit(octets);
    walk.skip(header_octets)?;
    let is_later_fragment = be16(header[6], header[7]) & 0x1fff != 0;
    if is_later_fragment {
        return None;
    }
    extension::skip_v4(walk)?;
    transport::strip(walk)
}

/// What the first `octets` octets of a header give that is no longer, or not to be trusted further.
#[cold]
#[inline(always)]
fn v4_start<F: Octets + ?Sized>(walk: &mut Walk<'_, F>, octets: u32) -> Option<()> {
    walk.network = Network::V4Version;
    if octets < 4 {
        return None;
    }
    let [_, _, high, low] = walk.peek()?;
    walk.network = Network::V4Octets;
    walk.octets = match be16(high, low) {
        0 => walk.left(),
        claim => claim.into(),
    };
    if octets < 10 {
        return None;
    }
    let [protocol] = walk.peek_at(9)?;
    walk.protocol = protocol;
    walk.network = Network::V4Protocol;
    if octets < 16 {
        return None;
    }
    walk.key.set_src_ip(mapped(walk.peek_at(12)?));
    walk.network = Network::V4Source;
    None
}

#[inline(always)]
fn v6<F: Octets + ?Sized>(walk: &mut Walk<'_, F>) -> Option<()> {
    let Some(header) = walk.peek::<{ V6_OCTETS as usize }>() else { return v6_start(walk, walk.left()) };
    let octets = match be16(header[4], header[5]) {
        0 => v6_unclaimed_octets(walk, header[6]),
        payload_length => V6_OCTETS + u32::from(payload_length),
    };
    walk.key.set_src_ip(words(walk.peek_at(8)?, walk.peek_at(16)?));
    walk.key.set_dst_ip(words(walk.peek_at(24)?, walk.peek_at(32)?));
    walk.octets = octets;
    walk.network = Network::V6WithoutProtocol;
    walk.position.next_header = header[6];
    walk.limit(octets);
    walk.skip(V6_OCTETS)?;
    extension::skip(walk)?;
    walk.protocol = walk.position.next_header;
    walk.network = Network::V6;
    transport::strip(walk)
}

/// What a header gives that is cut short.
#[cold]
#[inline(always)]
fn v6_start<F: Octets + ?Sized>(walk: &mut Walk<'_, F>, octets: u32) -> Option<()> {
    walk.network = Network::V6Version;
    let [high, low, next] = walk.peek_at(4)?;
    walk.network = Network::V6Octets;
    walk.octets = match be16(high, low) {
        0 => v6_unclaimed_octets(walk, next),
        payload_length => V6_OCTETS + u32::from(payload_length),
    };
    let protocol = Some(next).filter(|next| extension::is_last(*next));
    walk.protocol = protocol.unwrap_or(0);
    if protocol.is_some() {
        walk.network = Network::V6Protocol;
    }
    if octets < 24 {
        return None;
    }
    walk.key.set_src_ip(words(walk.peek_at(8)?, walk.peek_at(16)?));
    walk.network = if protocol.is_some() { Network::V6SourceProtocol } else { Network::V6Source };
    None
}

/// What there is when the header claims nothing: no payload where nothing follows, what a jumbogram says in its first
/// option, and otherwise all that there is. Behind other options a jumbogram's is not looked for.
#[cold]
#[inline(always)]
fn v6_unclaimed_octets<F: Octets + ?Sized>(walk: &mut Walk<'_, F>, next_header: u8) -> u32 {
    if next_header == NO_NEXT_HEADER {
        return V6_OCTETS;
    }
    if next_header != HOP_BY_HOP {
        return walk.left();
    }
    let Some([_, _, kind, length, a, b, c, d]) = walk.peek_at(V6_OCTETS) else { return walk.left() };
    if [kind, length] != JUMBO_PAYLOAD {
        walk.position.is_too_deep = 1;
        return walk.left();
    }
    match u32::from_be_bytes([a, b, c, d]) {
        payload @ 0..=JUMBO_OCTETS_MAX => {
            walk.jumbo_octets = HOP_BY_HOP_OCTETS;
            V6_OCTETS + payload
        }
        _ => walk.left(),
    }
}

/// An IPv4 address, mapped, as two words.
#[inline(always)]
const fn mapped([a, b, c, d]: [u8; 4]) -> [u64; 2] {
    [0, u64::from_ne_bytes([0, 0, 0xff, 0xff, a, b, c, d])]
}

/// An IPv6 address as two words.
#[inline(always)]
const fn words(first: [u8; 8], second: [u8; 8]) -> [u64; 2] {
    [u64::from_ne_bytes(first), u64::from_ne_bytes(second)]
}
