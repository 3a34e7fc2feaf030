//! Looks through everything that an EtherType may name before an IP header.

use super::damage::Damage;
use super::ethertype::{
    ARP, BRIDGED_ETHERNET, FABRIC_PATH, IPV4, IPV6, LENGTH_MAX, MPLS, MPLS_UPSTREAM, NSH, OLD_PROVIDER_VLAN,
    PPPOE_SESSION, PROVIDER_BACKBONE, PROVIDER_VLAN, VLAN,
};
use super::unread::Unread;
use super::walk::Walk;
use super::{arp, ethernet, fabric_path, llc, mpls, nsh, pbb, pppoe, vlan};

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
