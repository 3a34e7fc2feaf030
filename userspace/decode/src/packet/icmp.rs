//! ICMP (RFC 792) and ICMPv6 (RFC 4443), which begin alike.

use super::columns::present;
use super::damage::Damage;
use super::walk::Walk;
use tapline_record::PacketColumn::{IcmpCode, IcmpType};

/// Fills type and code. ICMP is no transport: there is no payload.
pub(super) fn fill<'a>(message: &'a [u8], walk: &mut Walk<'_, '_>) -> Option<&'a [u8]> {
    let (&[kind, code], _) = walk.header::<2>(message, Damage::IcmpTruncated)?;
    walk.row.icmp_type = kind;
    walk.row.icmp_code = code;
    walk.row.present |= present([IcmpType, IcmpCode]);
    None
}
