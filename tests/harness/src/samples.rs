//! Sound frames of every protocol and combination that the decoder knows, by name.

use crate::frames::{
    IPV4, IPV6, UDP, after, arp, ethernet, hex, icmp, inner_ethernet, ipv4, ipv4_with_options, ipv6,
    jumbogram, label, llc, nflog, patched, pppoe, sll, sll2, small_ipv4, small_ipv6, tag, tcp, udp,
    udp_tunnel,
};
use tapline_decode::LinkType;

/// A frame: its name, what it begins with, its octets.
pub type Sample = (&'static str, LinkType, Vec<u8>);

/// All of them, in no particular order.
pub fn all() -> Vec<Sample> {
    [links(), ethernet_frames(), extensions(), transports(), ip_tunnels(), udp_tunnels()].concat()
}

fn on_ethernet(name: &'static str, ethertype: u16, payload: &[u8]) -> Sample {
    (name, LinkType::Ethernet, ethernet(ethertype, payload))
}

fn links() -> Vec<Sample> {
    let (v4, v6) = (small_ipv4(), small_ipv6());
    let snap = after("aaaa03 000000 0800", &v4);
    vec![
        ("raw IPv4", LinkType::RawIp, v4.clone()),
        ("raw IPv6", LinkType::RawIp, v6.clone()),
        ("cooked, received", LinkType::LinuxSll, sll(0, IPV4, &v4)),
        ("cooked, sent", LinkType::LinuxSll, sll(4, IPV6, &v6)),
        ("cooked, LLC", LinkType::LinuxSll, sll(4, 4, &snap)),
        ("cooked, tagged", LinkType::LinuxSll, sll(3, 0x8100, &tag(5, IPV4, &v4))),
        ("cooked 2, received", LinkType::LinuxSll2, sll2(1, IPV4, &v4)),
        ("cooked 2, sent", LinkType::LinuxSll2, sll2(4, IPV6, &v6)),
        ("cooked 2, tagged", LinkType::LinuxSll2, sll2(4, 0x8100, &tag(5, IPV4, &v4))),
        ("null, little-endian", LinkType::BsdNull, after("02000000", &v4)),
        ("null, big-endian", LinkType::BsdNull, after("0000001e", &v6)),
        ("loop", LinkType::BsdLoop, after("00000002", &v4)),
        ("loop, IPv6", LinkType::BsdLoop, after("00000018", &v6)),
        ("PPP", LinkType::Ppp, after("0021", &v4)),
        ("PPP, framed", LinkType::Ppp, after("ff030057", &v6)),
        ("PPP, compressed protocol", LinkType::Ppp, after("21", &v4)),
        ("PPP with MPLS", LinkType::Ppp, after("ff030281", &label(9, true, &v4))),
        ("LCP", LinkType::Ppp, after("ff03c021", &hex("01010004"))),
        ("PPPoE without Ethernet", LinkType::PppOverEthernet, pppoe("0021", &v4)),
        ("PPP, received", LinkType::PppWithDirection, after("00ff030021", &v4)),
        ("PPP, sent", LinkType::PppWithDirection, after("010057", &v6)),
        ("NFLOG", LinkType::Nflog, nflog(2, &[(1, &hex("08000300")), (10, b"up: \0"), (9, &v4)])),
        ("NFLOG with IPv6", LinkType::Nflog, nflog(10, &[(9, &v6)])),
        ("NFLOG without a packet", LinkType::Nflog, nflog(2, &[(10, b"x\0")])),
    ]
}

fn ethernet_frames() -> Vec<Sample> {
    let (v4, v6) = (small_ipv4(), small_ipv6());
    let bridged = inner_ethernet(0x8100, &tag(5, IPV4, &v4));
    vec![
        on_ethernet("ARP", 0x0806, &arp()),
        on_ethernet("LLDP", 0x88cc, &[0; 2]),
        on_ethernet("tagged", 0x8100, &tag(5, IPV6, &v6)),
        on_ethernet("provider tag", 0x88a8, &tag(5, IPV4, &v4)),
        on_ethernet("QinQ", 0x88a8, &tag(5, 0x8100, &tag(6, IPV4, &v4))),
        on_ethernet("older QinQ", 0x9100, &tag(5, 0x8100, &tag(6, IPV4, &v4))),
        on_ethernet("three tags", 0x8100, &tag(5, 0x8100, &tag(6, 0x8100, &tag(7, IPV4, &v4)))),
        on_ethernet("SNAP behind a tag", 0x8100, &tag(5, 38, &after("aaaa03 000000 0800", &v4))),
        ("SNAP", LinkType::Ethernet, llc("aaaa03 000000 0800", &v4)),
        ("SNAP of 802.1H", LinkType::Ethernet, llc("aaaa03 0000f8 86dd", &v6)),
        ("SNAP of Cisco", LinkType::Ethernet, llc("aaaa03 00000c 2000", &[0; 4])),
        ("LLC for IP", LinkType::Ethernet, llc("060603", &v4)),
        on_ethernet("MPLS", 0x8847, &label(100, false, &label(200, true, &v4))),
        on_ethernet("MPLS with IPv6", 0x8847, &label(2, true, &v6)),
        on_ethernet("MPLS, upstream", 0x8848, &label(100, true, &v4)),
        on_ethernet("pseudowire", 0x8847, &label(100, true, &bridged)),
        on_ethernet("pseudowire with control word", 0x8847, &label(7, true, &after("00000000", &bridged))),
        on_ethernet("associated channel", 0x8847, &label(100, true, &after("10000021", &v4))),
        on_ethernet("PPPoE", 0x8864, &pppoe("0021", &v4)),
        on_ethernet("PPPoE with IPv6", 0x8864, &pppoe("0057", &v6)),
        on_ethernet("PPPoE, compressed protocol", 0x8864, &pppoe("21", &v4)),
        on_ethernet("PPPoE with MPLS", 0x8864, &pppoe("0281", &label(9, true, &v4))),
        on_ethernet("PPPoE behind tags", 0x8100, &tag(5, 0x8100, &tag(6, 0x8864, &pppoe("0021", &v4)))),
        on_ethernet("bridged", 0x6558, &bridged),
        on_ethernet("provider backbone", 0x88e7, &after("00000064", &bridged)),
        on_ethernet("provider backbone, tagged", 0x88a8, &tag(8, 0x88e7, &after("00000064", &bridged))),
        on_ethernet("FabricPath", 0x8903, &after("0041", &bridged)),
        on_ethernet("service chain", 0x894f, &after("0fc20201 000001ff", &v6)),
        on_ethernet("service chain of type 1", 0x894f, &after(&format!("0fc60101 000001ff {:032x}", 0), &v4)),
        on_ethernet("service chain, bridged", 0x894f, &after("0fc20203 000001ff", &bridged)),
        on_ethernet("service chains", 0x894f, &after("0fc20204 000001ff 0fc20201 000001ff", &v4)),
        on_ethernet("service chain, MPLS", 0x894f, &after("0fc20205 000001ff", &label(9, true, &v4))),
    ]
}

fn extensions() -> Vec<Sample> {
    let udp = udp(53, 1000, b"hi");
    let v6 =
        |name, next_header, headers: &str| on_ethernet(name, IPV6, &ipv6(next_header, &after(headers, &udp)));
    let authentication = "04 0000 00000001 00000001 000102030405060708090a0b";
    vec![
        v6("hop by hop", 0, "1100010400000000"),
        v6("hop by hop, destination", 0, "3c00010400000000 1100010400000000"),
        v6("routing", 43, "1102 0401 00000000 20010db8000000000000000000000003"),
        v6("authentication", 51, &format!("11 {authentication}")),
        v6("authentication, fragment", 51, &format!("2c {authentication} 1100 0001 00000abc")),
        v6("mobility", 135, "3b00 0000 0000 0000"),
        v6("shim6", 140, "1100 8000 0000 0000"),
        v6("first fragment", 44, "1100 0001 00000abc"),
        v6("second fragment", 44, "1100 0041 00000abc"),
        v6("atomic fragment", 44, "1100 0000 00000abc"),
        v6("fragment, destination", 44, "3c00 0001 00000abc 1100010400000000"),
        v6("encrypted", 50, ""),
        v6("no next header", 59, ""),
        on_ethernet("nothing at all", IPV6, &ipv6(59, &[])),
        on_ethernet("nothing at all, padded", IPV6, &[ipv6(59, &[]), vec![0; 6]].concat()),
        on_ethernet("jumbogram", IPV6, &jumbogram("1100 c204 00000012")),
        on_ethernet("IPv4 options", IPV4, &ipv4_with_options(UDP, "94040000", &udp)),
        on_ethernet("IPv4 authentication", IPV4, &ipv4(51, &after(&format!("11 {authentication}"), &udp))),
        on_ethernet("IPv4 hop by hop", IPV4, &ipv4(0, &after("1100010400000000", &udp))),
        on_ethernet("IPv4 first fragment", IPV4, &patched(ipv4(UDP, &udp), 6, "2000")),
        on_ethernet("IPv4 second fragment", IPV4, &patched(ipv4(UDP, &udp), 6, "2001")),
    ]
}

fn transports() -> Vec<Sample> {
    let mut samples = vec![];
    for (name, protocol, packet) in [
        ("TCP", 6, tcp(b"abc")),
        ("UDP", UDP, udp(5, 6, b"")),
        ("UDP-Lite", 136, after("0005 0006 0008 0000", b"ab")),
        ("SCTP", 132, hex("0005 0006 00000001 00000000 0b000004")),
        ("DCCP", 33, hex("0005 0006 04 00 0000 00 000000 00000000")),
        ("ICMP", 1, icmp()),
        ("ICMPv6", 58, hex("87 01 0000 00000000 20010db8000000000000000000000002")),
        ("OSPF", 89, vec![0; 24]),
        ("ICMP error", 1, after("03 03 0000 00000000", &small_ipv4())),
    ] {
        samples.push(on_ethernet(name, IPV4, &ipv4(protocol, &packet)));
        samples.push(on_ethernet(name, IPV6, &ipv6(protocol, &packet)));
    }
    samples
}

fn ip_tunnels() -> Vec<Sample> {
    let (v4, v6) = (small_ipv4(), small_ipv6());
    let bridged = inner_ethernet(IPV4, &v4);
    let gre = |name, header, payload: &[u8]| on_ethernet(name, IPV4, &ipv4(47, &after(header, payload)));
    vec![
        on_ethernet("4 in 4", IPV4, &ipv4(4, &v4)),
        on_ethernet("6 in 4", IPV4, &ipv4(41, &v6)),
        on_ethernet("4 in 6", IPV6, &ipv6(4, &v4)),
        on_ethernet("6 in 6", IPV6, &ipv6(41, &v6)),
        on_ethernet("6 in 6 behind options", IPV6, &ipv6(60, &after("2900010400000000", &v6))),
        on_ethernet("4 in 4 in 6", IPV6, &ipv6(4, &ipv4(4, &v4))),
        on_ethernet(
            "extensions inside",
            IPV4,
            &ipv4(41, &ipv6(0, &after("1100010400000000", &udp(1, 2, b"")))),
        ),
        gre("GRE", "0000 0800", &v4),
        gre("GRE with IPv6", "0000 86dd", &v6),
        gre("GRE with all fields", "b000 0800 00000000 00000009 00000001", &v4),
        gre("GRE, bridged", "2000 6558 00000009", &bridged),
        gre("GRE with MPLS", "0000 8847 00064140", &v4),
        gre("ERSPAN I", "0000 88be", &bridged),
        gre("ERSPAN II", "1000 88be 00000001 1000000000000000", &bridged),
        gre("ERSPAN III", "1000 22eb 00000001 200000000000000000000000", &bridged),
        gre(
            "ERSPAN III with subheader",
            "1000 22eb 00000001 200000000000000000000001 0000000000000000",
            &bridged,
        ),
        gre("PPTP", "2001 880b 0020 0009 0021", &v4),
        gre("PPTP with numbers", "3081 880b 0020 0009 00000001 00000002 0021", &v4),
        gre("PPTP, framed", "2001 880b 0022 0009 ff03 0021", &v4),
        gre("GRE keep-alive", "0000 0000", &[]),
    ]
}

fn udp_tunnels() -> Vec<Sample> {
    let (v4, v6) = (small_ipv4(), small_ipv6());
    let bridged = inner_ethernet(IPV4, &v4);
    let tagged = inner_ethernet(0x8100, &tag(5, IPV6, &v6));
    let tunnel =
        |name, port, header, payload: &[u8]| on_ethernet(name, IPV4, &udp_tunnel(port, header, payload));
    vec![
        tunnel("VXLAN", 4789, "08000000 00002a00", &bridged),
        tunnel("VXLAN as on Linux", 8472, "08000000 00002a00", &bridged),
        tunnel("VXLAN, tagged", 4789, "08000000 00002a00", &tagged),
        tunnel("VXLAN with ARP", 4789, "08000000 00002a00", &inner_ethernet(0x0806, &arp())),
        tunnel("Geneve", 6081, "0000 6558 00002a00", &bridged),
        tunnel("Geneve with options", 6081, "0200 6558 00002a00 0102 8001 deadbeef", &bridged),
        tunnel("Geneve with IPv6", 6081, "0000 86dd 00002a00", &v6),
        tunnel("GTP-U", 2152, "30ff 001e 00000077", &v4),
        tunnel("GTP-U with IPv6", 2152, "30ff 0032 00000077", &v6),
        tunnel("GTP-U, sequence number", 2152, "32ff 0022 00000077 0001 00 00", &v4),
        tunnel("GTP-U, PDU session", 2152, "34ff 0026 00000077 0000 00 85 01 000900", &v4),
        tunnel("GTP-U, two extensions", 2152, "34ff 002a 00000077 0000 00 40 01 0868 85 01 000900", &v4),
        tunnel("GTP-U echo", 2152, "3201 0004 00000000 0001 00 00", &[]),
    ]
}
