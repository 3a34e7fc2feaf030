//! Ports, with which the headers of all transport protocols begin.

use super::columns::present;
use super::walk::Walk;
use tapline_record::PacketColumn::{DstPort, SrcPort};

/// Fills the ports, which every transport protocol has in its first four octets.
#[inline]
pub(super) fn fill_ports([a, b, c, d]: [u8; 4], walk: &mut Walk<'_, '_>) {
    walk.row.src_port = u16::from_be_bytes([a, b]);
    walk.row.dst_port = u16::from_be_bytes([c, d]);
    walk.row.present |= present([SrcPort, DstPort]);
}
