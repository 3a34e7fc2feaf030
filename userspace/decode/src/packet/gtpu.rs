//! GTP-U, version 1 (3GPP TS 29.281): user packets between mobile network nodes.

use super::damage::Damage;
use super::ethertype;
use super::fields::Fields as _;
use super::tunnel_kind::{self, Kind};
use super::walk::Walk;

/// The registered port.
pub(super) const PORT: u16 = 2152;
/// Version 1, GTP rather than GTP'.
const VERSION_1: u8 = 0b0011_0000;
const VERSION_MASK: u8 = 0b1111_0000;
/// Any of these flags means that sequence number, N-PDU number and next extension type follow.
const OPTIONAL_FIELDS: u8 = 0b0000_0111;
const EXTENSION_FLAG: u8 = 0b0000_0100;
/// Message type of a user packet.
const G_PDU: u8 = 255;

/// Notes the tunnel and gives the user packet; other messages are not tunnelled traffic.
pub(super) fn strip<'a>(data: &'a [u8], walk: &mut Walk<'_, '_>) -> Option<&'a [u8]> {
    let (header, rest) = walk.header::<8>(data, Damage::GtpuTruncated)?;
    let (flags, message_type) = (header[0], header[1]);
    if flags & VERSION_MASK != VERSION_1 || message_type != G_PDU {
        return None;
    }
    tunnel_kind::note(Kind::Gtpu, Some(header.be32::<4>()), walk);
    let rest = walk.limit(rest, header.be16::<2>().into(), Damage::GtpuTruncated);
    let bytes = skip_optional_fields(flags, rest, walk)?;
    walk.ethertype = match bytes.first()? >> 4 {
        4 => ethertype::IPV4,
        6 => ethertype::IPV6,
        _ => return None,
    };
    Some(bytes)
}

fn skip_optional_fields<'a>(flags: u8, bytes: &'a [u8], walk: &mut Walk<'_, '_>) -> Option<&'a [u8]> {
    if flags & OPTIONAL_FIELDS == 0 {
        return Some(bytes);
    }
    let (fields, mut bytes) = walk.header::<4>(bytes, Damage::GtpuTruncated)?;
    let mut next_extension = if flags & EXTENSION_FLAG == 0 { 0 } else { fields[3] };
    while next_extension != 0 {
        (next_extension, bytes) = skip_extension(bytes, walk)?;
    }
    Some(bytes)
}

/// An extension says its length in units of 4 octets first and the next one's type last.
fn skip_extension<'a>(bytes: &'a [u8], walk: &mut Walk<'_, '_>) -> Option<(u8, &'a [u8])> {
    let (&[units], _) = walk.header::<1>(bytes, Damage::GtpuTruncated)?;
    let rest = walk.skip(bytes, usize::from(units) * 4, Damage::GtpuTruncated)?;
    let extension = &bytes[..bytes.len() - rest.len()];
    match extension.last() {
        Some(&next) => Some((next, rest)),
        None => walk.stop(Damage::GtpuTruncated),
    }
}
