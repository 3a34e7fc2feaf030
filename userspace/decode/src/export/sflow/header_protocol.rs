//! What a sampled header begins with (sFlow version 5, `header_protocol`).
//!
//! Takes the number of the protocol and the header, gives where a packet begins in it and which one. Ethernet is
//! left to the decoder of packets, and so is what follows PPP, Frame Relay, ATM, FDDI, Token Ring and 802.11; of
//! protocols that are not read, and of headers that are cut short, nothing is given.

use super::numbers;
use crate::export::wire::{array_at, u16_at};
use crate::frame::LinkType;
use crate::packet::{ethertype, ppp_protocol};
use tapline_record::address::Mac;

/// Control field of an unnumbered information frame (IEEE 802.2).
const UNNUMBERED_INFORMATION: u8 = 3;
/// LLC with the service access points of SNAP.
const LLC_OF_SNAP: [u8; 3] = [0xaa, 0xaa, UNNUMBERED_INFORMATION];
/// Network layer protocol ids (ISO/IEC TR 9577) that Frame Relay has (RFC 2427).
const NLPID_IPV4: u8 = 0xcc;
const NLPID_IPV6: u8 = 0x8e;
const NLPID_SNAP: u8 = 0x80;
/// Organisation codes behind which an EtherType stands: RFC 1042 and 802.1H.
const ETHERTYPE_ORGANISATIONS: [[u8; 3]; 2] = [[0, 0, 0], [0, 0, 0xf8]];

/// Where the packet of a sampled header is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Start {
    pub(super) link: LinkType,
    /// Octets in front of it.
    pub(super) octets: usize,
    /// Source and destination in front of it, where Ethernet's decoder does not find them.
    pub(super) macs: Option<[Mac; 2]>,
}

impl Start {
    const fn of(link: LinkType, octets: usize) -> Self {
        Self { link, octets, macs: None }
    }

    /// The packet of an EtherType.
    fn of_ethertype(number: u16, octets: usize) -> Option<Self> {
        let link = match number {
            ethertype::IPV4 => LinkType::Ipv4,
            ethertype::IPV6 => LinkType::Ipv6,
            ethertype::MPLS | ethertype::MPLS_UPSTREAM => LinkType::Mpls,
            _ => return None,
        };
        Some(Self::of(link, octets))
    }
}

/// Where the packet begins in the header of a protocol.
pub(super) fn find_packet(protocol: u32, header: &[u8]) -> Option<Start> {
    match protocol {
        // A sub-frame of an A-MSDU begins as an 802.3 frame does.
        numbers::HEADER_ETHERNET_ISO88023 | numbers::HEADER_IEEE80211_AMSDU_SUBFRAME => {
            Some(Start::of(LinkType::Ethernet, 0))
        }
        numbers::HEADER_ISO88025_TOKENRING => token_ring(header),
        numbers::HEADER_FDDI => addressed(header, 1, 13),
        numbers::HEADER_FRAME_RELAY => frame_relay(header),
        numbers::HEADER_PPP | numbers::HEADER_POS => serial(header),
        numbers::HEADER_AAL5 => llc(header, 0).or_else(|| ip(header)),
        numbers::HEADER_AAL5_IP => ip(header),
        numbers::HEADER_IPV4 => Some(Start::of(LinkType::Ipv4, 0)),
        numbers::HEADER_IPV6 => Some(Start::of(LinkType::Ipv6, 0)),
        numbers::HEADER_MPLS => Some(Start::of(LinkType::Mpls, 0)),
        numbers::HEADER_IEEE80211MAC => wireless(header),
        _ => None,
    }
}

/// An IP packet without anything in front of it.
fn ip(header: &[u8]) -> Option<Start> {
    matches!(header.first()? >> 4, 4 | 6).then_some(Start::of(LinkType::RawIp, 0))
}

/// PPP, with or without HDLC's address and control (RFC 1662), or Cisco's framing, as routers have it on such lines.
fn serial(header: &[u8]) -> Option<Start> {
    match *header {
        [0x0f | 0x8f, 0, ..] => Start::of_ethertype(u16_at(header, 2)?, 4),
        [0xff, 3, ..] => ppp(header, 2),
        _ => ppp(header, 0),
    }
}

