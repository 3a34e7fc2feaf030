//! SCTP's common header (RFC 9260 §3.1).

use super::damage::Damage;
use super::ports::fill_ports;
use super::walk::Walk;

/// Fills the ports and gives the chunks.
pub(super) fn strip<'a>(packet: &'a [u8], walk: &mut Walk<'_, '_>) -> Option<&'a [u8]> {
    let (ports, rest) = walk.header::<4>(packet, Damage::SctpTruncated)?;
    fill_ports(*ports, walk);
    // Verification tag and checksum.
    walk.skip(rest, 8, Damage::SctpTruncated)
}
