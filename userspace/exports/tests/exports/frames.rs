//! Builds frames around payloads, and captures of them.

use std::path::{Path, PathBuf};

/// What stands in front of an IP packet.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Link {
    Ethernet,
    Vlan,
    RawIp,
}

pub(crate) const EXPORTER: [u8; 4] = [192, 0, 2, 7];
const COLLECTOR: [u8; 4] = [192, 0, 2, 1];
pub(crate) const EXPORTER_V6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];

/// A UDP datagram, header included.
pub(crate) fn udp(src_port: u16, dst_port: u16, payload: &[u8]) -> Vec<u8> {
    let octets = payload.len() as u16 + 8;
    [&src_port.to_be_bytes()[..], &dst_port.to_be_bytes(), &octets.to_be_bytes(), &[0; 2], payload].concat()
}

/// A TCP segment, header included.
pub(crate) fn tcp(src_port: u16, sequence: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let ports = [src_port.to_be_bytes(), 4739_u16.to_be_bytes()].concat();
    [&ports[..], &sequence.to_be_bytes(), &[0; 4], &[0x50, flags, 1, 0, 0, 0, 0, 0], payload].concat()
}

/// An IPv4 packet; `fragment` is flags and offset as they stand in the header.
pub(crate) fn ipv4(protocol: u8, id: u16, fragment: u16, data: &[u8]) -> Vec<u8> {
    let octets = (data.len() as u16 + 20).to_be_bytes();
    let start = [&[0x45, 0][..], &octets, &id.to_be_bytes(), &fragment.to_be_bytes()].concat();
    [&start[..], &[64, protocol, 0, 0], &EXPORTER, &COLLECTOR, data].concat()
}

/// An IPv6 packet.
pub(crate) fn ipv6(next_header: u8, data: &[u8]) -> Vec<u8> {
    let octets = (data.len() as u16).to_be_bytes();
    [&[0x60, 0, 0, 0][..], &octets, &[next_header, 64], &EXPORTER_V6, &[1; 16], data].concat()
}

/// An IPv6 fragment header; `fragment` is offset and flag as they stand in it.
pub(crate) fn ipv6_fragment(id: u32, fragment: u16, data: &[u8]) -> Vec<u8> {
    ipv6(44, &[&[17, 0][..], &fragment.to_be_bytes(), &id.to_be_bytes(), data].concat())
}

/// A frame around an IP packet.
pub(crate) fn frame(link: Link, packet: &[u8]) -> Vec<u8> {
    let ethertype = if packet[0] >> 4 == 4 { [8, 0] } else { [0x86, 0xdd] };
    match link {
        Link::RawIp => packet.to_vec(),
        Link::Ethernet => [&[2; 12][..], &ethertype, packet].concat(),
        Link::Vlan => [&[2; 12][..], &[0x81, 0, 0, 5], &ethertype, packet].concat(),
    }
}

/// A frame of a capture: seconds, and octets of which a snap length leaves so many.
pub(crate) struct Captured {
    pub(crate) seconds: u32,
    pub(crate) frame: Vec<u8>,
    pub(crate) captured_octets: usize,
}

/// Whole frames, one a second from second 100 on.
pub(crate) fn seconds(frames: impl IntoIterator<Item = Vec<u8>>) -> Vec<Captured> {
    let captured =
        |(seconds, frame): (u32, Vec<u8>)| Captured { seconds, captured_octets: frame.len(), frame };
    (100..).zip(frames).map(captured).collect()
}

/// The octets of a pcap file.
pub(crate) fn pcap(link: Link, frames: &[Captured]) -> Vec<u8> {
    let number: u32 = if matches!(link, Link::RawIp) { 101 } else { 1 };
    let words = [0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, number];
    let mut file: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    for Captured { seconds, frame, captured_octets } in frames {
        let header = [*seconds, 0, *captured_octets as u32, frame.len() as u32];
        file.extend(header.iter().flat_map(|word| word.to_le_bytes()));
        file.extend(&frame[..*captured_octets]);
    }
    file
}

/// Writes a file into a folder.
pub(crate) fn write(folder: &Path, name: &str, octets: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, octets).unwrap();
    path
}
