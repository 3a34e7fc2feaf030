//! The IP header, of the version that its first octet says.

use super::damage::Damage;
use super::ethertype;
use super::walk::Walk;
use super::{ipv4, ipv6};

/// Fills the columns of the IP header; `None` in fragments but the first, and in damaged headers.
///
/// What an EtherType calls IPv4 may be IPv6, which raw captures use; not the other way round.
#[inline]
pub(super) fn strip<'a>(bytes: &'a [u8], walk: &mut Walk<'_, '_>) -> Option<&'a [u8]> {
    let Some(first) = bytes.first() else {
        return walk.header::<1>(bytes, Damage::IpEmpty).and(None);
    };
    match (walk.ethertype, first >> 4) {
        (ethertype::IPV4, 4) => ipv4::strip(bytes, walk),
        (_, 6) => ipv6::strip(bytes, walk),
        _ => walk.stop(Damage::IpVersionUnknown),
    }
}
