//! GRE (RFC 2784, RFC 2890), with ERSPAN and PPTP's version 1 (RFC 2637) inside.

use super::damage::Damage;
use super::ethertype::{self, BRIDGED_ETHERNET};
use super::fields::Fields as _;
use super::ppp;
use super::tunnel_kind::{self, Kind};
use super::walk::Walk;

const CHECKSUM: u16 = 0x8000;
/// Source routes (RFC 1701), given up by RFC 2784.
const ROUTING: u16 = 0x4000;
const KEY: u16 = 0x2000;
const SEQUENCE: u16 = 0x1000;
/// PPTP's acknowledgement number.
const ACKNOWLEDGEMENT: u16 = 0x0080;
const VERSION: u16 = 0x0007;
const PPP: u16 = 0x880b;
const ERSPAN: u16 = 0x88be;
const ERSPAN_III: u16 = 0x22eb;

/// Notes the tunnel and gives what is inside.
pub(super) fn strip<'a>(packet: &'a [u8], walk: &mut Walk<'_, '_>) -> Option<&'a [u8]> {
    let (header, bytes) = walk.header::<4>(packet, Damage::GreTruncated)?;
    let (flags, ethertype) = (header.be16::<0>(), header.be16::<2>());
    tunnel_kind::note(Kind::Gre, None, walk);
    let bytes = match flags & VERSION {
        0 => strip_version_0(flags, bytes, walk)?,
        1 => strip_version_1(flags, bytes, walk)?,
        _ => return None,
    };
    match ethertype {
        PPP => ppp::strip_framed(bytes, walk),
        ERSPAN => strip_erspan(flags, bytes, walk),
        ERSPAN_III => strip_erspan_iii(bytes, walk),
        _ => {
            ethertype::enter_type(ethertype, walk)?;
            Some(bytes)
        }
    }
}

fn strip_version_0<'a>(flags: u16, mut bytes: &'a [u8], walk: &mut Walk<'_, '_>) -> Option<&'a [u8]> {
    if flags & ROUTING != 0 {
        return None;
    }
    if flags & CHECKSUM != 0 {
        bytes = walk.skip(bytes, 4, Damage::GreTruncated)?;
    }
    if flags & KEY != 0 {
        let (key, rest) = walk.header::<4>(bytes, Damage::GreTruncated)?;
        tunnel_kind::note(Kind::Gre, Some(key.be32::<0>()), walk);
        bytes = rest;
    }
    let sequence_octets = if flags & SEQUENCE == 0 { 0 } else { 4 };
    walk.skip(bytes, sequence_octets, Damage::GreTruncated)
}

/// The key of version 1 is the payload's length and the call id, which is the tunnel's id.
fn strip_version_1<'a>(flags: u16, bytes: &'a [u8], walk: &mut Walk<'_, '_>) -> Option<&'a [u8]> {
    let (key, bytes) = walk.header::<4>(bytes, Damage::GreTruncated)?;
    tunnel_kind::note(Kind::Gre, Some(key.be16::<2>().into()), walk);
    let numbers = [SEQUENCE, ACKNOWLEDGEMENT].into_iter().filter(|flag| flags & flag != 0).count();
    let bytes = walk.skip(bytes, 4 * numbers, Damage::GreTruncated)?;
    Some(walk.limit(bytes, key.be16::<0>().into(), Damage::GreTruncated))
}

/// Type I has no header and no sequence number, type II has both.
fn strip_erspan<'a>(flags: u16, bytes: &'a [u8], walk: &mut Walk<'_, '_>) -> Option<&'a [u8]> {
    let header_octets = if flags & SEQUENCE == 0 { 0 } else { 8 };
    let bytes = walk.skip(bytes, header_octets, Damage::GreTruncated)?;
    walk.ethertype = BRIDGED_ETHERNET;
    Some(bytes)
}

/// Type III: the last bit of its header says that a subheader of 8 octets follows.
fn strip_erspan_iii<'a>(bytes: &'a [u8], walk: &mut Walk<'_, '_>) -> Option<&'a [u8]> {
    let (header, bytes) = walk.header::<12>(bytes, Damage::GreTruncated)?;
    let subheader_octets = usize::from(header[11] & 1) * 8;
    let bytes = walk.skip(bytes, subheader_octets, Damage::GreTruncated)?;
    walk.ethertype = BRIDGED_ETHERNET;
    Some(bytes)
}
