//! What every header but the tunnels gives.

use crate::rows::{decode, whole, words};
use harness::frames::{
    IPV4, IPV6, UDP, after, arp, ethernet, hex, icmp, inner_ethernet, ipv4, ipv4_with_options, ipv6, label,
    llc, nflog, patched, pppoe, sll, sll2, small_ipv4, small_ipv6, tag, tcp, udp, udp_tunnel,
};
use tapline_decode::{Depth, Direction, Frame, LinkType, PacketBatcher, Unread};

/// The ports of [`small_ipv4`] and [`small_ipv6`], which show that the packet was found.
const FOUND: &str = "src_port=53 dst_port=1000";

#[test]
fn link_headers() {
    let small = small_ipv4();
    let cases = [
        ("Ethernet II", ethernet(IPV4, &small), "ethertype=2048"),
        ("802.1Q", ethernet(0x8100, &tag(5, IPV4, &small)), "ethertype=2048 vlan=5"),
        (
            "802.1ad",
            ethernet(0x88a8, &tag(5, 0x8100, &tag(6, IPV4, &small))),
            "ethertype=2048 vlan=5 inner_vlan=6",
        ),
        (
            "older QinQ",
            ethernet(0x9100, &tag(5, 0x8100, &tag(6, IPV4, &small))),
            "ethertype=2048 vlan=5 inner_vlan=6",
        ),
        (
            "three tags",
            ethernet(0x8100, &tag(5, 0x8100, &tag(6, 0x8100, &tag(7, IPV4, &small)))),
            "ethertype=2048 vlan=5 inner_vlan=6",
        ),
        ("SNAP", llc("aaaa03 000000 0800", &small), "ethertype=2048"),
        ("SNAP of 802.1H", llc("aaaa03 0000f8 0800", &small), "ethertype=2048"),
        ("LLC for IP", llc("060603", &small), ""),
        (
            "SNAP behind a tag",
            ethernet(0x8100, &tag(5, 38, &after("aaaa03 000000 0800", &small))),
            "ethertype=2048 vlan=5",
        ),
        (
            "MPLS",
            ethernet(0x8847, &label(100, false, &label(200, true, &small))),
            "ethertype=34887 mpls_label=100",
        ),
        ("MPLS, upstream", ethernet(0x8848, &label(100, true, &small)), "ethertype=34888 mpls_label=100"),
        ("PPPoE", ethernet(0x8864, &pppoe("0021", &small)), "ethertype=34916"),
        ("PPPoE, compressed protocol", ethernet(0x8864, &pppoe("21", &small)), "ethertype=34916"),
        (
            "PPPoE with MPLS",
            ethernet(0x8864, &pppoe("0281", &label(9, true, &small))),
            "ethertype=34916 mpls_label=9",
        ),
        ("bridged", ethernet(0x6558, &inner_ethernet(IPV4, &small)), "ethertype=25944"),
    ];
    for (name, frame, expected) in cases {
        let (row, damage) = decode(&whole(LinkType::Ethernet, &frame));
        assert_eq!(words(&row, "ethertype", "mpls_label"), expected, "{name}");
        assert_eq!(words(&row, "src_port", "dst_port"), FOUND, "{name}");
        assert_eq!((damage, row["frame_octets"].parse()), (None, Ok(frame.len())), "{name}");
    }
}

#[test]
fn macs_are_those_of_the_outermost_ethernet_header() {
    let (row, _) =
        decode(&whole(LinkType::Ethernet, &ethernet(0x6558, &inner_ethernet(IPV4, &small_ipv4()))));
    assert_eq!(words(&row, "src_mac", "dst_mac"), "src_mac=02:00:00:00:00:02 dst_mac=02:00:00:00:00:01");
}

