//! What stands in front of an IP header and is not read, in words, and how often it was met.
//!
//! Such a frame is a row all the same; it is neither damaged nor undecodable, only not looked into. ARP, which has no
//! IP header, is read.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::AddAssign;

/// Kinds that are counted one by one; the others are counted together.
const KINDS_MAX: usize = 256;

/// What is not read, by the name space that its number is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unread {
    /// A link type of the tcpdump.org registry; of an interface, its hardware type.
    LinkType(u32),
    /// An EtherType, or a number that is neither that nor the length of an 802.3 frame.
    Ethertype(u16),
    /// An 802.2 service access point; that of SNAP where an organisation's own protocol follows.
    Llc(u8),
    /// A protocol of PPP.
    Ppp(u16),
    /// One of Linux's own protocol numbers in a cooked capture.
    Cooked(u16),
    /// An address family of BSD's loopback.
    AddressFamily(u32),
    /// A next protocol of the network service header.
    Nsh(u8),
    /// An address family of netfilter's log.
    Nflog(u8),
    /// Any of those that there are too many of.
    Other,
}

/// Names of link types.
const LINK_TYPES: Names = &[
    (6, "token ring"),
    (7, "ARCNET"),
    (8, "SLIP"),
    (10, "FDDI"),
    (100, "ATM, RFC 1483"),
    (104, "Cisco HDLC"),
    (105, "802.11"),
    (107, "Frame Relay"),
    (117, "pflog"),
    (119, "802.11 with Prism header"),
    (123, "SunATM"),
    (127, "802.11 with radiotap header"),
    (129, "ARCNET of Linux"),
    (138, "IP over IEEE 1394"),
    (163, "802.11 with AVS header"),
    (187, "Bluetooth HCI"),
    (189, "USB of Linux"),
    (192, "PPI"),
    (195, "802.15.4"),
    (201, "Bluetooth HCI with direction"),
    (220, "USB of Linux, padded"),
    (227, "CAN"),
    (240, "netANALYZER"),
    (247, "IP over InfiniBand"),
    (249, "USB of Windows"),
    (251, "Bluetooth LE"),
    (253, "netlink"),
    (258, "pktap"),
    (274, "Ethernet with preamble"),
];

/// Names of EtherTypes.
const ETHERTYPES: Names = &[
    (0x0842, "Wake-on-LAN"),
    (0x22ea, "stream reservation"),
    (0x22f0, "AVTP"),
    (0x22f3, "TRILL"),
    (0x4305, "B.A.T.M.A.N."),
    (0x6003, "DECnet"),
    (0x8035, "RARP"),
    (0x809b, "AppleTalk"),
    (0x80f3, "AppleTalk ARP"),
    (0x8137, "IPX"),
    (0x8808, "MAC control"),
    (0x8809, "slow protocols, LACP"),
    (0x8863, "PPPoE discovery"),
    (0x887b, "HomePlug"),
    (0x888e, "EAPOL"),
    (0x8892, "PROFINET"),
    (0x88a2, "ATA over Ethernet"),
    (0x88a4, "EtherCAT"),
    (0x88ab, "POWERLINK"),
    (0x88b8, "GOOSE"),
    (0x88ba, "sampled values"),
    (0x88be, "ERSPAN"),
    (0x88cc, "LLDP"),
    (0x88e1, "HomePlug AV"),
    (0x88e5, "MACsec"),
    (0x88f5, "MVRP"),
    (0x88f6, "MMRP"),
    (0x88f7, "PTP"),
    (0x88fb, "PRP"),
    (0x8902, "connectivity fault management"),
    (0x8906, "FCoE"),
    (0x8909, "Cisco metadata"),
    (0x8914, "FCoE initialization"),
    (0x8915, "RoCE"),
    (0x8926, "VN-Tag"),
    (0x892f, "HSR"),
    (0x893a, "IEEE 1905.1"),
    (0x893f, "E-Tag"),
    (0x894f, "NSH of another version"),
    (0x9000, "loopback test"),
    (0xf1c1, "R-Tag"),
];

/// Names of 802.2 service access points.
const LLC: Names = &[
    (0x00, "null"),
    (0x42, "spanning tree"),
    (0x7e, "X.25"),
    (0xaa, "SNAP of an organisation"),
    (0xe0, "IPX"),
    (0xf0, "NetBIOS"),
    (0xfe, "OSI, IS-IS"),
    (0xff, "IPX"),
];

