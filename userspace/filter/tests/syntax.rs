//! What filters in pcap syntax mean, which ones are refused, and that no text is more than that.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;
use tapline_filter::pcap::parse;
use tapline_filter::{Predicate, bpf};
use tapline_record::PacketColumn::{DstPort, Ethertype, FrameOctets, IpVersion, Protocol, SrcPort, TcpFlags};
use tapline_record::{PacketColumn, PacketRow};

/// A filter, and the condition that it is.
const MEANINGS: [(&str, &str); 68] = [
    ("tcp", "protocol = 6"),
    ("ip", "ip_version = 4"),
    ("ip6", "ip_version = 6"),
    ("arp", "ethertype = 2054"),
    ("icmp", "ip_version = 4 AND protocol = 1"),
    ("icmp6", "ip_version = 6 AND protocol = 58"),
    ("proto 47", "protocol = 47"),
    ("proto \\udp", "protocol = 17"),
    ("ip proto tcp", "ip_version = 4 AND protocol = 6"),
    ("ip6 proto 0x06", "ip_version = 6 AND protocol = 6"),
    ("ether proto 0x88cc", "ethertype = 35020"),
    ("ether proto \\ip6", "ethertype = 34525"),
    ("not tcp", "protocol IS NULL OR protocol <> 6"),
    ("!!tcp", "protocol = 6"),
    ("host 10.0.0.1", "src_ip = '10.0.0.1' OR dst_ip = '10.0.0.1'"),
    ("10.0.0.1", "src_ip = '10.0.0.1' OR dst_ip = '10.0.0.1'"),
    ("src 10.0.0.1", "src_ip = '10.0.0.1'"),
    ("src host ::1", "src_ip = '::1'"),
    ("ip src 10.0.0.1", "src_ip = '10.0.0.1'"),
    ("dst host 10.0.0.1 or 10.0.0.3", "dst_ip = '10.0.0.1' OR dst_ip = '10.0.0.3'"),
    ("dst (10.0.0.1 or 10.0.0.3)", "dst_ip = '10.0.0.1' OR dst_ip = '10.0.0.3'"),
    ("src or dst host 10.0.0.1", "src_ip = '10.0.0.1' OR dst_ip = '10.0.0.1'"),
    ("src and dst net 10.0.0.0/8", "cidr(src_ip, '10.0.0.0/8') AND cidr(dst_ip, '10.0.0.0/8')"),
    ("src net 10", "cidr(src_ip, '10.0.0.0/8')"),
    ("src net 192.168.1", "cidr(src_ip, '192.168.1.0/24')"),
    ("src net 10.1 mask 255.255.0.0", "cidr(src_ip, '10.1.0.0/16')"),
    ("src 10.0.0.0/8", "cidr(src_ip, '10.0.0.0/8')"),
    ("src net 10.0.0.1", "src_ip = '10.0.0.1'"),
    ("dst net 2001:db8::/32", "cidr(dst_ip, '2001:db8::/32')"),
    ("not src net 10.0.0.0/8", "src_ip IS NULL OR NOT cidr(src_ip, '10.0.0.0/8')"),
    ("ip multicast", "cidr(dst_ip, '224.0.0.0/3')"),
    ("ip6 multicast", "cidr(dst_ip, 'ff00::/8')"),
    ("dst port 53", "protocol IN (6, 17, 132) AND dst_port = 53"),
    ("port 53", "protocol IN (6, 17, 132) AND (src_port = 53 OR dst_port = 53)"),
    ("udp src port 53", "protocol = 17 AND src_port = 53"),
    ("dst port domain", "protocol IN (6, 17) AND dst_port = 53"),
    ("dst port http", "protocol = 6 AND dst_port = 80"),
    ("dst portrange 8000-8080", "protocol IN (6, 17, 132) AND dst_port BETWEEN 8000 AND 8080"),
    ("dst portrange 22", "protocol IN (6, 17, 132) AND dst_port = 22"),
    ("dst portrange ftp-ssh", "protocol IN (6, 17, 132) AND dst_port BETWEEN 21 AND 22"),
    ("tcp dst port 80 or 443", "protocol = 6 AND dst_port = 80 OR protocol = 6 AND dst_port = 443"),
    ("tcp or udp and dst port 53", "protocol IN (6, 17) AND dst_port = 53"),
    ("tcp || (udp && dst port 53)", "protocol = 6 OR protocol = 17 AND dst_port = 53"),
    ("not (tcp or ip)", "(protocol IS NULL OR protocol <> 6) AND (ip_version IS NULL OR ip_version <> 4)"),
    ("vlan", "vlan IS NOT NULL"),
    ("vlan 5 and ip", "vlan = 5 AND ip_version = 4"),
    ("vlan 5 and vlan 7", "vlan = 5 AND inner_vlan = 7"),
    ("vlan 5 or vlan 7", "vlan IN (5, 7)"),
    ("not vlan 5 and vlan 7", "(vlan IS NULL OR vlan <> 5) AND vlan = 7"),
    ("mpls 100", "mpls_label = 100"),
    ("pppoes", "ethertype = 34916"),
    ("inbound", "direction = 0"),
    ("broadcast", "dst_mac = 'ff:ff:ff:ff:ff:ff'"),
    ("ether src 0:0:5e:0:53:1", "src_mac = '00:00:5e:00:53:01'"),
    ("less 100", "frame_octets <= 100"),
    ("greater 100", "frame_octets >= 100"),
    ("len > 1000", "frame_octets >= 1001"),
    ("1000 <= len", "frame_octets >= 1000"),
    ("tcp[tcpflags] & (tcp-syn|tcp-ack) != 0", "protocol = 6 AND (tcp_flags & 18) <> 0"),
    ("(tcp[13] & tcp-syn) == tcp-syn", "protocol = 6 AND (tcp_flags & 2) = 2"),
    ("0 != tcp[13]&4", "protocol = 6 AND (tcp_flags & 4) <> 0"),
    ("tcp[tcpflags] == tcp-syn", "protocol = 6 AND (tcp_flags & 255) = 2"),
    ("udp[2:2] = 53", "protocol = 17 AND dst_port = 53"),
    ("udp[2] = 1", "protocol = 17 AND (dst_port & 65280) = 256"),
    ("ip[8] < 5", "ip_version = 4 AND ttl <= 4"),
    ("ip[6:2] & 0x1fff != 0", "ip_version = 4 AND fragment_offset >= 8"),
    ("icmp[icmptype] = icmp-echo", "ip_version = 4 AND protocol = 1 AND icmp_type = 8"),
    ("1 = 1", "true"),
];

