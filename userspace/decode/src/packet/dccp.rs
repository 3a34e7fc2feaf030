//! DCCP (RFC 4340 §5.1).

use super::damage::Damage;
use super::ports::fill_ports;
use super::walk::Walk;

/// Fills the ports and gives what is behind the header and its options.
pub(super) fn strip<'a>(packet: &'a [u8], walk: &mut Walk<'_, '_>) -> Option<&'a [u8]> {
    let (ports, rest) = walk.header::<4>(packet, Damage::DccpTruncated)?;
    fill_ports(*ports, walk);
    let (&[data_offset], _) = walk.header::<1>(rest, Damage::DccpTruncated)?;
    walk.skip(packet, usize::from(data_offset) * 4, Damage::DccpTruncated)
}
