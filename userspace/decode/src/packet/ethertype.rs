//! Looks through everything that an EtherType may name before an IP header.

use super::walk::Walk;
use super::{Damage, Unread, arp, ethernet, fabric_path, llc, mpls, nsh, pbb, pppoe, present, vlan};
use tapline_record::PacketColumn::Ethertype;

pub(super) const IPV4: u16 = 0x0800;
pub(super) const IPV6: u16 = 0x86dd;
/// Transparent Ethernet bridging: an Ethernet frame.
pub(super) const BRIDGED_ETHERNET: u16 = 0x6558;
pub(super) const MPLS: u16 = 0x8847;
const ARP: u16 = 0x0806;
const VLAN: u16 = 0x8100;
const PROVIDER_VLAN: u16 = 0x88a8;
const OLD_PROVIDER_VLAN: u16 = 0x9100;
const MPLS_UPSTREAM: u16 = 0x8848;
const PPPOE_SESSION: u16 = 0x8864;
const PROVIDER_BACKBONE: u16 = 0x88e7;
const FABRIC_PATH: u16 = 0x8903;
pub(super) const NSH: u16 = 0x894f;
/// No length of a frame; taken for a type that nobody knows.
const NOTHING: u16 = 0;
/// Up to here the field is the length of an 802.3 frame.
const LENGTH_MAX: u16 = 1500;
/// From here on it is a type.
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

/// Goes through tags, labels and sessions up to an IP header; `None` when there is none.
#[inline]
pub(super) fn find_ip<'a>(bytes: &'a [u8], walk: &mut Walk<'_, '_>) -> Option<&'a [u8]> {
    match walk.ethertype {
        IPV4 | IPV6 => Some(bytes),
        _ => find_ip_behind(bytes, walk),
    }
}

fn find_ip_behind<'a>(mut bytes: &'a [u8], walk: &mut Walk<'_, '_>) -> Option<&'a [u8]> {
    while !matches!(walk.ethertype, IPV4 | IPV6) {
        bytes = look_through(bytes, walk)?;
    }
    Some(bytes)
}

#[inline]
fn look_through<'a>(bytes: &'a [u8], walk: &mut Walk<'_, '_>) -> Option<&'a [u8]> {
    match walk.ethertype {
        VLAN | PROVIDER_VLAN | OLD_PROVIDER_VLAN => vlan::strip(bytes, walk),
        MPLS | MPLS_UPSTREAM => mpls::strip(bytes, walk),
        PPPOE_SESSION => pppoe::strip(bytes, walk),
        BRIDGED_ETHERNET => ethernet::strip(bytes, walk),
        length @ 1..=LENGTH_MAX => {
            let bytes = walk.bound(bytes, length.into(), Damage::EthernetLengthTooLong);
            llc::strip(bytes, walk)
        }
        ARP => {
            arp::check(bytes, walk);
            None
        }
        PROVIDER_BACKBONE => pbb::strip(bytes, walk),
        FABRIC_PATH => fabric_path::strip(bytes, walk),
        NSH => nsh::strip(bytes, walk),
        other => walk.leave(Unread::Ethertype(other)),
    }
}