#[test]
fn pseudowires() {
    let bridged = inner_ethernet(IPV4, &small_ipv4());
    let tagged = inner_ethernet(0x8100, &tag(5, IPV4, &small_ipv4()));
    let cases = [
        ("without control word", label(100, true, &bridged), ""),
        ("without control word, tagged", label(100, true, &tagged), "vlan=5"),
        ("control word", label(100, true, &after("00000000", &bridged)), ""),
        (
            "control word with sequence number, tagged",
            label(100, true, &after("00000011", &tagged)),
            "vlan=5",
        ),
        ("unlikely first nibble", label(100, true, &patched(bridged.clone(), 0, "fe")), ""),
        ("associated channel", label(100, true, &after("10000021", &small_ipv4())), ""),
        ("associated channel, IPv6", label(100, true, &after("10000057", &small_ipv6())), ""),
    ];
    for (name, stack, vlan) in cases {
        let (row, damage) = decode(&whole(LinkType::Ethernet, &ethernet(0x8847, &stack)));
        assert_eq!(words(&row, "vlan", "inner_vlan"), vlan, "{name}");
        assert_eq!((words(&row, "src_port", "dst_port").as_str(), damage), (FOUND, None), "{name}");
    }
}

#[test]
fn what_is_not_ip_has_no_ip_columns() {
    let cases = [
        ("ARP", ethernet(0x0806, &arp()), "ethertype=2054"),
        ("LLDP", ethernet(0x88cc, &[0; 40]), "ethertype=35020"),
        ("spanning tree", llc("424203", &[0; 35]), ""),
        ("SNAP of Cisco", llc("aaaa03 00000c 2000", &[0; 35]), ""),
        ("neither type nor length", ethernet(1501, &small_ipv4()), ""),
        ("type zero", ethernet(0, &small_ipv4()), "ethertype=0"),
        ("PPPoE, link control", ethernet(0x8864, &pppoe("c021", &[0; 10])), "ethertype=34916"),
        (
            "associated channel, BFD",
            ethernet(0x8847, &label(16, true, &hex("10000007 2000"))),
            "ethertype=34887 mpls_label=16",
        ),
        ("nothing under the label", ethernet(0x8847, &label(16, true, &[])), "ethertype=34887 mpls_label=16"),
    ];
    for (name, frame, expected) in cases {
        let (row, damage) = decode(&whole(LinkType::Ethernet, &frame));
        assert_eq!(words(&row, "ethertype", "octets"), expected, "{name}");
        assert_eq!(damage, None, "{name}");
    }
}

#[test]
fn other_link_types() {
    let (v4, v6) = (small_ipv4(), small_ipv6());
    let cases = [
        ("raw IPv4", LinkType::RawIp, v4.clone(), "", "4"),
        ("raw IPv6", LinkType::RawIp, v6.clone(), "", "6"),
        ("IPv4", LinkType::Ipv4, v4.clone(), "", "4"),
        ("IPv6", LinkType::Ipv6, v6.clone(), "", "6"),
        ("null, little-endian", LinkType::BsdNull, after("02000000", &v4), "", "4"),
        ("null, big-endian", LinkType::BsdNull, after("0000001e", &v6), "", "6"),
        ("null, FreeBSD", LinkType::BsdNull, after("1c000000", &v6), "", "6"),
        ("loop", LinkType::BsdLoop, after("00000018", &v6), "", "6"),
        (
            "cooked",
            LinkType::LinuxSll,
            sll(0, IPV4, &v4),
            "direction=0 src_mac=02:00:00:00:00:02 ethertype=2048",
            "4",
        ),
        (
            "cooked, sent",
            LinkType::LinuxSll,
            sll(4, IPV6, &v6),
            "direction=1 src_mac=02:00:00:00:00:02 ethertype=34525",
            "6",
        ),
        (
            "cooked, LLC",
            LinkType::LinuxSll,
            sll(9, 4, &after("aaaa03 000000 0800", &v4)),
            "src_mac=02:00:00:00:00:02 ethertype=2048",
            "4",
        ),
        (
            "cooked 2",
            LinkType::LinuxSll2,
            sll2(3, IPV4, &v4),
            "direction=0 src_mac=02:00:00:00:00:02 ethertype=2048",
            "4",
        ),
        (
            "cooked 2, tagged",
            LinkType::LinuxSll2,
            sll2(4, 0x8100, &tag(5, IPV4, &v4)),
            "direction=1 src_mac=02:00:00:00:00:02 ethertype=2048 vlan=5",
            "4",
        ),
    ];
    for (name, link, frame, expected, version) in cases {
        let (row, damage) = decode(&whole(link, &frame));
        assert_eq!(words(&row, "direction", "mpls_label"), expected, "{name}");
        assert_eq!((row["ip_version"].as_str(), damage), (version, None), "{name}");
        assert_eq!(words(&row, "src_port", "dst_port"), FOUND, "{name}");
    }
}