/// The protocol field of PPP, compressed or not.
fn ppp(header: &[u8], first: usize) -> Option<Start> {
    let (protocol, octets) = match *header.get(first)? {
        compressed if compressed % 2 == 1 => (u16::from(compressed), 1),
        _ => (u16_at(header, first)?, 2),
    };
    let link = match protocol {
        ppp_protocol::IPV4 => LinkType::Ipv4,
        ppp_protocol::IPV6 => LinkType::Ipv6,
        ppp_protocol::MPLS | ppp_protocol::MPLS_MULTICAST => LinkType::Mpls,
        _ => return None,
    };
    Some(Start::of(link, first + octets))
}

/// Frame Relay: an address, whose last octet is odd, then what RFC 2427 says, or Cisco's EtherType.
fn frame_relay(header: &[u8]) -> Option<Start> {
    let behind = header.iter().take(4).position(|octet| octet % 2 == 1)? + 1;
    match *header.get(behind..)? {
        [UNNUMBERED_INFORMATION, NLPID_IPV4, ..] => Some(Start::of(LinkType::Ipv4, behind + 2)),
        [UNNUMBERED_INFORMATION, NLPID_IPV6, ..] => Some(Start::of(LinkType::Ipv6, behind + 2)),
        [UNNUMBERED_INFORMATION, NLPID_SNAP, ..] => snap(header, behind + 2),
        [UNNUMBERED_INFORMATION, 0, NLPID_SNAP, ..] => snap(header, behind + 3),
        _ => Start::of_ethertype(u16_at(header, behind)?, behind + 2),
    }
}

/// Token Ring: access and frame control, addresses, a route where the source address says so.
fn token_ring(header: &[u8]) -> Option<Start> {
    let route = match header.get(8)? & 0x80 {
        0 => 0,
        _ => usize::from(header.get(14)? & 0x1f),
    };
    addressed(header, 2, 14 + route)
}

/// A destination and a source, and LLC further on.
fn addressed(header: &[u8], addresses: usize, llc_first: usize) -> Option<Start> {
    let (dst, mut src): (Mac, Mac) = (array_at(header, addresses)?, array_at(header, addresses + 6)?);
    src[0] &= 0x7f;
    Some(Start { macs: Some([src, dst]), ..llc(header, llc_first)? })
}

/// IEEE 802.11: a data frame that is neither empty nor encrypted.
fn wireless(header: &[u8]) -> Option<Start> {
    const ADDRESSES: [usize; 4] = [4, 10, 16, 24];
    let &[kind, flags, ..] = header else { return None };
    let (is_qos, is_empty) = (kind & 0x80 != 0, kind & 0x40 != 0);
    let (is_protected, has_more_control) = (flags & 0x40 != 0, flags & 0x80 != 0);
    if kind & 0x0f != 8 || is_empty || is_protected {
        return None;
    }
    let [dst, src] = match flags & 3 {
        0 => [0, 1],
        1 => [2, 1],
        2 => [0, 2],
        _ => [2, 3],
    };
    let fourth = if flags & 3 == 3 { 6 } else { 0 };
    let qos = if is_qos { 2 + if has_more_control { 4 } else { 0 } } else { 0 };
    let [dst, src] = [dst, src].map(|address: usize| array_at(header, ADDRESSES[address]));
    Some(Start { macs: Some([src?, dst?]), ..llc(header, 24 + fourth + qos)? })
}

/// LLC with SNAP.
fn llc(header: &[u8], first: usize) -> Option<Start> {
    header.get(first..)?.starts_with(&LLC_OF_SNAP).then(|| snap(header, first + 3))?
}

