//! Extension headers between the IP header and what it carries (RFC 8200 §4, RFC 4302).

use super::columns::present;
use super::damage::Damage;
use super::fields::Fields as _;
use super::protocol;
use super::walk::Walk;
use tapline_record::PacketColumn::{FragmentOffset, IpId, Protocol};

/// Set in every fragment but the last.
const MORE_FRAGMENTS: u16 = 1;

/// Whether a next header is no extension header.
pub(super) const fn is_last(next_header: u8) -> bool {
    Kind::of(next_header).is_none()
}

/// Gives what is behind the extension headers; the row gets the fragment header's columns.
///
/// Encrypted payload and "no next header" are protocols like any other: nothing follows them.
#[inline]
pub(super) fn look_through<'a>(bytes: &'a [u8], walk: &mut Walk<'_, '_>) -> Option<&'a [u8]> {
    match Kind::of(walk.protocol) {
        None => Some(bytes),
        Some(_) => look_through_all(bytes, walk),
    }
}

/// As [`look_through`], behind an IPv4 header, which has its own fragments.
///
/// Only the authentication header belongs there; the others are looked through as tshark does.
#[inline]
pub(super) fn look_through_in_ipv4<'a>(bytes: &'a [u8], walk: &mut Walk<'_, '_>) -> Option<&'a [u8]> {
    match Kind::of(walk.protocol) {
        None => Some(bytes),
        Some(_) => look_through_all_in_ipv4(bytes, walk),
    }
}

fn look_through_all<'a>(mut bytes: &'a [u8], walk: &mut Walk<'_, '_>) -> Option<&'a [u8]> {
    while let Some(kind) = Kind::of(walk.protocol) {
        bytes = kind.strip(bytes, walk)?;
    }
    Some(bytes)
}

fn look_through_all_in_ipv4<'a>(mut bytes: &'a [u8], walk: &mut Walk<'_, '_>) -> Option<&'a [u8]> {
    while let Some(kind @ (Kind::Common | Kind::Authentication)) = Kind::of(walk.protocol) {
        bytes = kind.strip(bytes, walk)?;
    }
    Some(bytes)
}

/// Extension headers by their form.
#[derive(Clone, Copy)]
enum Kind {
    /// Length in units of 8 octets, the first one not counted.
    Common,
    /// Length in units of 4 octets, the first two not counted.
    Authentication,
    /// 8 octets.
    Fragment,
}

impl Kind {
    #[inline]
    const fn of(next_header: u8) -> Option<Self> {
        match next_header {
            protocol::HOP_BY_HOP
            | protocol::ROUTING
            | protocol::DESTINATION_OPTIONS
            | protocol::MOBILITY
            | protocol::HIP
            | protocol::SHIM6 => Some(Self::Common),
            protocol::AUTHENTICATION => Some(Self::Authentication),
            protocol::FRAGMENT => Some(Self::Fragment),
            _ => None,
        }
    }

    fn strip<'a>(self, bytes: &'a [u8], walk: &mut Walk<'_, '_>) -> Option<&'a [u8]> {
        let (header, _) = walk.header::<8>(bytes, Damage::IpExtensionTruncated)?;
        let octets = match self {
            Self::Common => (usize::from(header[1]) + 1) * 8,
            Self::Authentication => (usize::from(header[1]) + 2) * 4,
            Self::Fragment => 8,
        };
        let bytes = walk.skip(bytes, octets, Damage::IpExtensionTruncated)?;
        walk.protocol = header[0];
        match self {
            Self::Fragment => fragment(header, bytes, walk),
            _ => Some(bytes),
        }
    }
}

/// Only the first fragment goes on; the protocol of the others is the last word.
fn fragment<'a>(header: &[u8; 8], bytes: &'a [u8], walk: &mut Walk<'_, '_>) -> Option<&'a [u8]> {
    let row = &mut *walk.row;
    let offset_and_flags = header.be16::<2>();
    row.fragment_offset = offset_and_flags & !0b111;
    row.ip_id = header.be32::<4>();
    row.present |= present([FragmentOffset, IpId]);
    if row.fragment_offset != 0 {
        row.protocol = walk.protocol;
        row.present |= present([Protocol]);
        return None;
    }
    walk.is_fragmented = offset_and_flags & MORE_FRAGMENTS != 0;
    Some(bytes)
}
