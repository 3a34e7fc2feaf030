//! Cisco FabricPath: a frame behind a header of switch numbers that looks like that of Ethernet.

use super::columns::present;
use super::damage::Damage;
use super::ethertype::BRIDGED_ETHERNET;
use super::walk::Walk;
use tapline_record::PacketColumn::{DstMac, Ethertype, SrcMac};

/// Gives the frame inside, whose addresses and EtherType are the row's: what stood for them names switches.
pub(super) fn strip<'a>(bytes: &'a [u8], walk: &mut Walk<'_, '_>) -> Option<&'a [u8]> {
    walk.row.present &= !present([SrcMac, DstMac, Ethertype]);
    let (_, bytes) = walk.header::<2>(bytes, Damage::FabricPathTruncated)?;
    walk.ethertype = BRIDGED_ETHERNET;
    Some(bytes)
}