/// SNAP: an organisation, and an EtherType.
fn snap(header: &[u8], first: usize) -> Option<Start> {
    let organisation: [u8; 3] = array_at(header, first)?;
    let ethertype = u16_at(header, first + 3).filter(|_| ETHERTYPE_ORGANISATIONS.contains(&organisation))?;
    Start::of_ethertype(ethertype, first + 5)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SNAP_V4: [u8; 8] = [0xaa, 0xaa, 3, 0, 0, 0, 8, 0];
    const A: Mac = [2, 0, 0, 0, 0, 1];
    const B: Mac = [2, 0, 0, 0, 0, 2];
    const C: Mac = [2, 0, 0, 0, 0, 3];

    fn start(protocol: u32, parts: &[&[u8]]) -> Option<(LinkType, usize)> {
        find_packet(protocol, &parts.concat()).map(|start| (start.link, start.octets))
    }

    #[test]
    fn serial_lines_have_several_framings() {
        use LinkType::{Ipv4, Ipv6, Mpls};
        let cases: [(&[u8], _); 8] = [
            (&[0xff, 3, 0, 0x21, 0x45], Some((Ipv4, 4))),
            (&[0, 0x57, 0x60], Some((Ipv6, 2))),
            (&[0x21, 0x45], Some((Ipv4, 1))),
            (&[0xff, 3, 2, 0x81, 0], Some((Mpls, 4))),
            (&[0x0f, 0, 8, 0, 0x45], Some((Ipv4, 4))),
            (&[0x8f, 0, 0x86, 0xdd, 0x60], Some((Ipv6, 4))),
            (&[0xff, 3, 0xc0, 0x21], None),
            (&[0xff, 3], None),
        ];
        for (header, expected) in cases {
            assert_eq!([7, 14].map(|protocol| start(protocol, &[header])), [expected; 2], "{header:?}");
        }
    }

    #[test]
    fn frame_relay_and_atm() {
        use LinkType::{Ipv4, Ipv6, RawIp};
        assert_eq!(start(5, &[&[0x18, 0x41, 3, 0xcc, 0x45]]), Some((Ipv4, 4)));
        assert_eq!(start(5, &[&[0x18, 0x40, 0, 1, 3, 0x8e, 0x60]]), Some((Ipv6, 6)), "a long address");
        assert_eq!(start(5, &[&[0x18, 0x41, 3, 0, 0x80, 0, 0, 0, 8, 0, 0x45]]), Some((Ipv4, 10)));
        assert_eq!(start(5, &[&[0x18, 0x41, 8, 0, 0x45]]), Some((Ipv4, 4)), "Cisco's");
        assert_eq!(start(9, &[&SNAP_V4, &[0x45]]), Some((Ipv4, 8)));
        assert_eq!([9, 10].map(|protocol| start(protocol, &[&[0x45, 0]])), [Some((RawIp, 0)); 2]);
        assert_eq!(start(10, &[&[0x20, 0]]), None);
    }

    #[test]
    fn rings_have_addresses() {
        let fddi = find_packet(4, &[&[0x57][..], &A, &B, &SNAP_V4].concat()).unwrap();
        assert_eq!((fddi.link, fddi.octets, fddi.macs), (LinkType::Ipv4, 21, Some([B, A])));
        let routed = [0x82, B[1], B[2], B[3], B[4], B[5]];
        let ring = find_packet(3, &[&[0x10, 0x40][..], &A, &routed, &[0x04, 0, 0, 1], &SNAP_V4].concat());
        let ring = ring.unwrap();
        assert_eq!((ring.link, ring.octets, ring.macs), (LinkType::Ipv4, 26, Some([B, A])));
        assert_eq!(start(3, &[&[0x10, 0x40], &A, &B, &SNAP_V4]), Some((LinkType::Ipv4, 22)));
    }

    #[test]
    fn wireless_frames_say_where_their_addresses_are() {
        let frame = |kind: u8, flags: u8, behind: &[u8]| {
            find_packet(15, &[&[kind, flags, 0, 0][..], &A, &B, &C, &[0, 0], behind, &SNAP_V4].concat())
        };
        let found =
            |kind, flags, behind: &[u8]| frame(kind, flags, behind).map(|start| (start.octets, start.macs));
        assert_eq!(found(8, 0, &[]), Some((32, Some([B, A]))));
        assert_eq!(found(8, 1, &[]), Some((32, Some([B, C]))), "to an access point");
        assert_eq!(found(0x88, 2, &[0, 0]), Some((34, Some([C, A]))), "from it, with a priority");
        assert_eq!(found(0x88, 0x83, &[&A[..], &[0; 6]].concat()), Some((44, Some([A, C]))), "between two");
        assert_eq!([found(8, 0x40, &[]), found(0x48, 0, &[]), found(0x80, 0, &[])], [None; 3]);
    }

    #[test]
    fn headers_may_be_cut_short_anywhere() {
        let header = [&[0x88, 0x83, 0, 0][..], &A, &B, &C, &[0, 0], &A, &[0; 6], &SNAP_V4].concat();
        for end in 0..header.len() {
            for protocol in 0..20 {
                let start = find_packet(protocol, &header[..end]);
                assert!(start.is_none_or(|start| start.octets <= end), "{protocol} {end}");
            }
        }
    }
}
