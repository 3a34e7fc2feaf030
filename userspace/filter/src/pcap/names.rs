//! Names that filters have for numbers.

use crate::field::Field;

/// What a filter is about: a layer that is named in front of everything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layer {
    /// Ethernet.
    Ether,
    /// IP of this version.
    Ip(u8),
    /// Frames of an EtherType whose content is not read.
    Type(u16),
    /// A protocol over IP, of one version only where it says so.
    Protocol(u8, Option<u8>),
}

/// The layer that a word names.
pub(super) fn layer(word: &str) -> Option<Layer> {
    Some(match word {
        "ether" | "link" => Layer::Ether,
        "ip" => Layer::Ip(4),
        "ip6" => Layer::Ip(6),
        "arp" => Layer::Type(0x0806),
        "rarp" => Layer::Type(0x8035),
        "tcp" => Layer::Protocol(TCP, None),
        "udp" => Layer::Protocol(UDP, None),
        "sctp" => Layer::Protocol(SCTP, None),
        "icmp" => Layer::Protocol(1, Some(4)),
        "icmp6" => Layer::Protocol(58, Some(6)),
        "igmp" => Layer::Protocol(2, Some(4)),
        "igrp" => Layer::Protocol(9, Some(4)),
        "esp" => Layer::Protocol(50, None),
        "pim" => Layer::Protocol(103, None),
        "vrrp" | "carp" => Layer::Protocol(112, Some(4)),
        _ => return None,
    })
}

const TCP: u8 = 6;
const UDP: u8 = 17;
const SCTP: u8 = 132;
/// The protocols that have ports.
pub(super) const WITH_PORTS: &[u8] = &[TCP, UDP, SCTP];

/// The number of a protocol over IP.
pub(super) fn protocol(name: &str) -> Option<u8> {
    match (layer(name), name) {
        (Some(Layer::Protocol(number, _)), _) => Some(number),
        (_, "gre") => Some(47),
        (_, "ospf") => Some(89),
        _ => None,
    }
}

/// The EtherType that a name means.
pub(super) fn ethertype(name: &str) -> Option<u16> {
    match layer(name) {
        Some(Layer::Ip(4)) => Some(0x0800),
        Some(Layer::Ip(_)) => Some(0x86dd),
        Some(Layer::Type(ethertype)) => Some(ethertype),
        _ if name == "loopback" => Some(0x9000),
        _ => None,
    }
}

/// The port of a service, and the protocols that it is registered for, by the names of `/etc/services`.
pub(super) fn service(name: &str) -> Option<(u16, &'static [u8])> {
    let service = SERVICES.iter().find(|(known, ..)| *known == name)?;
    Some((service.1, service.2))
}

const ON_TCP: &[u8] = &[TCP];
const ON_UDP: &[u8] = &[UDP];
const ON_BOTH: &[u8] = &[TCP, UDP];

#[rustfmt::skip]
const SERVICES: [(&str, u16, &[u8]); 42] = [
    ("ftp-data", 20, ON_TCP), ("ftp", 21, ON_TCP), ("ssh", 22, ON_TCP), ("telnet", 23, ON_TCP),
    ("smtp", 25, ON_TCP), ("domain", 53, ON_BOTH), ("bootps", 67, ON_UDP), ("bootpc", 68, ON_UDP),
    ("tftp", 69, ON_UDP), ("http", 80, ON_TCP), ("kerberos", 88, ON_BOTH), ("pop3", 110, ON_TCP),
    ("sunrpc", 111, ON_BOTH), ("ntp", 123, ON_UDP), ("netbios-ns", 137, ON_UDP),
    ("netbios-dgm", 138, ON_UDP), ("netbios-ssn", 139, ON_TCP), ("imap2", 143, ON_TCP),
    ("snmp", 161, ON_BOTH), ("snmp-trap", 162, ON_BOTH), ("bgp", 179, ON_TCP), ("ldap", 389, ON_BOTH),
    ("https", 443, ON_BOTH), ("microsoft-ds", 445, ON_TCP), ("isakmp", 500, ON_UDP),
    ("syslog", 514, ON_UDP), ("submission", 587, ON_TCP), ("ldaps", 636, ON_BOTH),
    ("domain-s", 853, ON_BOTH), ("imaps", 993, ON_TCP), ("pop3s", 995, ON_TCP), ("openvpn", 1194, ON_BOTH),
    ("radius", 1812, ON_BOTH), ("nfs", 2049, ON_BOTH), ("mysql", 3306, ON_TCP),
    ("ms-wbt-server", 3389, ON_TCP), ("ipsec-nat-t", 4500, ON_UDP), ("sip", 5060, ON_BOTH),
    ("mdns", 5353, ON_UDP), ("postgresql", 5432, ON_TCP), ("redis", 6379, ON_TCP),
    ("http-alt", 8080, ON_TCP),
];

/// A constant of comparisons.
pub(super) fn constant(name: &str) -> Option<u64> {
    CONSTANTS.iter().find(|(known, _)| *known == name).map(|(_, number)| *number)
}

