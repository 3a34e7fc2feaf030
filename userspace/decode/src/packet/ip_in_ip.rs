//! IP in IP (RFC 2003, RFC 2473, RFC 4213): the packet inside follows at once.

use super::tunnel_kind::{self, Kind};
use super::walk::Walk;

/// Notes the tunnel and gives the packet inside.
pub(super) fn strip<'a>(ethertype: u16, bytes: &'a [u8], walk: &mut Walk<'_, '_>) -> &'a [u8] {
    tunnel_kind::note(Kind::IpInIp, None, walk);
    walk.ethertype = ethertype;
    bytes
}
