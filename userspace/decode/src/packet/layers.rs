//! Headers from the link layer to the transport, of a frame or of what a tunnel carries.

use super::depth::Depth;
use super::walk::Walk;
use super::{find_ip, ip, transport};

/// Walks on from an EtherType, no deeper than the transport header; gives what the IP header carries when it got there.
#[inline]
pub(super) fn fill<'a>(bytes: &'a [u8], depth: Depth, walk: &mut Walk<'_, 'a>) -> Option<&'a [u8]> {
    let packet = find_ip::find_ip(bytes, walk)?;
    if depth < Depth::Network {
        return None;
    }
    let payload = ip::strip(packet, walk)?;
    if depth < Depth::Transport {
        return None;
    }
    transport::fill(payload, walk);
    Some(payload)
}