#[test]
fn filters_mean_conditions() {
    for (filter, expected) in MEANINGS {
        let condition = parse(filter).unwrap_or_else(|error| panic!("{filter}: {error}"));
        assert_eq!(condition.predicate().sql(), expected, "{filter}");
    }
}

/// A filter that is refused, and parts of the answer.
const REFUSED: [(&str, &[&str]); 34] = [
    ("", &["empty", "port 443"]),
    (" \n", &["empty"]),
    ("tcp[20:4] = 0x47455420", &["no column holds `tcp[20:4]`", "column 1:", "WHERE payload"]),
    ("ip and ether[0] & 1 != 0", &["no column holds `ether[0]`", "column 8:", "ip multicast"]),
    ("ip[0] & 0xf > 5", &["no column holds `ip[0]`"]),
    ("ip[6:2] = 0", &["no column holds all bits", "0x1fff"]),
    ("tcp[13] + 1 = 2", &["`tcp[13] + 1` calculates", "SQL"]),
    ("tcp[0:2] = tcp[2:2]", &["two fields", "src_port = dst_port"]),
    ("tcp[0:3] = 1", &["3 octets", "1, 2 or 4"]),
    ("tcp[13 = 2", &["not closed by ]"]),
    ("tcp[flags] = 2", &["`flags` is no place", "tcpflags"]),
    ("1 % 0 = 1", &["`1 % 0` is no number"]),
    ("len >", &["number is missing"]),
    ("len and tcp", &["comparison is missing"]),
    ("multicast", &["one bit of a MAC address", "ip multicast"]),
    ("ip broadcast", &["255.255.255.255"]),
    ("gateway fw", &["`gateway` looks at what no column holds", "ether host"]),
    ("ah", &["`ah` looks at", "protocol = 51"]),
    ("port 70000", &["`70000` is no port"]),
    ("port gopherd", &["`gopherd` is no port", "https"]),
    ("tcp port ntp", &["no service of tcp"]),
    ("host example.org", &["`example.org` is no address", "names are not looked up"]),
    ("tcp host 10.0.0.1", &["tcp and host 10.0.0.1"]),
    ("icmp port 7", &["icmp has none", "icmp and port 7"]),
    ("arp host 10.0.0.1", &["ARP packets"]),
    ("ip6 host 10.0.0.1", &["no address of IPv6", "write ip "]),
    ("net 10.0.0.1/8", &["10.0.0.0/8", "host 10.0.0.1"]),
    ("net 10.0.0.0 mask 255.0.255.0", &["bits in a row", "10.0.0.0/8"]),
    ("tcp 80", &["behind `tcp`", "tcp port 80"]),
    ("80", &["`80` is no word", "port"]),
    ("port 80 443", &["could end", "column 9:"]),
    ("(port 80", &["not closed by )", "column 1:"]),
    ("vlan 1 and vlan 2 and vlan 3", &["third tag", "column 23:"]),
    ("vlan 5000", &["more than 4095"]),
];

#[test]
fn what_cannot_be_said_is_refused_with_its_place_and_a_mend() {
    for (filter, parts) in REFUSED {
        let error = parse(filter).err().unwrap_or_else(|| panic!("{filter} is taken")).to_string();
        assert!(error.contains("\n  help: "), "{error}");
        for part in parts {
            assert!(error.contains(part), "{filter}: {part:?} is not in:\n{error}");
        }
    }
}

