//! BSD loopback frames (LINKTYPE_NULL and LINKTYPE_LOOP): an address family, then a packet.

use super::damage::Damage;
use super::ethertype;
use super::unread::Unread;
use super::walk::Walk;

/// Address families of the BSDs (tcpdump.org, `LINKTYPE_NULL`).
const AF_INET: u32 = 2;
const AF_INET6_NETBSD_OPENBSD: u32 = 24;
const AF_INET6_FREEBSD: u32 = 28;
const AF_INET6_MACOS: u32 = 30;

/// Gives the packet whose address family is in the byte order of the capturing host.
///
/// Families are below 2^16, so that the order shows.
pub(super) fn strip_null<'a>(bytes: &'a [u8], walk: &mut Walk<'_, '_>) -> Option<&'a [u8]> {
    let (&header, bytes) = walk.header::<4>(bytes, Damage::BsdLoopbackTruncated)?;
    let family = match header {
        [0, 0, _, _] => u32::from_be_bytes(header),
        _ => u32::from_le_bytes(header),
    };
    packet(family, bytes, walk)
}

/// Gives the packet whose address family is in network byte order.
pub(super) fn strip_loop<'a>(bytes: &'a [u8], walk: &mut Walk<'_, '_>) -> Option<&'a [u8]> {
    let (&header, bytes) = walk.header::<4>(bytes, Damage::BsdLoopbackTruncated)?;
    packet(u32::from_be_bytes(header), bytes, walk)
}

fn packet<'a>(family: u32, bytes: &'a [u8], walk: &mut Walk<'_, '_>) -> Option<&'a [u8]> {
    walk.ethertype = match family {
        AF_INET => ethertype::IPV4,
        AF_INET6_NETBSD_OPENBSD | AF_INET6_FREEBSD | AF_INET6_MACOS => ethertype::IPV6,
        other => return walk.leave(Unread::AddressFamily(other)),
    };
    Some(bytes)
}
