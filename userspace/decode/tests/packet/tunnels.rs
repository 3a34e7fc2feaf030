//! What tunnels give.

use crate::rows::{decode, whole, words};
use harness::frames::{
    IPV4, UDP, after, ethernet, icmp, inner_ethernet, ipv4, ipv6, label, patched, small_ipv4, small_ipv6,
    tag, udp, udp_tunnel,
};
use tapline_decode::LinkType;

const V4: &str =
    "inner_src_ip=10.0.0.1 inner_dst_ip=10.0.0.2 inner_protocol=17 inner_src_port=53 inner_dst_port=1000";
const V6: &str = "inner_src_ip=2001:db8::1 inner_dst_ip=2001:db8::2 inner_protocol=17 inner_src_port=53 inner_dst_port=1000";
/// 42, in the upper three octets.
const VNI: &str = "00002a00";

/// Name, packet, kind and id, inner columns.
type Case = (&'static str, Vec<u8>, &'static str, &'static str);

fn check(cases: impl IntoIterator<Item = Case>) {
    for (name, packet, tunnel, inner) in cases {
        let (row, damage) = decode(&whole(LinkType::RawIp, &packet));
        assert_eq!(words(&row, "tunnel_kind", "tunnel_id"), tunnel, "{name}");
        assert_eq!(words(&row, "inner_src_ip", "inner_dst_port"), inner, "{name}");
        assert_eq!(damage, None, "{name}");
    }
}

#[test]
fn vxlan_and_geneve() {
    let bridged = inner_ethernet(IPV4, &small_ipv4());
    let vxlan = format!("08000000 {VNI}");
    let geneve = |first: &str, ethertype: &str| format!("{first}00 {ethertype} {VNI}");
    let options = format!("{} 0102 8001 deadbeef", geneve("02", "6558"));
    let tagged = inner_ethernet(0x8100, &tag(5, IPV4, &small_ipv4()));
    check([
        ("VXLAN", udp_tunnel(4789, &vxlan, &bridged), "tunnel_kind=vxlan tunnel_id=42", V4),
        ("VXLAN as on Linux", udp_tunnel(8472, &vxlan, &bridged), "tunnel_kind=vxlan tunnel_id=42", V4),
        ("VXLAN, tagged inside", udp_tunnel(4789, &vxlan, &tagged), "tunnel_kind=vxlan tunnel_id=42", V4),
        (
            "VXLAN with ARP",
            udp_tunnel(4789, &vxlan, &inner_ethernet(0x88cc, &[])),
            "tunnel_kind=vxlan tunnel_id=42",
            "",
        ),
        ("not VXLAN", udp_tunnel(4789, "00000000 00002a00", &bridged), "", ""),
        ("from the port", ipv4(UDP, &udp(4789, 50000, &after(&vxlan, &bridged))), "", ""),
        ("an answer of DNS", ipv4(UDP, &udp(53, 4789, &after(&vxlan, &bridged))), "", ""),
        ("Geneve", udp_tunnel(6081, &geneve("00", "6558"), &bridged), "tunnel_kind=geneve tunnel_id=42", V4),
        ("Geneve with options", udp_tunnel(6081, &options, &bridged), "tunnel_kind=geneve tunnel_id=42", V4),
        (
            "Geneve with IPv6",
            udp_tunnel(6081, &geneve("00", "86dd"), &small_ipv6()),
            "tunnel_kind=geneve tunnel_id=42",
            V6,
        ),
        ("Geneve of a version to come", udp_tunnel(6081, &geneve("40", "6558"), &bridged), "", ""),
    ]);
}

#[test]
fn gre() {
    let gre = |header: &str, payload: &[u8]| ipv4(47, &after(header, payload));
    let bridged = inner_ethernet(IPV4, &small_ipv4());
    let call = |flags, length, rest| format!("{flags} 880b {length} 0009 {rest}");
    check([
        ("plain", gre("0000 0800", &small_ipv4()), "tunnel_kind=gre", V4),
        ("IPv6", gre("0000 86dd", &small_ipv6()), "tunnel_kind=gre", V6),
        ("checksum", gre("8000 0800 00000000", &small_ipv4()), "tunnel_kind=gre", V4),
        ("key", gre("2000 0800 00000009", &small_ipv4()), "tunnel_kind=gre tunnel_id=9", V4),
        (
            "all fields",
            gre("b000 0800 00000000 00000009 00000001", &small_ipv4()),
            "tunnel_kind=gre tunnel_id=9",
            V4,
        ),
        ("bridged", gre("2000 6558 00000009", &bridged), "tunnel_kind=gre tunnel_id=9", V4),
        ("MPLS", gre("0000 8847", &label(100, true, &small_ipv4())), "tunnel_kind=gre", V4),
        ("ERSPAN I", gre("0000 88be", &bridged), "tunnel_kind=gre", V4),
        ("ERSPAN II", gre("1000 88be 00000001 1000000000000000", &bridged), "tunnel_kind=gre", V4),
        (
            "ERSPAN III",
            gre(&format!("1000 22eb 00000001 {:024x}", 0x2000_u128 << 80), &bridged),
            "tunnel_kind=gre",
            V4,
        ),
        (
            "ERSPAN III with subheader",
            gre(&format!("1000 22eb 00000001 {:024x} {:016x}", (0x2000_u128 << 80) | 1, 0), &bridged),
            "tunnel_kind=gre",
            V4,
        ),
        ("PPTP", gre(&call("2001", "0020", "0021"), &small_ipv4()), "tunnel_kind=gre tunnel_id=9", V4),
        (
            "PPTP, framed",
            gre(&call("3081", "0022", "00000001 00000002 ff03 0021"), &small_ipv4()),
            "tunnel_kind=gre tunnel_id=9",
            V4,
        ),
        ("keep-alive", gre("0000 0000", &[]), "tunnel_kind=gre", ""),
        ("source route", gre("4000 0800 00000000", &small_ipv4()), "tunnel_kind=gre", ""),
        ("unknown version", gre("0002 0800", &small_ipv4()), "tunnel_kind=gre", ""),
    ]);
}

#[test]
fn ip_in_ip() {
    let cases = [
        ("4 in 4", ipv4(4, &small_ipv4()), V4),
        ("6 in 4", ipv4(41, &small_ipv6()), V6),
        ("4 in 6", ipv6(4, &small_ipv4()), V4),
        ("6 in 6", ipv6(41, &small_ipv6()), V6),
        ("behind options", ipv6(60, &after("2900010400000000", &small_ipv6())), V6),
        ("in the first fragment", patched(ipv4(4, &small_ipv4()), 6, "2000"), V4),
    ];
    check(cases.map(|(name, packet, inner)| (name, packet, "tunnel_kind=ipip", inner)));
    check([("in the second fragment", patched(ipv4(4, &small_ipv4()), 6, "0001"), "", "")]);
}

#[test]
fn only_the_first_tunnel_is_opened() {
    let inner = "inner_src_ip=10.0.0.1 inner_dst_ip=10.0.0.2 inner_protocol=4";
    check([("three headers", ipv6(4, &ipv4(4, &small_ipv4())), "tunnel_kind=ipip", inner)]);
    let echo = "inner_src_ip=2001:db8::1 inner_dst_ip=2001:db8::2 inner_protocol=1";
    check([("no ports inside", ipv4(41, &ipv6(1, &icmp())), "tunnel_kind=ipip", echo)]);
}

#[test]
fn gtp_u() {
    let gtp = |flags: &str, kind: &str, rest: &str, packet: &[u8]| {
        let length = after(rest, packet).len();
        udp_tunnel(2152, &format!("{flags}{kind} {length:04x} 00000077 {rest}"), packet)
    };
    let (v4, v6) = (small_ipv4(), small_ipv6());
    let tunnel = "tunnel_kind=gtpu tunnel_id=119";
    check([
        ("IPv4", gtp("30", "ff", "", &v4), tunnel, V4),
        ("IPv6", gtp("30", "ff", "", &v6), tunnel, V6),
        ("sequence number", gtp("32", "ff", "0001 00 00", &v4), tunnel, V4),
        ("sequence number; a stale extension type", gtp("32", "ff", "0001 00 85", &v4), tunnel, V4),
        ("PDU session", gtp("34", "ff", "0000 00 85 01 000900", &v4), tunnel, V4),
        ("two extensions", gtp("34", "ff", "0000 00 c0 01 123485 02 00090000000000", &v4), tunnel, V4),
        ("echo", gtp("32", "01", "0001 00 00", &[]), "", ""),
        ("neither IPv4 nor IPv6", gtp("30", "ff", "", &[0; 20]), tunnel, ""),
        ("version 2", gtp("48", "ff", "", &v4), "", ""),
    ]);
}

#[test]
fn main_columns_stay_those_of_the_outermost_header() {
    let frame =
        ethernet(IPV4, &udp_tunnel(4789, &format!("08000000 {VNI}"), &inner_ethernet(0x86dd, &small_ipv6())));
    let (row, _) = decode(&whole(LinkType::Ethernet, &frame));
    assert_eq!(
        words(&row, "src_mac", "src_ip"),
        "src_mac=02:00:00:00:00:02 dst_mac=02:00:00:00:00:01 ethertype=2048 ip_version=4 src_ip=10.0.0.1"
    );
    assert_eq!(words(&row, "src_port", "dst_port"), "src_port=50000 dst_port=4789");
}