#[test]
fn unknown_links_are_rows_without_headers() {
    for (link, frame) in [
        (LinkType::Other(147), small_ipv4()),
        (LinkType::BsdLoop, after("00000007", &small_ipv4())),
        (LinkType::LinuxSll, after("0000 ffff 0000 0000000000000000 000c", &[0; 16])),
    ] {
        let (mut row, damage) = decode(&whole(link, &frame));
        row.remove("direction");
        assert_eq!(row.into_keys().collect::<Vec<_>>(), ["frame_octets", "ts"], "{link:?}");
        assert_eq!(damage, None);
    }
}

#[test]
fn what_is_not_read_is_named() {
    let (v4, v6) = (small_ipv4(), small_ipv6());
    let ethernet = |kind, payload: &[u8]| (LinkType::Ethernet, ethernet(kind, payload));
    let lcp = hex("c021 01010004");
    let vxlan = udp_tunnel(4789, "08000000 00002a00", &inner_ethernet(0x88cc, &[0; 2]));
    let cases = [
        (ethernet(0x8926, &after("00010002 0800", &v4)), "1 EtherType 0x8926 (VN-Tag)"),
        (ethernet(0x8100, &tag(5, 0x88cc, &[0; 2])), "1 EtherType 0x88cc (LLDP)"),
        (ethernet(0x05dd, &v4), "1 EtherType 0x05dd"),
        (ethernet(0x894f, &after("4fc20201 000001ff", &v4)), "1 EtherType 0x894f (NSH of another version)"),
        (ethernet(0x894f, &hex("0fc20200 000001ff")), "1 NSH protocol 0"),
        ((LinkType::Ethernet, llc("424203", &[0; 35])), "1 LLC 0x42 (spanning tree)"),
        ((LinkType::Ethernet, llc("aaaa03 00000c 2000", &[0; 4])), "1 LLC 0xaa (SNAP of an organisation)"),
        (ethernet(0x8864, &pppoe("c021", &hex("01010004"))), "1 PPP protocol 0xc021 (LCP)"),
        ((LinkType::Ppp, lcp.clone()), "1 PPP protocol 0xc021 (LCP)"),
        ((LinkType::Ppp, after("0f000800", &v4)), "1 link type 104 (Cisco HDLC)"),
        ((LinkType::Other(127), v4.clone()), "1 link type 127 (802.11 with radiotap header)"),
        ((LinkType::LinuxSll, sll(0, 0x000c, &[0; 16])), "1 cooked protocol 0x000c"),
        ((LinkType::BsdLoop, after("00000007", &v4)), "1 address family 7"),
        ((LinkType::Nflog, nflog(3, &[(9, &v4)])), "1 NFLOG family 3"),
        (ethernet(0x0806, &arp()), ""),
        (ethernet(IPV4, &v4), ""),
        (ethernet(0x86dd, &v6), ""),
        (ethernet(IPV4, &vxlan), ""),
        (ethernet(IPV4, &ipv4(47, &after("2001 880b 0006 0009", &lcp))), ""),
    ];
    for ((link, frame), expected) in cases {
        let mut batcher = PacketBatcher::new(&[], 64).with_depth(Depth::Tunnel);
        batcher.push(&whole(link, &frame));
        let unread: Vec<_> =
            batcher.unread().iter().map(|(what, frames)| format!("{frames} {what}")).collect();
        assert_eq!(unread.join(", "), expected, "{frame:02x?}");
    }
}

#[test]
fn a_link_type_that_is_not_read_is_named_at_any_depth() {
    let mut batcher = PacketBatcher::new(&[], 64);
    batcher.push(&whole(LinkType::Other(127), &[]));
    batcher.push(&whole(LinkType::Ethernet, &ethernet(0x8926, &[])));
    assert_eq!(batcher.unread().iter().collect::<Vec<_>>(), [(Unread::LinkType(127), 1)]);
}

