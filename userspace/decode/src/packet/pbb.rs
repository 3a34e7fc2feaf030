//! Provider backbone bridges (IEEE 802.1ah): a customer's frame behind an instance tag.

use super::damage::Damage;
use super::ethertype::BRIDGED_ETHERNET;
use super::walk::Walk;

/// Gives the customer's frame.
pub(super) fn strip<'a>(bytes: &'a [u8], walk: &mut Walk<'_, '_>) -> Option<&'a [u8]> {
    let (_, bytes) = walk.header::<4>(bytes, Damage::PbbTruncated)?;
    walk.ethertype = BRIDGED_ETHERNET;
    Some(bytes)
}
