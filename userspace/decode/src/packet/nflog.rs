//! Packets that Linux's netfilter logged (`LINKTYPE_NFLOG`): attributes, of which one is the packet.

use super::damage::Damage;
use super::ethertype;
use super::unread::Unread;
use super::walk::Walk;

/// Address families of Linux.
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
/// Attributes: what protocol the packet is, and the packet.
const PACKET_HEADER: u16 = 1;
const PAYLOAD: u16 = 9;
/// The bits of the type; those above are flags.
const ATTRIBUTE_TYPE: u8 = 0x3f;
/// Octets of an attribute's length and type.
const ATTRIBUTE_OCTETS: usize = 4;

/// Gives the packet.
pub(super) fn strip<'a>(bytes: &'a [u8], walk: &mut Walk<'_, '_>) -> Option<&'a [u8]> {
    let (&[family, _, _, _], mut bytes) = walk.header::<4>(bytes, Damage::NflogTruncated)?;
    let mut protocol = None;
    while !bytes.is_empty() {
        let (header, rest) = walk.header::<ATTRIBUTE_OCTETS>(bytes, Damage::NflogTruncated)?;
        let (octets, kind) = attribute(*header);
        let Some(value_octets) = octets.checked_sub(ATTRIBUTE_OCTETS) else {
            return walk.stop(Damage::NflogTruncated);
        };
        match kind {
            PAYLOAD => {
                return packet(
                    family,
                    protocol,
                    walk.bound(rest, value_octets, Damage::NflogTruncated),
                    walk,
                );
            }
            PACKET_HEADER => protocol = rest.first_chunk().map(|protocol| u16::from_be_bytes(*protocol)),
            _ => {}
        }
        let padding_octets = value_octets.next_multiple_of(4) - value_octets;
        bytes =
            walk.skip(rest, value_octets, Damage::NflogTruncated)?.get(padding_octets..).unwrap_or_default();
    }
    walk.leave(Unread::Nflog(family))
}

/// Length and type are in the byte order of the host that captured; types are below 2^6, so that the order shows.
const fn attribute([a, b, c, d]: [u8; ATTRIBUTE_OCTETS]) -> (usize, u16) {
    let (octets, kind) = if d & ATTRIBUTE_TYPE == 0 { ([a, b], [c, d]) } else { ([b, a], [d, c]) };
    (u16::from_le_bytes(octets) as usize, u16::from_le_bytes(kind))
}

/// Families other than those of IP, such as that of bridges, leave it to the packet's protocol.
fn packet<'a>(
    family: u8,
    protocol: Option<u16>,
    bytes: &'a [u8],
    walk: &mut Walk<'_, '_>,
) -> Option<&'a [u8]> {
    walk.ethertype = match (family, protocol) {
        (AF_INET, _) => ethertype::IPV4,
        (AF_INET6, _) => ethertype::IPV6,
        (_, Some(protocol)) => protocol,
        _ => return walk.leave(Unread::Nflog(family)),
    };
    Some(bytes)
}
