//! Geneve (RFC 8926).

use super::damage::Damage;
use super::ethertype;
use super::fields::Fields as _;
use super::tunnel_kind::{self, Kind};
use super::walk::Walk;

/// The registered port.
pub(super) const PORT: u16 = 6081;

/// Notes the tunnel and gives what is behind its options; only version 0 exists.
pub(super) fn strip<'a>(data: &'a [u8], walk: &mut Walk<'_, '_>) -> Option<&'a [u8]> {
    let (header, rest) = walk.header::<8>(data, Damage::GeneveTruncated)?;
    let (version, options_octets) = (header[0] >> 6, usize::from(header[0] & 0x3f) * 4);
    if version != 0 {
        return None;
    }
    tunnel_kind::note(Kind::Geneve, Some(header.be32::<4>() >> 8), walk);
    let bytes = walk.skip(rest, options_octets, Damage::GeneveTruncated)?;
    ethertype::enter_type(header.be16::<2>(), walk)?;
    Some(bytes)
}
