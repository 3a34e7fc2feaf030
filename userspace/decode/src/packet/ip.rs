//! The IP header, of the version that its first octet says.

use super::ethertype;
use super::walk::Walk;
use super::{Damage, ipv4, ipv6};

/// Protocol numbers that the decoder knows (IANA "Protocol Numbers").
pub(super) mod protocol {
    pub(in super::super) const HOP_BY_HOP: u8 = 0;
    pub(in super::super) const ICMP: u8 = 1;
    pub(in super::super) const IPV4: u8 = 4;
    pub(in super::super) const TCP: u8 = 6;
    pub(in super::super) const UDP: u8 = 17;
    pub(in super::super) const DCCP: u8 = 33;
    pub(in super::super) const IPV6: u8 = 41;
    pub(in super::super) const ROUTING: u8 = 43;
    pub(in super::super) const FRAGMENT: u8 = 44;
    pub(in super::super) const GRE: u8 = 47;
    pub(in super::super) const AUTHENTICATION: u8 = 51;
    pub(in super::super) const ICMPV6: u8 = 58;
    pub(in super::super) const NO_NEXT_HEADER: u8 = 59;
    pub(in super::super) const DESTINATION_OPTIONS: u8 = 60;
    pub(in super::super) const SCTP: u8 = 132;
    pub(in super::super) const MOBILITY: u8 = 135;
    pub(in super::super) const UDP_LITE: u8 = 136;
    pub(in super::super) const HIP: u8 = 139;
    pub(in super::super) const SHIM6: u8 = 140;
}

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