#[test]
fn netfilters_log_is_read_in_either_byte_order_and_of_bridges_too() {
    let v4 = small_ipv4();
    let bridged = nflog(7, &[(1, &hex("08000300")), (0x8012, &[1, 2, 3]), (9, &v4)]);
    let swapped = after("02000000 0005 000a 78000000 0022 0009", &v4);
    for frame in [bridged, swapped] {
        let (row, damage) = decode(&whole(LinkType::Nflog, &frame));
        assert_eq!((words(&row, "src_port", "dst_port").as_str(), damage), (FOUND, None), "{frame:02x?}");
    }
}

#[test]
fn the_captures_word_on_the_direction_goes_first() {
    let bytes = sll(4, IPV4, &small_ipv4());
    let frame = Frame { direction: Some(Direction::Ingress), ..whole(LinkType::LinuxSll, &bytes) };
    assert_eq!(decode(&frame).0["direction"], "0");
}

#[test]
fn ipv4_header() {
    let columns = |packet: &[u8]| {
        let (row, damage) = decode(&whole(LinkType::RawIp, packet));
        assert_eq!(damage, None);
        (words(&row, "ip_version", "flow_label"), words(&row, "src_port", "dst_port"), row["octets"].clone())
    };
    let expected = |protocol, offset| {
        format!(
            "ip_version=4 src_ip=10.0.0.1 dst_ip=10.0.0.2 protocol={protocol} ttl=64 dscp=46 ecn=1 ip_id=4660 fragment_offset={offset}"
        )
    };
    let found = || FOUND.to_owned();
    let small = small_ipv4();
    assert_eq!(columns(&small), (expected(17, 0), found(), "30".into()));
    let optioned = ipv4_with_options(UDP, "94040000 01010100", &udp(53, 1000, b""));
    assert_eq!(columns(&optioned), (expected(17, 0), found(), "36".into()));
    let first_fragment = patched(small.clone(), 6, "2000");
    assert_eq!(columns(&first_fragment), (expected(17, 0), found(), "30".into()));
    let last_fragment = patched(small.clone(), 6, "1fff");
    assert_eq!(columns(&last_fragment), (expected(17, 65528), String::new(), "30".into()));
    let segmented_by_the_card = patched(small.clone(), 2, "0000");
    assert_eq!(columns(&segmented_by_the_card), (expected(17, 0), found(), "30".into()));
    let authenticated =
        ipv4(51, &after("11040000 00000000 00000000 00000000 00000000 00000000", &small[20..]));
    assert_eq!(columns(&authenticated), (expected(51, 0), found(), "54".into()));
}

#[test]
fn padding_is_not_payload() {
    let mut padded = ethernet(IPV4, &ipv4(UDP, &udp(53, 1000, b"")));
    padded.resize(60, 0xff);
    let (row, damage) = decode(&whole(LinkType::Ethernet, &padded));
    assert_eq!((row["octets"].as_str(), row["frame_octets"].as_str()), ("28", "60"));
    assert_eq!((row["payload"].as_str(), damage), ("", None));
}