fn row(columns: &[PacketColumn]) -> PacketRow {
    let present = columns.iter().map(|column| column.bit()).sum::<u64>() | FrameOctets.bit();
    PacketRow {
        present,
        ethertype: 0x0800,
        ip_version: 4,
        protocol: 6,
        src_port: 443,
        dst_port: 50_000,
        tcp_flags: 0x112,
        frame_octets: 60,
        ..PacketRow::default()
    }
}

fn holds(filter: &str, row: &PacketRow) -> bool {
    parse(filter).unwrap().predicate().holds(row)
}

#[test]
fn what_a_frame_does_not_carry_is_false_and_its_opposite_true() {
    let arp = PacketRow { ethertype: 0x0806, ..row(&[Ethertype]) };
    let later_fragment = row(&[Ethertype, IpVersion, Protocol]);
    let segment = row(&[Ethertype, IpVersion, Protocol, SrcPort, DstPort, TcpFlags]);
    for (filter, expected) in [
        ("arp", [true, false, false]),
        ("not arp", [false, true, true]),
        ("tcp", [false, true, true]),
        ("tcp port 443", [false, false, true]),
        ("not tcp port 443", [true, true, false]),
        ("tcp and not port 443", [false, true, false]),
        ("tcp[13] & 2 != 0", [false, false, true]),
        ("not tcp[13] & 2 != 0", [true, true, false]),
        ("tcp[13] = 18", [false, false, true]),
        ("vlan or ip", [false, true, true]),
        ("len = 60", [true; 3]),
    ] {
        assert_eq!([&arp, &later_fragment, &segment].map(|row| holds(filter, row)), expected, "{filter}");
    }
}

#[test]
fn filters_that_people_write_fit_the_kernel() {
    for filter in ["tcp port 443 and not net 10.0.0.0/8", "udp port 53 or 853", "icmp or icmp6"] {
        let pushed = bpf::Pushed::of(&parse(filter).unwrap().predicate());
        assert!(pushed.left_out.is_empty(), "{filter}");
        let program = pushed.in_memory().program;
        assert!(program.size() < 100, "{filter}: {}", program.size());
    }
}

#[test]
fn long_filters_are_taken_and_deep_ones_are_not() {
    let flat: Vec<String> = (1..5000).map(|port| format!("port {port}")).collect();
    let flat = parse(&flat.join(" or ")).unwrap().predicate();
    assert!(matches!(&flat, Predicate::Any(parts) if parts.len() == 4999));
    let nested = |levels: usize| format!("{}tcp{}", "(".repeat(levels), ")".repeat(levels));
    assert!(parse(&nested(100)).is_ok());
    for deep in [
        nested(101),
        nested(30_000),
        "(".repeat(100_000),
        "(".repeat(60_000),
        "not ".repeat(10_000),
        "!".repeat(60_000),
        "tcp or udp and ".repeat(4_000) + "tcp",
        format!("{}1{} = 1", "(".repeat(30_000), ")".repeat(30_000)),
        "tcp[".repeat(10_000),
        format!("1{} = 1", "+1".repeat(30_000)) + "(",
    ] {
        assert!(parse(&deep).is_err(), "{} …", &deep[..20]);
    }
}

/// Words that filters are made of, and what they are not.
const WORDS: [&str; 48] = [
    "tcp",
    "udp",
    "icmp",
    "ip",
    "ip6",
    "arp",
    "ether",
    "host",
    "net",
    "port",
    "portrange",
    "proto",
    "src",
    "dst",
    "and",
    "or",
    "not",
    "(",
    ")",
    "[",
    "]",
    "&",
    "|",
    "=",
    "!=",
    "<",
    ":",
    "/",
    "+",
    "-",
    "vlan",
    "mpls",
    "less",
    "len",
    "mask",
    "10.0.0.0",
    "10",
    "8",
    "2001:db8::",
    "::",
    "443",
    "80-90",
    "http",
    "tcpflags",
    "tcp-syn",
    "0x1fff",
    "multicast",
    "ü",
];

proptest! {
    #[test]
    fn no_text_is_more_than_refused(
        words in prop::collection::vec(prop::sample::select(WORDS.to_vec()), 0..40),
        characters in prop::collection::vec(any::<char>(), 0..40),
        glue in prop::sample::select(vec!["", " "]),
    ) {
        let characters: String = characters.into_iter().collect();
        for text in [words.join(glue), characters.clone(), format!("{} {characters}", words.join(glue))] {
            match parse(&text) {
                Ok(condition) => {
                    let predicate = condition.predicate();
                    let _ = (predicate.sql(), bpf::Pushed::of(&predicate).in_memory());
                }
                Err(error) => prop_assert!(error.to_string().contains("help: ")),
            }
        }
    }
}