/// Names of PPP protocols.
const PPP: Names = &[
    (0x0031, "bridging"),
    (0x003d, "multilink"),
    (0x00fd, "compressed"),
    (0x8021, "IPCP"),
    (0x8057, "IPV6CP"),
    (0xc021, "LCP"),
    (0xc023, "PAP"),
    (0xc025, "link quality"),
    (0xc223, "CHAP"),
];

/// Names of numbers.
type Names = &'static [(u32, &'static str)];

impl Unread {
    /// The name space, the number, how many hexadecimal digits that has, and names.
    fn parts(self) -> (&'static str, u32, Option<usize>, Names) {
        match self {
            Self::LinkType(number) => ("link type", number, None, LINK_TYPES),
            Self::Ethertype(number) => ("EtherType", number.into(), Some(4), ETHERTYPES),
            Self::Llc(number) => ("LLC", number.into(), Some(2), LLC),
            Self::Ppp(number) => ("PPP protocol", number.into(), Some(4), PPP),
            Self::Cooked(number) => ("cooked protocol", number.into(), Some(4), &[]),
            Self::AddressFamily(number) => ("address family", number, None, &[]),
            Self::Nsh(number) => ("NSH protocol", number.into(), None, &[]),
            Self::Nflog(number) => ("NFLOG family", number.into(), None, &[]),
            Self::Other => ("further kinds beyond", KINDS_MAX as u32, None, &[]),
        }
    }
}

impl fmt::Display for Unread {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (space, number, digits, names) = self.parts();
        match digits {
            None => write!(formatter, "{space} {number}")?,
            Some(digits) => write!(formatter, "{space} 0x{number:0digits$x}")?,
        }
        let name = names.iter().find(|(known, _)| *known == number);
        name.map_or(Ok(()), |(_, name)| write!(formatter, " ({name})"))
    }
}

/// How many frames were not read, by what they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnreadCounts(BTreeMap<Unread, u64>);

impl UnreadCounts {
    /// Counts one more.
    #[cold]
    pub fn count(&mut self, what: Unread) {
        self.add(what, 1);
    }

    fn add(&mut self, what: Unread, frames: u64) {
        let is_counted = self.0.len() < KINDS_MAX || self.0.contains_key(&what);
        *self.0.entry(if is_counted { what } else { Unread::Other }).or_default() += frames;
    }

    /// What was met, with how often.
    pub fn iter(&self) -> impl Iterator<Item = (Unread, u64)> + '_ {
        self.0.iter().map(|(&what, &frames)| (what, frames))
    }
}

impl AddAssign for UnreadCounts {
    fn add_assign(&mut self, other: Self) {
        other.0.into_iter().for_each(|(what, frames)| self.add(what, frames));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_named_with_their_numbers() {
        let cases = [
            (Unread::LinkType(127), "link type 127 (802.11 with radiotap header)"),
            (Unread::LinkType(147), "link type 147"),
            (Unread::Ethertype(0x8926), "EtherType 0x8926 (VN-Tag)"),
            (Unread::Ethertype(0x05dd), "EtherType 0x05dd"),
            (Unread::Llc(0x42), "LLC 0x42 (spanning tree)"),
            (Unread::Ppp(0xc021), "PPP protocol 0xc021 (LCP)"),
            (Unread::Cooked(0x000c), "cooked protocol 0x000c"),
            (Unread::AddressFamily(7), "address family 7"),
            (Unread::Nsh(0), "NSH protocol 0"),
            (Unread::Nflog(3), "NFLOG family 3"),
        ];
        for (what, text) in cases {
            assert_eq!(what.to_string(), text);
        }
    }

    #[test]
    fn too_many_kinds_are_counted_together() {
        let mut counts = UnreadCounts::default();
        for number in (0..1000).chain(0..10) {
            counts.count(Unread::Ethertype(number));
        }
        let all: Vec<_> = counts.iter().collect();
        assert_eq!((all.len(), all[0]), (KINDS_MAX + 1, (Unread::Ethertype(0), 2)));
        assert_eq!(all[KINDS_MAX], (Unread::Other, 1000 - KINDS_MAX as u64));
        let (mut sum, mut others) = (counts.clone(), UnreadCounts::default());
        [Unread::Ethertype(0), Unread::Llc(1)].into_iter().for_each(|what| others.count(what));
        sum += others;
        let all: Vec<_> = sum.iter().collect();
        assert_eq!((all[0], all[KINDS_MAX].1), ((Unread::Ethertype(0), 3), 1001 - KINDS_MAX as u64));
    }
}