#[test]
fn ipv6_header_and_extension_headers() {
    const HOP_BY_HOP: &str = "000104 00000000";
    let udp = udp(53, 1000, b"hi");
    let frame = |next_header, headers: &str| ipv6(next_header, &after(headers, &udp));
    let cases = [
        ("none", frame(17, ""), 17, "", FOUND),
        ("hop by hop", frame(0, &format!("11{HOP_BY_HOP}")), 17, "", FOUND),
        ("hop by hop, destination", frame(0, &format!("3c{HOP_BY_HOP} 11{HOP_BY_HOP}")), 17, "", FOUND),
        ("routing, of 24 octets", frame(43, &format!("1102 0401 {:040x}", 0)), 17, "", FOUND),
        ("authentication", frame(51, &format!("1104 {:044x}", 0)), 17, "", FOUND),
        ("mobility", frame(135, "1100 0000 0000 0000"), 17, "", FOUND),
        ("host identity", frame(139, &format!("1104 0111 {:072x}", 0)), 17, "", FOUND),
        ("shim6", frame(140, "1100 8000 0000 0000"), 17, "", FOUND),
        ("first fragment", frame(44, "1100 0001 00000abc"), 17, "ip_id=2748 fragment_offset=0", FOUND),
        ("second fragment", frame(44, "1100 0041 00000abc"), 17, "ip_id=2748 fragment_offset=64", ""),
        (
            "second fragment, of options",
            frame(44, "3c00 0041 00000abc"),
            60,
            "ip_id=2748 fragment_offset=64",
            "",
        ),
        (
            "fragment, destination",
            frame(44, &format!("3c00 0001 00000abc 11{HOP_BY_HOP}")),
            17,
            "ip_id=2748 fragment_offset=0",
            FOUND,
        ),
        ("encrypted", frame(50, ""), 50, "", ""),
        ("nothing", frame(59, ""), 59, "", ""),
        ("nothing behind options", frame(60, &format!("3b{HOP_BY_HOP}")), 59, "", ""),
    ];
    for (name, packet, protocol, fragment, ports) in cases {
        let (row, damage) = decode(&whole(LinkType::RawIp, &packet));
        let header = format!(
            "ip_version=6 src_ip=2001:db8::1 dst_ip=2001:db8::2 protocol={protocol} ttl=63 dscp=46 ecn=1"
        );
        assert_eq!(words(&row, "ip_version", "ecn"), header, "{name}");
        assert_eq!(words(&row, "ip_id", "fragment_offset"), fragment, "{name}");
        assert_eq!(words(&row, "flow_label", "flow_label"), "flow_label=344865", "{name}");
        assert_eq!(words(&row, "src_port", "dst_port"), ports, "{name}");
        assert_eq!((row["octets"].parse(), damage), (Ok(packet.len()), None), "{name}");
    }
}

#[test]
fn ipv6_without_a_length_has_what_was_captured() {
    let packet = patched(small_ipv6(), 4, "0000");
    let (row, damage) = decode(&whole(LinkType::Ipv6, &packet));
    assert_eq!((row["octets"].as_str(), damage), ("50", None));
    assert_eq!(words(&row, "src_port", "dst_port"), FOUND);
}

#[test]
fn transport_headers() {
    let tcp_columns = "src_port=4000 dst_port=443 tcp_flags=274 tcp_seq=1000 tcp_ack=2000 tcp_window=512";
    let ports = "src_port=5 dst_port=6";
    let dccp = after("0005 0006 04 00 0000 00 000000 00000000", b"x");
    let cases = [
        ("TCP", 6, tcp(b"abc"), tcp_columns, Some("abc")),
        ("UDP", UDP, udp(5, 6, b"ab"), ports, Some("ab")),
        ("UDP with more behind", UDP, after("0005 0006 0009 0000", b"ab"), ports, Some("a")),
        ("UDP of no length", UDP, after("0005 0006 0000 0000", b"ab"), ports, Some("ab")),
        ("UDP-Lite", 136, after("0005 0006 0008 0000", b"ab"), ports, Some("ab")),
        ("SCTP", 132, after("0005 0006 00000001 00000000", b"a"), ports, Some("a")),
        ("DCCP", 33, dccp, ports, Some("x")),
        ("ICMP", 1, icmp(), "icmp_type=8 icmp_code=0", None),
        ("ICMPv6", 58, hex("87 01 0000"), "icmp_type=135 icmp_code=1", None),
        ("OSPF", 89, vec![0; 24], "", None),
    ];
    for (name, protocol, packet, expected, payload) in cases {
        for ip in [ipv4(protocol, &packet), ipv6(protocol, &packet)] {
            let (row, damage) = decode(&whole(LinkType::RawIp, &ip));
            assert_eq!(words(&row, "src_port", "icmp_code"), expected, "{name}");
            assert_eq!(row.get("payload").map(String::as_str), payload, "{name}");
            assert_eq!((row["protocol"].parse(), damage), (Ok(protocol), None), "{name}");
        }
    }
}

#[test]
fn an_ethertype_of_ipv4_over_ipv6_is_believed_but_not_the_other_way_round() {
    let (row, _) = decode(&whole(LinkType::Ethernet, &ethernet(IPV4, &small_ipv6())));
    assert_eq!(words(&row, "src_port", "dst_port"), FOUND);
    let (row, damage) = decode(&whole(LinkType::Ethernet, &ethernet(IPV6, &small_ipv4())));
    assert_eq!(words(&row, "ip_version", "dst_port"), "");
    assert!(damage.is_some());
}
