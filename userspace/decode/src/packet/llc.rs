//! IEEE 802.2 LLC, as it follows an 802.3 length, and SNAP (RFC 1042).

use super::damage::Damage;
use super::ethertype;
use super::fields::Fields as _;
use super::unread::Unread;
use super::walk::Walk;

/// Service access point of SNAP, as destination and as source.
const SAP_SNAP: u8 = 0xaa;
/// Service access point of IP, as ARPANET hosts used it.
const SAP_IP: u8 = 0x06;
/// Control field of an unnumbered information frame.
const UNNUMBERED_INFORMATION: u8 = 0x03;
/// Organisation codes whose protocol id is an EtherType: RFC 1042 and 802.1H.
const ETHERTYPE_ORGANISATIONS: [[u8; 3]; 2] = [[0, 0, 0], [0, 0, 0xf8]];

/// Gives what SNAP or a service access point names, when that is an EtherType.
#[cold]
pub(super) fn strip<'a>(bytes: &'a [u8], walk: &mut Walk<'_, '_>) -> Option<&'a [u8]> {
    let (header, rest) = walk.header::<3>(bytes, Damage::LlcTruncated)?;
    match *header {
        [SAP_SNAP, SAP_SNAP, UNNUMBERED_INFORMATION] => snap(rest, walk),
        [SAP_IP, _, UNNUMBERED_INFORMATION] => {
            walk.ethertype = ethertype::IPV4;
            Some(rest)
        }
        [destination, ..] => walk.leave(Unread::Llc(destination)),
    }
}

fn snap<'a>(bytes: &'a [u8], walk: &mut Walk<'_, '_>) -> Option<&'a [u8]> {
    let (header, bytes) = walk.header::<5>(bytes, Damage::LlcTruncated)?;
    if !ETHERTYPE_ORGANISATIONS.contains(&header.octets::<0, 3>()) {
        return walk.leave(Unread::Llc(SAP_SNAP));
    }
    ethertype::enter(header.be16::<3>(), walk);
    Some(bytes)
}
