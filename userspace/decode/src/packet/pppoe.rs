//! PPPoE sessions (RFC 2516).

use super::damage::Damage;
use super::fields::Fields as _;
use super::ppp;
use super::walk::Walk;

/// Gives the network packet of a session.
pub(super) fn strip<'a>(bytes: &'a [u8], walk: &mut Walk<'_, '_>) -> Option<&'a [u8]> {
    let (header, bytes) = walk.header::<6>(bytes, Damage::PppoeTruncated)?;
    let bytes = walk.bound(bytes, header.be16::<4>().into(), Damage::PppoeLengthTooLong);
    ppp::strip(bytes, walk)
}
