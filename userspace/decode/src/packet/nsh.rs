//! The network service header (RFC 8300).

use super::damage::Damage;
use super::ethertype::{self, BRIDGED_ETHERNET};
use super::fields::Fields as _;
use super::unread::Unread;
use super::walk::Walk;

/// Octets of the base header and the service path.
const HEADER_OCTETS: usize = 8;

/// What may follow (IANA, "NSH Next Protocol").
const NEXT_IPV4: u8 = 1;
const NEXT_IPV6: u8 = 2;
const NEXT_ETHERNET: u8 = 3;
const NEXT_NSH: u8 = 4;
const NEXT_MPLS: u8 = 5;

/// Gives what the service chain carries; only version 0 exists.
pub(super) fn strip<'a>(bytes: &'a [u8], walk: &mut Walk<'_, '_>) -> Option<&'a [u8]> {
    let (header, _) = walk.header::<HEADER_OCTETS>(bytes, Damage::NshTruncated)?;
    let (version, header_octets) = (header[0] >> 6, usize::from(header[1] & 0x3f) * 4);
    if version != 0 {
        return walk.leave(Unread::Ethertype(ethertype::NSH));
    }
    if header_octets < HEADER_OCTETS {
        return walk.stop(Damage::NshLengthTooShort);
    }
    let [next_protocol] = header.octets::<3, 1>();
    walk.ethertype = match next_protocol {
        NEXT_IPV4 => ethertype::IPV4,
        NEXT_IPV6 => ethertype::IPV6,
        NEXT_ETHERNET => BRIDGED_ETHERNET,
        NEXT_NSH => ethertype::NSH,
        NEXT_MPLS => ethertype::MPLS,
        other => return walk.leave(Unread::Nsh(other)),
    };
    walk.skip(bytes, header_octets, Damage::NshTruncated)
}
