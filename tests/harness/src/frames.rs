//! Builds frames from the inside out: each function puts its header before what it carries.
//!
//! Lengths are right; a test that wants a lie patches the octets.

#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

/// The EtherType of IPv4.
pub const IPV4: u16 = 0x0800;
/// The EtherType of IPv6.
pub const IPV6: u16 = 0x86dd;
/// The protocol number of UDP.
pub const UDP: u8 = 17;

/// Octets from hexadecimal digits; spaces do not count.
pub fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits.bytes().filter(|digit| !digit.is_ascii_whitespace()).collect();
    let octet = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(octet).collect()
}

fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

fn be16(value: usize) -> [u8; 2] {
    u16::try_from(value).unwrap().to_be_bytes()
}

/// From 02:00:00:00:00:02 to 02:00:00:00:00:01; `kind` is an EtherType or a length.
pub fn ethernet(kind: u16, payload: &[u8]) -> Vec<u8> {
    join(&[&hex("020000000001 020000000002"), &kind.to_be_bytes(), payload])
}

/// An 802.3 frame with this LLC header, in hexadecimal.
pub fn llc(header: &str, payload: &[u8]) -> Vec<u8> {
    let body = join(&[&hex(header), payload]);
    ethernet(u16::try_from(body.len()).unwrap(), &body)
}

/// What follows a tag's own EtherType.
pub fn tag(vlan: u16, ethertype: u16, payload: &[u8]) -> Vec<u8> {
    // Priority 5, to be masked off.
    join(&[&(vlan | 0xa000).to_be_bytes(), &ethertype.to_be_bytes(), payload])
}

/// One entry of a label stack.
pub fn label(label: u32, is_bottom: bool, payload: &[u8]) -> Vec<u8> {
    join(&[&(label << 12 | u32::from(is_bottom) << 8 | 64).to_be_bytes(), payload])
}

/// A PPPoE session's packet; `protocol` is that of PPP.
pub fn pppoe(protocol: &str, payload: &[u8]) -> Vec<u8> {
    let body = join(&[&hex(protocol), payload]);
    join(&[&hex("1100 0007"), &be16(body.len()), &body])
}

/// From 10.0.0.1 to 10.0.0.2.
pub fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    ipv4_with_options(protocol, "", payload)
}

/// As [`ipv4`]; options in hexadecimal, a multiple of 4 octets.
pub fn ipv4_with_options(protocol: u8, options: &str, payload: &[u8]) -> Vec<u8> {
    let options = hex(options);
    let header_octets = 20 + options.len();
    let version_and_length = 0x40 | u8::try_from(header_octets / 4).unwrap();
    join(&[
        &[version_and_length, 0xb9],
        &be16(header_octets + payload.len()),
        &hex("1234 0000"),
        &[64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2],
        &options,
        payload,
    ])
}

/// From 2001:db8::1 to 2001:db8::2, hop limit 63, flow label 0x54321.
pub fn ipv6(next_header: u8, payload: &[u8]) -> Vec<u8> {
    join(&[
        &hex("6b954321"),
        &be16(payload.len()),
        &[next_header, 63],
        &hex("20010db8 00000000 00000000 00000001"),
        &hex("20010db8 00000000 00000000 00000002"),
        payload,
    ])
}

/// A datagram between these ports, without a checksum.
pub fn udp(src_port: u16, dst_port: u16, data: &[u8]) -> Vec<u8> {
    join(&[&src_port.to_be_bytes(), &dst_port.to_be_bytes(), &be16(8 + data.len()), &[0, 0], data])
}

/// From port 4000 to 443, SYN, ACK and AE set, with one option.
pub fn tcp(data: &[u8]) -> Vec<u8> {
    join(&[&hex("0fa0 01bb 000003e8 000007d0 6112 0200 0000 0000 020405b4"), data])
}

/// An echo request.
pub fn icmp() -> Vec<u8> {
    hex("08 00 f7ff 0000 0000")
}

/// A request for 10.0.0.2.
pub fn arp() -> Vec<u8> {
    hex("0001 0800 06 04 0001 020000000002 0a000001 000000000000 0a000002")
}

/// Linux cooked capture, version 1, from 02:00:00:00:00:02.
pub fn sll(packet_type: u16, protocol: u16, payload: &[u8]) -> Vec<u8> {
    join(&[&packet_type.to_be_bytes(), &hex("0001 0006 0200000000020000"), &protocol.to_be_bytes(), payload])
}

/// Linux cooked capture, version 2, from 02:00:00:00:00:02.
pub fn sll2(packet_type: u8, protocol: u16, payload: &[u8]) -> Vec<u8> {
    join(&[
        &protocol.to_be_bytes(),
        &hex("0000 00000003 0001"),
        &[packet_type, 6],
        &hex("0200000000020000"),
        payload,
    ])
}

/// A packet that netfilter logged on this machine: address family, and attributes by type.
pub fn nflog(family: u8, attributes: &[(u16, &[u8])]) -> Vec<u8> {
    let mut packet = vec![family, 0, 0, 0];
    for (kind, value) in attributes {
        packet.extend(u16::try_from(4 + value.len()).unwrap().to_le_bytes());
        packet.extend(kind.to_le_bytes());
        packet.extend(*value);
        packet.resize(packet.len().next_multiple_of(4), 0);
    }
    packet
}

/// As [`small_ipv6`], of payload length zero and with this hop-by-hop header.
pub fn jumbogram(header: &str) -> Vec<u8> {
    patched(ipv6(0, &after(header, &udp(53, 1000, b"hi"))), 4, "0000")
}

/// The usual packet inside: from 10.0.0.1 port 53 to 10.0.0.2 port 1000, data `hi`.
pub fn small_ipv4() -> Vec<u8> {
    ipv4(UDP, &udp(53, 1000, b"hi"))
}

/// As [`small_ipv4`], of IPv6.
pub fn small_ipv6() -> Vec<u8> {
    ipv6(UDP, &udp(53, 1000, b"hi"))
}

/// An Ethernet frame inside something else, from 00:00:5e:00:53:02 to 00:00:5e:00:53:01.
pub fn inner_ethernet(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    join(&[&hex("00005e005301 00005e005302"), &ethertype.to_be_bytes(), payload])
}

/// UDP from port 50000 with a header in hexadecimal before the data.
pub fn udp_tunnel(dst_port: u16, header: &str, payload: &[u8]) -> Vec<u8> {
    ipv4(UDP, &udp(50000, dst_port, &after(header, payload)))
}

/// A header in hexadecimal, and what follows.
pub fn after(header: &str, payload: &[u8]) -> Vec<u8> {
    join(&[&hex(header), payload])
}

/// The frame with the octets at `at` replaced.
pub fn patched(mut frame: Vec<u8>, at: usize, octets: &str) -> Vec<u8> {
    let octets = hex(octets);
    frame[at..at + octets.len()].copy_from_slice(&octets);
    frame
}
