//! Frames, described and then written.
//!
//! A [`Frame`] says what is on the wire in a few dozen octets of memory; `write` appends its bytes, with
//! lengths and checksums filled in. The lengths that a description reports are those that are written.

mod arp;
mod checksum;
mod echo;
mod ethernet;
mod ipv4;
mod ipv6;
mod tcp;
mod udp;

use std::net::IpAddr;

pub use arp::{Arp, ArpOperation};
pub use echo::Echo;
pub use ethernet::{Link, Mac};
pub(crate) use tcp::PSH;
pub use tcp::{ACK, FIN, RST, SYN, Tcp};
pub use udp::Udp;

use crate::payload::Payload;

/// One Ethernet frame, without its check sequence.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Whose link it crosses.
    pub link: Link,
    /// What it carries.
    pub body: Body,
}

/// What a frame carries.
#[derive(Clone, Debug)]
pub enum Body {
    /// Address resolution.
    Arp(Arp),
    /// A packet of IPv4 or IPv6.
    Ip(Packet),
}

/// One IP packet; both addresses are of the same version.
#[derive(Clone, Debug)]
pub struct Packet {
    /// The sender.
    pub src_ip: IpAddr,
    /// The receiver.
    pub dst_ip: IpAddr,
    /// Time to live, or hop limit.
    pub ttl: u8,
    /// The header after the IP header.
    pub transport: Transport,
    /// What follows the transport header.
    pub payload: Payload,
}

/// A transport header.
#[derive(Clone, Copy, Debug)]
pub enum Transport {
    /// The Transmission Control Protocol.
    Tcp(Tcp),
    /// The User Datagram Protocol.
    Udp(Udp),
    /// An echo of ICMP or ICMPv6, by the version of the addresses.
    Echo(Echo),
}

impl Frame {
    /// Appends the frame's bytes, padded to the least that Ethernet sends.
    pub fn write(&self, out: &mut Vec<u8>) {
        let start = out.len();
        self.link.write(self.ethertype(), out);
        match &self.body {
            Body::Arp(arp) => arp.write(out),
            Body::Ip(packet) => packet.write(out),
        }
        let least = start + ethernet::FRAME_OCTETS_MIN;
        out.resize(out.len().max(least), 0);
    }

    /// Octets of the whole frame as sent, padding included.
    #[must_use]
    pub fn frame_octets(&self) -> usize {
        let body = match &self.body {
            Body::Arp(_) => arp::OCTETS,
            Body::Ip(packet) => packet.octets(),
        };
        (self.link.octets() + body).max(ethernet::FRAME_OCTETS_MIN)
    }

    /// The IP packet within, if there is one.
    #[must_use]
    pub fn packet(&self) -> Option<&Packet> {
        match &self.body {
            Body::Arp(_) => None,
            Body::Ip(packet) => Some(packet),
        }
    }

    fn ethertype(&self) -> u16 {
        match &self.body {
            Body::Arp(_) => ethernet::ETHERTYPE_ARP,
            Body::Ip(Packet { src_ip: IpAddr::V4(_), .. }) => ethernet::ETHERTYPE_IPV4,
            Body::Ip(Packet { src_ip: IpAddr::V6(_), .. }) => ethernet::ETHERTYPE_IPV6,
        }
    }
}

impl Packet {
    /// Octets of the packet, IP header included.
    #[must_use]
    pub fn octets(&self) -> usize {
        let header = if self.src_ip.is_ipv4() { ipv4::OCTETS } else { ipv6::OCTETS };
        header + self.segment_octets()
    }

    /// The number of the transport protocol.
    #[must_use]
    pub fn protocol(&self) -> u8 {
        match self.transport {
            Transport::Tcp(_) => tcp::PROTOCOL,
            Transport::Udp(_) => udp::PROTOCOL,
            Transport::Echo(_) if self.src_ip.is_ipv4() => echo::PROTOCOL_V4,
            Transport::Echo(_) => echo::PROTOCOL_V6,
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match (self.src_ip, self.dst_ip) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => ipv4::write(self, src, dst, out),
            (src, dst) => ipv6::write(self, as_v6(src), as_v6(dst), out),
        }
        let start = out.len();
        match &self.transport {
            Transport::Tcp(tcp) => tcp.write(out),
            Transport::Udp(udp) => udp.write(self.segment_octets(), out),
            Transport::Echo(echo) => echo.write(self.src_ip.is_ipv4(), out),
        }
        let all_but_zeros = out.len() + self.payload.head().len();
        self.payload.write(out);
        self.fill_in_checksum(&mut out[start..all_but_zeros]);
    }

    /// Writes the transport's checksum into its field, which holds zero; the segment may lack its last
    /// octets as far as they are zero.
    fn fill_in_checksum(&self, segment: &mut [u8]) {
        let pseudo_header = match self.protocol() {
            echo::PROTOCOL_V4 => 0,
            protocol => checksum::pseudo_header(self.src_ip, self.dst_ip, protocol, self.segment_octets()),
        };
        let checksum = match checksum::finish(pseudo_header + checksum::sum(segment)) {
            0 if matches!(self.transport, Transport::Udp(_)) => 0xffff,
            checksum => checksum,
        };
        let at = match self.transport {
            Transport::Tcp(_) => tcp::CHECKSUM_OFFSET,
            Transport::Udp(_) => udp::CHECKSUM_OFFSET,
            Transport::Echo(_) => echo::CHECKSUM_OFFSET,
        };
        segment[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
    }

    /// Octets after the IP header.
    fn segment_octets(&self) -> usize {
        let header = match &self.transport {
            Transport::Tcp(tcp) => tcp.octets(),
            Transport::Udp(_) => udp::OCTETS,
            Transport::Echo(_) => echo::OCTETS,
        };
        header + self.payload.octets()
    }
}

/// An address as IPv6 writes it; IPv4 is mapped.
fn as_v6(address: IpAddr) -> std::net::Ipv6Addr {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}

#[cfg(test)]
mod tests;