#[rustfmt::skip]
const CONSTANTS: [(&str, u64); 37] = [
    ("tcp-fin", 0x01), ("tcp-syn", 0x02), ("tcp-rst", 0x04), ("tcp-push", 0x08), ("tcp-ack", 0x10),
    ("tcp-urg", 0x20), ("tcp-ece", 0x40), ("tcp-cwr", 0x80), ("icmp-echoreply", 0), ("icmp-unreach", 3),
    ("icmp-sourcequench", 4), ("icmp-redirect", 5), ("icmp-echo", 8), ("icmp-routeradvert", 9),
    ("icmp-routersolicit", 10), ("icmp-timxceed", 11), ("icmp-paramprob", 12), ("icmp-tstamp", 13),
    ("icmp-tstampreply", 14), ("icmp-ireq", 15), ("icmp-ireqreply", 16), ("icmp-maskreq", 17),
    ("icmp-maskreply", 18), ("icmp6-destinationunreach", 1), ("icmp6-packettoobig", 2),
    ("icmp6-timeexceeded", 3), ("icmp6-parameterproblem", 4), ("icmp6-echo", 128), ("icmp6-echoreply", 129),
    ("icmp6-multicastlistenerquery", 130), ("icmp6-multicastlistenerreportv1", 131),
    ("icmp6-multicastlistenerdone", 132), ("icmp6-routersolicit", 133), ("icmp6-routeradvert", 134),
    ("icmp6-neighborsolicit", 135), ("icmp6-neighboradvert", 136), ("icmp6-redirect", 137),
];

/// Where in its header a name stands.
pub(super) fn index(name: &str) -> Option<u64> {
    Some(match name {
        "tcpflags" => 13,
        "icmptype" | "icmp6type" => 0,
        "icmpcode" | "icmp6code" => 1,
        _ => return None,
    })
}

/// Octets of a header that a column holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) header: &'static str,
    /// The first octet, and how many.
    pub(super) at: u64,
    pub(super) octets: u64,
    pub(super) field: Field,
    /// The bits of these octets that the column has.
    pub(super) known: u64,
    /// How many bits further up the column has them.
    pub(super) up: u32,
    /// Whether it has nothing else.
    pub(super) is_all: bool,
}

const fn held(header: &'static str, at: u64, octets: u64, field: Field) -> Held {
    Held { header, at, octets, field, known: u64::MAX >> (64 - 8 * octets), up: 0, is_all: true }
}

static HELD: [Held; 20] = [
    held("ip", 2, 2, Field::Octets),
    held("ip", 4, 2, Field::IpId),
    Held { known: 0x1fff, up: 3, ..held("ip", 6, 2, Field::FragmentOffset) },
    held("ip", 8, 1, Field::Ttl),
    held("ip", 9, 1, Field::Protocol),
    held("ip6", 7, 1, Field::Ttl),
    held("tcp", 0, 2, Field::SrcPort),
    held("tcp", 2, 2, Field::DstPort),
    held("tcp", 4, 4, Field::TcpSeq),
    held("tcp", 8, 4, Field::TcpAck),
    Held { is_all: false, ..held("tcp", 13, 1, Field::TcpFlags) },
    held("tcp", 14, 2, Field::TcpWindow),
    held("udp", 0, 2, Field::SrcPort),
    held("udp", 2, 2, Field::DstPort),
    held("sctp", 0, 2, Field::SrcPort),
    held("sctp", 2, 2, Field::DstPort),
    held("icmp", 0, 1, Field::IcmpType),
    held("icmp", 1, 1, Field::IcmpCode),
    held("icmp6", 0, 1, Field::IcmpType),
    held("icmp6", 1, 1, Field::IcmpCode),
];

/// The column that holds so many octets of a header from `at` on, or holds more.
pub(super) fn column(header: &str, at: u64, octets: u64) -> Option<&'static Held> {
    HELD.iter().find(|held| {
        held.header == header && held.at <= at && at.saturating_add(octets) <= held.at + held.octets
    })
}

/// Words that look at what no column holds, and what to do instead.
pub(super) const UNSAID: [(&str, &str); 16] = [
    ("gateway", "name the gateway's MAC address: ether host 00:11:22:33:44:55 and not host 10.0.0.1"),
    ("protochain", "write proto: the column protocol is the one behind extension headers of IPv6"),
    ("ah", "IPv6's authentication headers are looked through; of IPv4, SQL has WHERE protocol = 51"),
    ("stp", LLC),
    ("iso", LLC),
    ("isis", LLC),
    ("ipx", LLC),
    ("netbeui", LLC),
    ("llc", LLC),
    ("atalk", BY_TYPE),
    ("aarp", BY_TYPE),
    ("decnet", BY_TYPE),
    ("lat", BY_TYPE),
    ("geneve", "write udp port 6081; what is inside a tunnel SQL has: WHERE tunnel_kind = 'geneve'"),
    ("vxlan", "write udp port 4789; what is inside a tunnel SQL has: WHERE tunnel_kind = 'vxlan'"),
    ("ifname", "SQL has the interface: WHERE interface = 'eth0'"),
];

const LLC: &str = "frames of LLC have no column; leave it out";
const BY_TYPE: &str = "name the EtherType by its number: ether proto 0x809b";
