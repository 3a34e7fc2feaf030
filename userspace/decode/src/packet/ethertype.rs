//! EtherTypes (IEEE "EtherType" registry), and the lengths that stand in their place.

use super::columns::present;
use super::walk::Walk;
use tapline_record::PacketColumn::Ethertype;

pub(crate) const IPV4: u16 = 0x0800;
pub(crate) const IPV6: u16 = 0x86dd;
/// Transparent Ethernet bridging: an Ethernet frame.
pub(super) const BRIDGED_ETHERNET: u16 = 0x6558;
pub(crate) const MPLS: u16 = 0x8847;
pub(super) const ARP: u16 = 0x0806;
pub(super) const VLAN: u16 = 0x8100;
pub(super) const PROVIDER_VLAN: u16 = 0x88a8;
pub(super) const OLD_PROVIDER_VLAN: u16 = 0x9100;
pub(crate) const MPLS_UPSTREAM: u16 = 0x8848;
pub(super) const PPPOE_SESSION: u16 = 0x8864;
pub(super) const PROVIDER_BACKBONE: u16 = 0x88e7;
pub(super) const FABRIC_PATH: u16 = 0x8903;
pub(super) const NSH: u16 = 0x894f;
/// Zero is no length of a frame; it is taken for a type that nobody knows.
const NOTHING: u16 = 0;
/// Up to here an EtherType's field is the length of an 802.3 frame.
pub(super) const LENGTH_MAX: u16 = 1500;
/// From here on an EtherType's field is a type.
pub(super) const TYPE_MIN: u16 = 0x0600;

/// An EtherType field of the frame. The first one that is not a VLAN tag is the row's.
#[inline]
pub(super) fn enter(ethertype: u16, walk: &mut Walk<'_, '_>) {
    walk.ethertype = ethertype;
    let is_type = ethertype == NOTHING || ethertype >= TYPE_MIN;
    let is_tag = matches!(ethertype, VLAN | PROVIDER_VLAN | OLD_PROVIDER_VLAN);
    if is_type && !is_tag && !walk.row.has(Ethertype) {
        walk.row.ethertype = ethertype;
        walk.row.present |= present([Ethertype]);
    }
}

/// A tunnel's field that names what it carries, which is never a length.
pub(super) fn enter_type(ethertype: u16, walk: &mut Walk<'_, '_>) -> Option<()> {
    walk.ethertype = ethertype;
    (ethertype >= TYPE_MIN).then_some(())
}

/// Whether a frame of this EtherType is likely to be met.
pub(super) const fn is_common(ethertype: u16) -> bool {
    matches!(
        ethertype,
        IPV4 | IPV6 | ARP | VLAN | PROVIDER_VLAN | OLD_PROVIDER_VLAN | MPLS | MPLS_UPSTREAM | PPPOE_SESSION
    )
}
