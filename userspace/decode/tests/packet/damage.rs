//! Every reason of damage has a frame, and what is left of its row.

use crate::rows::{cut, decode, whole, words};
use harness::frames::{
    IPV4, IPV6, UDP, after, arp, ethernet, hex, inner_ethernet, ipv4, ipv4_with_options, ipv6, jumbogram,
    label, llc, nflog, patched, pppoe, small_ipv4, small_ipv6, tag, tcp, udp, udp_tunnel,
};
use std::collections::HashSet;
use tapline_decode::Damage::{self, *};
use tapline_decode::{Frame, LinkType};

/// Reason, link type, frame, and the columns from the IP version on that are left.
type Case = (Damage, LinkType, Vec<u8>, &'static str);

/// The addresses of a sound IP header.
const V4: &str = "ip_version=4 src_ip=10.0.0.1 dst_ip=10.0.0.2";
const V6: &str = "ip_version=6 src_ip=2001:db8::1 dst_ip=2001:db8::2";

fn link_cases() -> Vec<Case> {
    let on_ethernet = |damage, frame| (damage, LinkType::Ethernet, frame, "");
    vec![
        on_ethernet(EthernetTruncated, hex("020000000001 0200")),
        on_ethernet(EthernetTruncated, vec![]),
        on_ethernet(EthernetLengthTooLong, patched(llc("424203", &[0; 35]), 12, "0100")),
        on_ethernet(LlcTruncated, llc("4242", &[])),
        on_ethernet(LlcTruncated, llc("aaaa03 0000", &[])),
        on_ethernet(VlanTruncated, ethernet(0x8100, &tag(5, IPV4, &[])[..3])),
        on_ethernet(MplsTruncated, ethernet(0x8847, &label(5, false, &[]))),
        on_ethernet(PppoeTruncated, ethernet(0x8864, &hex("1100 0001 00"))),
        on_ethernet(PppoeLengthTooLong, patched(ethernet(0x8864, &pppoe("c021", &[])), 18, "0009")),
        on_ethernet(PppTruncated, ethernet(0x8864, &pppoe("00", &[]))),
        on_ethernet(ArpTruncated, ethernet(0x0806, &arp()[..27])),
        on_ethernet(PbbTruncated, ethernet(0x88e7, &[0; 3])),
        on_ethernet(FabricPathTruncated, ethernet(0x8903, &[0])),
        on_ethernet(NshTruncated, ethernet(0x894f, &hex("0fc20201 000001"))),
        on_ethernet(NshTruncated, ethernet(0x894f, &hex("0fc60101 000001ff 0000"))),
        on_ethernet(NshLengthTooShort, ethernet(0x894f, &hex("0fc10201 000001ff"))),
        (NflogTruncated, LinkType::Nflog, vec![2; 3], ""),
        (NflogTruncated, LinkType::Nflog, hex("02000000 0800"), ""),
        (NflogTruncated, LinkType::Nflog, hex("02000000 0300 0a00"), ""),
        (NflogTruncated, LinkType::Nflog, hex("02000000 0900 0a00 00000000"), ""),
        (NflogTruncated, LinkType::Nflog, after("02000000 2300 0900", &small_ipv4()), V4),
        (PppTruncated, LinkType::PppWithDirection, vec![], ""),
        (EthernetTruncated, LinkType::EthernetWithFcs, vec![0; 17], ""),
        (LinuxSllTruncated, LinkType::LinuxSll, vec![0; 15], ""),
        (LinuxSllTruncated, LinkType::LinuxSll2, vec![0; 19], ""),
        (BsdLoopbackTruncated, LinkType::BsdNull, vec![0; 3], ""),
        (BsdLoopbackTruncated, LinkType::BsdLoop, vec![0; 3], ""),
    ]
}

fn ip_cases() -> Vec<Case> {
    let small = small_ipv4();
    let options = patched(ipv4_with_options(UDP, "94040000", &[]), 2, "0000");
    let raw = |damage, packet, left| (damage, LinkType::RawIp, packet, left);
    vec![
        raw(IpEmpty, vec![], ""),
        raw(IpVersionUnknown, patched(small.clone(), 0, "55"), ""),
        (IpVersionUnknown, LinkType::Ipv6, small.clone(), ""),
        raw(Ipv4HeaderTruncated, small[..19].to_vec(), "ip_version=4 src_ip=10.0.0.1"),
        raw(Ipv4HeaderLengthTooShort, patched(small.clone(), 0, "44"), "ip_version=4"),
        raw(Ipv4TotalLengthTooShort, patched(small.clone(), 2, "0013"), "ip_version=4"),
        raw(Ipv4TotalLengthTooShort, patched(small.clone(), 0, "4f"), "ip_version=4"),
        raw(Ipv4TotalLengthTooLong, patched(small, 2, "001f"), V4),
        raw(Ipv4OptionsTruncated, options[..23].to_vec(), V4),
        raw(Ipv6HeaderTruncated, small_ipv6()[..39].to_vec(), "ip_version=6 src_ip=2001:db8::1"),
        raw(Ipv6PayloadLengthTooLong, patched(small_ipv6(), 4, "000b"), V6),
        raw(IpExtensionTruncated, ipv6(0, &hex("110001")), V6),
        raw(IpExtensionTruncated, ipv6(0, &hex("1101000000000000")), V6),
        raw(IpExtensionTruncated, ipv6(44, &hex("11000001")), V6),
        raw(IpExtensionTruncated, ipv4(51, &hex("1104000000000000")), V4),
    ]
}

fn transport_cases() -> Vec<Case> {
    let case = |damage, protocol, packet: &[u8]| (damage, LinkType::RawIp, ipv4(protocol, packet), V4);
    vec![
        case(TcpTruncated, 6, &[0; 3]),
        case(TcpTruncated, 6, &tcp(b"")[..15]),
        case(TcpTruncated, 6, &tcp(b"")[..23]),
        case(TcpDataOffsetTooShort, 6, &patched(tcp(b""), 12, "41")),
        case(UdpTruncated, UDP, &[0; 3]),
        case(UdpTruncated, UDP, &[0; 7]),
        case(UdpTruncated, 136, &[0; 7]),
        case(UdpLengthTooShort, UDP, &patched(udp(5, 6, b"ab"), 4, "0007")),
        case(UdpLengthTooLong, UDP, &patched(udp(5, 6, b"ab"), 4, "000b")),
        case(SctpTruncated, 132, &[0; 11]),
        case(DccpTruncated, 33, &hex("0005 0006 05 00 0000 00 000000 00000000")),
        case(IcmpTruncated, 1, &[8]),
        case(IcmpTruncated, 58, &[]),
    ]
}

fn tunnel_cases() -> Vec<Case> {
    let gtp = |length, rest: &str| {
        (GtpuTruncated, LinkType::RawIp, udp_tunnel(2152, &format!("34ff {length} 00000007 {rest}"), &[]), V4)
    };
    let gre = |header| (GreTruncated, LinkType::RawIp, ipv4(47, &hex(header)), V4);
    let vxlan_with = |frame: &[u8]| udp_tunnel(4789, "08000000 00002a00", frame);
    vec![
        (VxlanTruncated, LinkType::RawIp, udp_tunnel(4789, "08000000 000000", &[]), V4),
        (EthernetTruncated, LinkType::RawIp, vxlan_with(&[0; 13]), V4),
        (Ipv4HeaderTruncated, LinkType::RawIp, vxlan_with(&inner_ethernet(IPV4, &small_ipv4()[..10])), V4),
        (GeneveTruncated, LinkType::RawIp, udp_tunnel(6081, "0000 6558 000000", &[]), V4),
        (GeneveTruncated, LinkType::RawIp, udp_tunnel(6081, "0200 6558 00000000 00000000", &[]), V4),
        gre("0000 08"),
        gre("2000 0800 0000"),
        gre("8000 0800"),
        gre("1000 0800 0000"),
        gre("0001 880b 0000"),
        gre("2001 880b 0009 0001 0021"),
        gre("1000 88be 00000001 00000000"),
        gre("1000 22eb 00000001 00000000"),
        (IpEmpty, LinkType::RawIp, ipv4(41, &[]), V4),
        gtp("0009", "0000 0000"),
        gtp("0003", "000000"),
        gtp("0004", "000000 85"),
        gtp("0008", "000000 85 02 000000"),
        gtp("0008", "000000 85 00 000000"),
    ]
}

#[test]
fn damage_is_named_and_leaves_what_was_read() {
    let cases = [link_cases(), ip_cases(), transport_cases(), tunnel_cases()].concat();
    let mut met = HashSet::from([SnapLength]);
    for (expected, link, frame, left) in cases {
        let (row, damage) = decode(&whole(link, &frame));
        assert_eq!(damage, Some(expected), "{}", frame.escape_ascii());
        assert_eq!(words(&row, "ip_version", "dst_ip"), left, "{expected:?}");
        met.insert(expected);
    }
    let missing: Vec<_> = Damage::ALL.into_iter().filter(|damage| !met.contains(damage)).collect();
    assert_eq!(missing, [], "reasons without a case");
}

#[test]
fn damaged_transport_headers_keep_what_stands_before_the_damage() {
    let ports = "src_port=4000 dst_port=443";
    let cases = [
        ("ports only", tcp(b"")[..15].to_vec(), ports.to_owned()),
        (
            "no urgent pointer",
            tcp(b"")[..16].to_vec(),
            format!("{ports} tcp_flags=274 tcp_seq=1000 tcp_ack=2000 tcp_window=512"),
        ),
        ("data offset", patched(tcp(b""), 12, "41"), format!("{ports} tcp_seq=1000")),
    ];
    for (name, segment, left) in cases {
        let (row, damage) = decode(&whole(LinkType::RawIp, &ipv4(6, &segment)));
        assert_eq!(words(&row, "src_port", "icmp_code"), left, "{name}");
        assert!(damage.is_some() && !row.contains_key("payload"), "{name}");
    }
}

#[test]
fn ip_headers_that_are_cut_short_keep_their_whole_fields() {
    let left = |packet: &[u8], octets| {
        let (row, damage) = decode(&cut(LinkType::RawIp, packet, octets));
        assert_eq!(damage, Some(SnapLength));
        words(&row, "ip_version", "octets")
    };
    let v4 = small_ipv4();
    assert_eq!(left(&v4, 1), "ip_version=4");
    assert_eq!(left(&v4, 9), "ip_version=4 ttl=64 dscp=46 ecn=1 ip_id=4660 fragment_offset=0 octets=30");
    assert_eq!(
        left(&v4, 15),
        "ip_version=4 protocol=17 ttl=64 dscp=46 ecn=1 ip_id=4660 fragment_offset=0 octets=30"
    );
    let v6 = small_ipv6();
    assert_eq!(left(&v6, 3), "ip_version=6 dscp=46 ecn=1");
    assert_eq!(left(&v6, 7), "ip_version=6 protocol=17 dscp=46 ecn=1 flow_label=344865 octets=50");
    assert_eq!(left(&ipv6(0, &v6), 7), "ip_version=6 dscp=46 ecn=1 flow_label=344865 octets=90");
}

/// Link type, frame, and how many octets its IP packet has whose header claims none.
type Unclaimed = (LinkType, Vec<u8>, usize);

/// Wherever the snap length cuts: what follows the IP header's beginning on the wire, but for known trailers.
#[test]
fn a_zero_claim_is_what_is_left_of_the_frame_on_the_wire() {
    let (v4, v6) = (patched(small_ipv4(), 2, "0000"), patched(small_ipv6(), 4, "0000"));
    let padded = |mut frame: Vec<u8>| {
        frame.resize(frame.len() + 9, 0xff);
        frame
    };
    let cases: [Unclaimed; 15] = [
        (LinkType::RawIp, v4.clone(), 30),
        (LinkType::RawIp, v6.clone(), 50),
        (LinkType::Ethernet, ethernet(IPV4, &v4), 30),
        (LinkType::Ethernet, ethernet(0x8100, &tag(5, IPV6, &v6)), 50),
        (LinkType::Ethernet, padded(ethernet(IPV4, &v4)), 39),
        (LinkType::EthernetWithFcs, [ethernet(IPV4, &v4), vec![1; 4]].concat(), 30),
        (LinkType::Ethernet, padded(llc("aaaa03 000000 0800", &v4)), 30),
        (LinkType::Ethernet, padded(ethernet(0x8864, &pppoe("0057", &v6))), 50),
        (LinkType::Ethernet, ethernet(0x88e7, &after("00000064", &inner_ethernet(IPV4, &v4))), 30),
        (LinkType::Nflog, padded(nflog(2, &[(9, &v4)])), 30),
        (LinkType::Ethernet, ethernet(IPV6, &jumbogram("1100 010400000000")), 58),
        (LinkType::Ethernet, ethernet(IPV6, &jumbogram("1100 c204 00000012")), 58),
        (LinkType::Ethernet, ethernet(IPV6, &jumbogram("1101 0000 0102 0000 c204 0000001a 0100")), 66),
        (LinkType::Ethernet, padded(ethernet(IPV6, &ipv6(59, &[]))), 40),
        (LinkType::Ethernet, padded(ethernet(IPV6, &patched(ipv6(59, b"ab"), 4, "0000"))), 40),
    ];
    for (link, frame, expected) in cases {
        for octets in 0..=frame.len() {
            let (mut row, damage) = decode(&cut(link, &frame, octets));
            let known = row.remove("octets");
            assert!(
                known.is_none_or(|known| known == expected.to_string()),
                "{octets} of {link:?} {frame:02x?}"
            );
            assert!(
                matches!(damage, None | Some(SnapLength)),
                "{octets} of {link:?} {frame:02x?}: {damage:?}"
            );
        }
        assert_eq!(decode(&whole(link, &frame)).0["octets"], expected.to_string(), "{link:?} {frame:02x?}");
    }
}

#[test]
fn a_jumbogram_claims_what_its_option_says() {
    let packet = patched(jumbogram("1100 c204 00000012"), 44, "00011170");
    for octets in 48..=packet.len() {
        let frame = Frame { original_octets: 40 + 70_000, ..cut(LinkType::RawIp, &packet, octets) };
        assert_eq!(decode(&frame).0["octets"], "70040");
    }
    let (row, damage) = decode(&whole(LinkType::RawIp, &packet));
    assert_eq!((row["octets"].as_str(), damage), ("70040", Some(Ipv6PayloadLengthTooLong)));
    let absurd = patched(packet.clone(), 44, "40000001");
    assert_eq!(decode(&whole(LinkType::RawIp, &absurd)).0["octets"], "58");
    let claiming = patched(packet, 4, "0012");
    assert_eq!(
        decode(&whole(LinkType::RawIp, &claiming)).0["octets"],
        "58",
        "who claims a length is no jumbogram"
    );
}

#[test]
fn a_total_length_below_the_header_is_still_a_claim() {
    let (row, _) = decode(&whole(LinkType::RawIp, &patched(small_ipv4(), 2, "0013")));
    assert_eq!(words(&row, "dscp", "octets"), "dscp=46 ecn=1 octets=19");
}

#[test]
fn what_the_snap_length_cuts_is_no_lie() {
    let frame = ethernet(IPV4, &ipv4(6, &tcp(b"data")));
    let damage_at = |octets| decode(&cut(LinkType::Ethernet, &frame, octets)).1;
    for octets in 0..58 {
        assert_eq!(damage_at(octets), Some(SnapLength), "{octets} octets");
    }
    for octets in 58..=frame.len() {
        assert_eq!(damage_at(octets), None, "all headers are in {octets} octets");
    }
}

#[test]
fn a_cut_frame_that_lies_is_told_from_one_that_does_not() {
    let lying = [
        ("total length beyond the frame", patched(small_ipv4(), 2, "0fff"), 24, Ipv4TotalLengthTooLong),
        ("UDP header beyond the total length", patched(small_ipv4(), 2, "0017"), 29, UdpTruncated),
        ("TCP header beyond the frame", ipv4(6, &[0; 12]), 30, TcpTruncated),
    ];
    for (name, packet, octets, expected) in lying {
        assert_eq!(decode(&cut(LinkType::RawIp, &packet, octets)).1, Some(expected), "{name}");
    }
}

#[test]
fn fragments_may_have_a_udp_length_beyond_them() {
    let fragment = ipv4(UDP, &after("0005 0006 0fff 0000", b"ab"));
    let (row, damage) = decode(&whole(LinkType::RawIp, &patched(fragment, 6, "2000")));
    assert_eq!((row["payload"].as_str(), damage), ("ab", None));
}
