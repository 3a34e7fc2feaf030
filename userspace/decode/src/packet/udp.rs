//! UDP (RFC 768) and UDP-Lite (RFC 3828).

use super::damage::Damage;
use super::fields::Fields as _;
use super::ports::fill_ports;
use super::walk::Walk;

/// Length of the header.
const HEADER_OCTETS: usize = 8;

/// Fills the ports and gives the datagram's data.
///
/// A length of zero is that of a jumbogram, or of one that the card will fill in.
#[inline]
pub(super) fn strip<'a>(datagram: &'a [u8], walk: &mut Walk<'_, '_>) -> Option<&'a [u8]> {
    let (ports, rest) = walk.header::<4>(datagram, Damage::UdpTruncated)?;
    fill_ports(*ports, walk);
    let (header, data) = walk.header::<4>(rest, Damage::UdpTruncated)?;
    match usize::from(header.be16::<0>()) {
        0 => Some(data),
        1..HEADER_OCTETS => walk.stop(Damage::UdpLengthTooShort),
        claim if walk.is_fragmented => Some(data.get(..claim - HEADER_OCTETS).unwrap_or(data)),
        claim => Some(walk.limit(data, claim - HEADER_OCTETS, Damage::UdpLengthTooLong)),
    }
}

/// As [`strip`]; the length's place is taken by the checksum's coverage.
pub(super) fn strip_lite<'a>(datagram: &'a [u8], walk: &mut Walk<'_, '_>) -> Option<&'a [u8]> {
    let (ports, rest) = walk.header::<4>(datagram, Damage::UdpTruncated)?;
    fill_ports(*ports, walk);
    walk.skip(rest, 4, Damage::UdpTruncated)
}
