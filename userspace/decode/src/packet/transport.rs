//! The transport header, by IP protocol.

use super::protocol;
use super::walk::Walk;
use super::{dccp, icmp, sctp, tcp, udp};

/// Fills ports, TCP and ICMP columns and finds the payload.
#[inline]
pub(super) fn fill<'a>(bytes: &'a [u8], walk: &mut Walk<'_, 'a>) {
    walk.payload = match walk.protocol {
        protocol::UDP => udp::strip(bytes, walk),
        protocol::TCP => tcp::strip(bytes, walk),
        protocol::ICMP | protocol::ICMPV6 => icmp::fill(bytes, walk),
        protocol::UDP_LITE => udp::strip_lite(bytes, walk),
        protocol::SCTP => sctp::strip(bytes, walk),
        protocol::DCCP => dccp::strip(bytes, walk),
        _ => None,
    };
}
