//! Everything in front of an IP header: Ethernet, VLAN tags, MPLS labels, PPPoE, LLC and SNAP, backbone and fabric
//! headers, service chains; or nothing.

use super::Octets;
use super::walk::{Walk, be16};

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const ARP: u16 = 0x0806;
const BRIDGED_ETHERNET: u16 = 0x6558;
const VLAN: u16 = 0x8100;
const PROVIDER_VLAN: u16 = 0x88a8;
const OLD_PROVIDER_VLAN: u16 = 0x9100;
const MPLS: u16 = 0x8847;
const MPLS_UPSTREAM: u16 = 0x8848;
const PPPOE_SESSION: u16 = 0x8864;
const PROVIDER_BACKBONE: u16 = 0x88e7;
const FABRIC_PATH: u16 = 0x8903;
const NSH: u16 = 0x894f;
/// What PPP carries, and associated channels of MPLS (IANA, "PPP DLL Protocol Numbers").
const PPP_IPV4: u16 = 0x0021;
const PPP_IPV6: u16 = 0x0057;
const PPP_MPLS: u16 = 0x0281;
/// Octets of NSH's base header and service path.
const NSH_OCTETS: u32 = 8;
/// Up to here the field is the length of an 802.3 frame.
const LENGTH_MAX: u16 = 1500;
/// Tags, labels and sessions that are looked through; the verifier wants to know the end.
const LAYERS_MAX: u32 = 8;
/// Set in the last entry of a label stack, in its third octet.
const BOTTOM_OF_STACK: u8 = 1;

/// Goes to the IP header that the EtherType names; `None` when there is none. A frame of bare IP begins with it, and
/// its version tells which it is.
#[inline(always)]
pub(super) fn find_ip<F: Octets + ?Sized>(walk: &mut Walk<'_, F>, is_bare_ip: bool) -> Option<()> {
    if is_bare_ip {
        walk.position.ethertype = IPV4;
        return Some(());
    }
    ethernet(walk)?;
    let is_there = is_ip(walk.position.ethertype) || walk.go_on(F::go_behind_link);
    is_there.then_some(())
}

/// Goes on as long as something is to be looked through.
#[inline(always)]
pub(super) fn look_through<F: Octets + ?Sized>(walk: &mut Walk<'_, F>) -> Option<()> {
    for _ in 0..LAYERS_MAX {
        layer(walk)?;
        if is_ip(walk.position.ethertype) {
            return Some(());
        }
    }
    walk.position.is_too_deep = 1;
    None
}

#[inline(always)]
const fn is_ip(ethertype: u16) -> bool {
    matches!(ethertype, IPV4 | IPV6)
}

#[inline(always)]
fn layer<F: Octets + ?Sized>(walk: &mut Walk<'_, F>) -> Option<()> {
    match walk.position.ethertype {
        VLAN | PROVIDER_VLAN | OLD_PROVIDER_VLAN => vlan(walk),
        MPLS | MPLS_UPSTREAM => mpls(walk),
        PPPOE_SESSION => pppoe(walk),
        BRIDGED_ETHERNET => ethernet(walk),
        PROVIDER_BACKBONE => bridged_behind::<4, F>(walk),
        FABRIC_PATH => bridged_behind::<2, F>(walk),
        NSH => nsh(walk),
        1..=LENGTH_MAX => llc(walk),
        _ => None,
    }
}

#[inline(always)]
fn ethernet<F: Octets + ?Sized>(walk: &mut Walk<'_, F>) -> Option<()> {
    let header = walk.take::<14>()?;
    walk.position.ethertype = be16(header[12], header[13]);
    Some(())
}

/// A frame behind a tag of `N` octets.
#[inline(always)]
fn bridged_behind<const N: usize, F: Octets + ?Sized>(walk: &mut Walk<'_, F>) -> Option<()> {
    walk.skip(N as u32)?;
    walk.position.ethertype = BRIDGED_ETHERNET;
    Some(())
}

