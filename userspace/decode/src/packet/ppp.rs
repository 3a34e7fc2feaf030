//! The protocol field of PPP (RFC 1661), compressed or not.

use super::Damage;
use super::ethertype;
use super::walk::Walk;

/// Address and control of PPP in HDLC-like framing (RFC 1662).
const HDLC_FRAMING: [u8; 2] = [0xff, 0x03];

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
        0x0021 => ethertype::IPV4,
        0x0057 => ethertype::IPV6,
        0x0281 => ethertype::MPLS,
        _ => return None,
    };
    Some(bytes)
}
