//! ARP (RFC 826): no column but the EtherType; only checked to be whole.

use super::damage::Damage;
use super::walk::Walk;

/// Notes an ARP packet that is shorter than its address lengths say.
#[cold]
pub(super) fn check(bytes: &[u8], walk: &mut Walk<'_, '_>) {
    if let Some((header, rest)) = walk.header::<8>(bytes, Damage::ArpTruncated) {
        let addresses = 2 * (usize::from(header[4]) + usize::from(header[5]));
        let _ = walk.skip(rest, addresses, Damage::ArpTruncated);
    }
}
