//! IEEE 802.1Q and 802.1ad tags.

use super::columns::present;
use super::damage::Damage;
use super::ethertype;
use super::fields::Fields as _;
use super::walk::Walk;
use tapline_record::PacketColumn::{InnerVlan, Vlan};

/// Takes the VLAN id of the outermost tag and of the second one; further tags are looked through.
#[inline]
pub(super) fn strip<'a>(bytes: &'a [u8], walk: &mut Walk<'_, '_>) -> Option<&'a [u8]> {
    let (tag, bytes) = walk.header::<4>(bytes, Damage::VlanTruncated)?;
    let vlan = tag.be16::<0>() & 0xfff;
    let row = &mut *walk.row;
    if !row.has(Vlan) {
        row.vlan = vlan;
        row.present |= present([Vlan]);
    } else if !row.has(InnerVlan) {
        row.inner_vlan = vlan;
        row.present |= present([InnerVlan]);
    }
    ethertype::enter(tag.be16::<2>(), walk);
    Some(bytes)
}