#[inline(always)]
fn nsh<F: Octets + ?Sized>(walk: &mut Walk<'_, F>) -> Option<()> {
    let [version, length, _, next_protocol, ..] = walk.peek::<{ NSH_OCTETS as usize }>()?;
    let octets = u32::from(length & 0x3f) * 4;
    if version >> 6 != 0 || octets < NSH_OCTETS {
        return None;
    }
    walk.position.ethertype = match next_protocol {
        1 => IPV4,
        2 => IPV6,
        3 => BRIDGED_ETHERNET,
        4 => NSH,
        5 => MPLS,
        _ => return None,
    };
    walk.skip(octets)
}

/// The id of the outermost tag is the frame's.
#[inline(always)]
fn vlan<F: Octets + ?Sized>(walk: &mut Walk<'_, F>) -> Option<()> {
    let [a, b, c, d] = walk.take()?;
    walk.position.enter_vlan(be16(a, b));
    walk.position.ethertype = be16(c, d);
    Some(())
}

/// One label; behind the last one, what the next octets look like.
#[inline(always)]
fn mpls<F: Octets + ?Sized>(walk: &mut Walk<'_, F>) -> Option<()> {
    let [_, _, flags, _] = walk.take()?;
    if flags & BOTTOM_OF_STACK == 0 {
        return Some(());
    }
    let [first] = walk.peek()?;
    match first >> 4 {
        1 => return associated_channel(walk),
        4 => walk.position.ethertype = IPV4,
        6 => walk.position.ethertype = IPV6,
        _ => pseudowire(walk, first),
    }
    Some(())
}

#[inline(always)]
fn associated_channel<F: Octets + ?Sized>(walk: &mut Walk<'_, F>) -> Option<()> {
    let [_, _, high, low] = walk.take()?;
    walk.position.ethertype = match be16(high, low) {
        PPP_IPV4 => IPV4,
        PPP_IPV6 => IPV6,
        _ => return None,
    };
    Some(())
}

/// A first nibble of zero is a control word, unless an EtherType stands where it would be without one.
#[inline(always)]
fn pseudowire<F: Octets + ?Sized>(walk: &mut Walk<'_, F>, first: u8) {
    walk.position.ethertype = BRIDGED_ETHERNET;
    let has_common_type = walk.peek_at::<2>(12).is_some_and(|[high, low]| is_common(be16(high, low)));
    if first <= 0x0f && !has_common_type {
        let _ = walk.skip(4);
    }
}

const fn is_common(ethertype: u16) -> bool {
    matches!(
        ethertype,
        IPV4 | IPV6 | ARP | VLAN | PROVIDER_VLAN | OLD_PROVIDER_VLAN | MPLS | MPLS_UPSTREAM | PPPOE_SESSION
    )
}

#[inline(always)]
fn pppoe<F: Octets + ?Sized>(walk: &mut Walk<'_, F>) -> Option<()> {
    let header = walk.take::<6>()?;
    walk.limit(be16(header[4], header[5]).into());
    let [first] = walk.take()?;
    let is_compressed = first % 2 == 1;
    let protocol = if is_compressed {
        first.into()
    } else {
        let [second] = walk.take()?;
        be16(first, second)
    };
    walk.position.ethertype = match protocol {
        PPP_IPV4 => IPV4,
        PPP_IPV6 => IPV6,
        PPP_MPLS => MPLS,
        _ => return None,
    };
    Some(())
}

/// An 802.3 length, then LLC; SNAP names an EtherType.
#[inline(always)]
fn llc<F: Octets + ?Sized>(walk: &mut Walk<'_, F>) -> Option<()> {
    walk.limit(walk.position.ethertype.into());
    match walk.take()? {
        [0xaa, 0xaa, 3] => snap(walk),
        [6, _, 3] => {
            walk.position.ethertype = IPV4;
            Some(())
        }
        _ => None,
    }
}

#[inline(always)]
fn snap<F: Octets + ?Sized>(walk: &mut Walk<'_, F>) -> Option<()> {
    let [0, 0, 0 | 0xf8, high, low] = walk.take()? else { return None };
    walk.position.ethertype = be16(high, low);
    Some(())
}
