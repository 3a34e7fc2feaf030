//! VXLAN (RFC 7348).

use super::damage::Damage;
use super::ethertype::BRIDGED_ETHERNET;
use super::fields::Fields as _;
use super::tunnel_kind::{self, Kind};
use super::walk::Walk;

/// The registered port.
pub(super) const PORT: u16 = 4789;
/// The port that Linux used before there was a registered one, and still has by default.
pub(super) const LINUX_PORT: u16 = 8472;
/// Set in every VXLAN header: the network identifier is valid.
const VALID_VNI: u8 = 0x08;

/// Notes the tunnel and gives the frame inside; what lacks the flag is not VXLAN.
pub(super) fn strip<'a>(data: &'a [u8], walk: &mut Walk<'_, '_>) -> Option<&'a [u8]> {
    let (header, bytes) = walk.header::<8>(data, Damage::VxlanTruncated)?;
    if header[0] & VALID_VNI == 0 {
        return None;
    }
    tunnel_kind::note(Kind::Vxlan, Some(header.be32::<4>() >> 8), walk);
    walk.ethertype = BRIDGED_ETHERNET;
    Some(bytes)
}
