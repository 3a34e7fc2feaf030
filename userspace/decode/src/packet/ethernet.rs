//! Ethernet II and IEEE 802.3: addresses, then a type or a length.

use super::columns::present;
use super::damage::Damage;
use super::ethertype;
use super::fields::Fields as _;
use super::walk::Walk;
use crate::frame::Frame;
use tapline_record::PacketColumn::{DstMac, SrcMac};

/// Length of the frame check sequence.
const FCS_OCTETS: usize = 4;

/// As [`strip`], of a frame that ends with its check sequence.
pub(super) fn strip_with_fcs<'a>(frame: &Frame<'a>, walk: &mut Walk<'_, '_>) -> Option<&'a [u8]> {
    let octets = (frame.original_octets as usize).saturating_sub(FCS_OCTETS);
    strip(walk.bound(frame.bytes, octets, Damage::EthernetTruncated), walk)
}

/// Takes the MAC addresses, unless a header further out had some, and gives what follows.
#[inline]
pub(super) fn strip<'a>(bytes: &'a [u8], walk: &mut Walk<'_, '_>) -> Option<&'a [u8]> {
    let (header, bytes) = walk.header::<14>(bytes, Damage::EthernetTruncated)?;
    if !walk.row.has(SrcMac) {
        walk.row.dst_mac = header.octets::<0, 6>();
        walk.row.src_mac = header.octets::<6, 6>();
        walk.row.present |= present([SrcMac, DstMac]);
    }
    ethertype::enter(header.be16::<12>(), walk);
    Some(bytes)
}
