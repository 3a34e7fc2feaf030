//! What tells one flow from another, in 40 octets.
//!
//! A key says of every column not only its value but whether a frame carries it at all, so that a query on the
//! kernel's table sees the same NULLs as one that decodes frame by frame. Equal keys are equal octets: what a
//! frame does not carry is zero.
//!
//! ```text
//! word 0, 1   source address, network order, IPv4 mapped
//! word 2, 3   destination address
//! word 4      source port 16 | destination port 16 | protocol 8 | VLAN id 12 | VLAN 1 | shape 11
//! ```

/// Where the fields of word 4 begin, in bits from the lowest one.
pub mod word_4 {
    /// Source port, 16 bits; in its place ICMP's type, 8 bits.
    pub const SRC_PORT: u32 = 0;
    /// Destination port, 16 bits; in its place ICMP's code, 8 bits.
    pub const DST_PORT: u32 = 16;
    /// The IP protocol, 8 bits.
    pub const PROTOCOL: u32 = 32;
    /// VLAN id, 12 bits.
    pub const VLAN: u32 = 40;
    /// Whether there is a VLAN id.
    pub const HAS_VLAN: u32 = 52;
    /// The bits of a [`Shape`](super::Shape); the lowest 9 are TCP flags where there are some.
    pub const SHAPE: u32 = 53;
}

use self::word_4::{DST_PORT, HAS_VLAN, PROTOCOL, SHAPE, SRC_PORT, VLAN};

/// Which key columns the frame carries of its IP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Network {
    /// No IP header.
    None,
    /// All, of IPv4.
    V4,
    /// All, of IPv6.
    V6,
    /// All but the protocol, as an extension header is not whole.
    V6WithoutProtocol,
    /// An IPv4 header that is cut short, or not to be trusted, behind its version.
    V4Version,
    /// An IPv4 header that is good up to its length.
    V4Octets,
    /// An IPv4 header that is good up to its protocol.
    V4Protocol,
    /// An IPv4 header that lacks the destination.
    V4Source,
    /// An IPv6 header that is cut short behind its version.
    V6Version,
    /// An IPv6 header that is cut short behind its length.
    V6Octets,
    /// The same, with a protocol.
    V6Protocol,
    /// An IPv6 header that lacks the destination, and whose protocol is not known.
    V6Source,
    /// The same, with a protocol.
    V6SourceProtocol,
}

impl Network {
    const ALL: [Self; 13] = [
        Self::None,
        Self::V4,
        Self::V6,
        Self::V6WithoutProtocol,
        Self::V4Version,
        Self::V4Octets,
        Self::V4Protocol,
        Self::V4Source,
        Self::V6Version,
        Self::V6Octets,
        Self::V6Protocol,
        Self::V6Source,
        Self::V6SourceProtocol,
    ];

    /// 4 or 6.
    #[must_use]
    pub const fn ip_version(self) -> Option<u8> {
        match self {
            Self::None => None,
            Self::V4 | Self::V4Version | Self::V4Octets | Self::V4Protocol | Self::V4Source => Some(4),
            _ => Some(6),
        }
    }

    /// Whether the IP header's length is known.
    #[must_use]
    pub const fn has_octets(self) -> bool {
        !matches!(self, Self::None | Self::V4Version | Self::V6Version)
    }

    /// Whether the protocol is known.
    #[must_use]
    pub const fn has_protocol(self) -> bool {
        use Network::{V4, V4Protocol, V4Source, V6, V6Protocol, V6SourceProtocol};
        matches!(self, V4 | V6 | V4Protocol | V4Source | V6Protocol | V6SourceProtocol)
    }

    /// Whether the source address is there.
    #[must_use]
    pub const fn has_src_ip(self) -> bool {
        self.has_dst_ip() || matches!(self, Self::V4Source | Self::V6Source | Self::V6SourceProtocol)
    }

    /// Whether the destination address is there.
    #[must_use]
    pub const fn has_dst_ip(self) -> bool {
        matches!(self, Self::V4 | Self::V6 | Self::V6WithoutProtocol)
    }
}

/// What the frame carries of its transport header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Transport {
    /// Nothing.
    None,
    /// Both ports, and no TCP flags, or none that are asked for.
    Ports,
    /// Both ports and the TCP flags.
    Tcp,
    /// ICMP's type and code, which stand where ports would.
    Icmp,
}

/// Which columns a key has, in 11 bits: with TCP flags `1 | is IPv6 | flags`, else `transport 2 | network 4`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Of the IP header.
    pub network: Network,
    /// Of what follows it.
    pub transport: Transport,
    /// 9 bits; zero where there are none.
    pub tcp_flags: u16,
}

impl Shape {
    const TCP: u64 = 1 << 10;
    const TCP_V6: u64 = 1 << 9;
    const TCP_FLAGS: u64 = 0x1ff;
    const TRANSPORT: u32 = 4;

    /// The bits; TCP flags are only there behind an IP header that is whole.
    #[must_use]
    #[inline]
    pub const fn bits(self) -> u64 {
        let network = self.network as u64;
        match self.transport {
            Transport::None => network,
            Transport::Ports => network | 1 << Self::TRANSPORT,
            Transport::Icmp => network | 2 << Self::TRANSPORT,
            Transport::Tcp => {
                let version = if matches!(self.network, Network::V6) { Self::TCP_V6 } else { 0 };
                Self::TCP | version | (self.tcp_flags as u64 & Self::TCP_FLAGS)
            }
        }
    }

    /// What the bits say; bits that no program writes say nothing.
    #[must_use]
    pub const fn of_bits(bits: u64) -> Self {
        if bits & Self::TCP != 0 {
            let network = if bits & Self::TCP_V6 != 0 { Network::V6 } else { Network::V4 };
            return Self { network, transport: Transport::Tcp, tcp_flags: (bits & Self::TCP_FLAGS) as u16 };
        }
        let position = (bits & 0xf) as usize;
        let network = if position < Network::ALL.len() { Network::ALL[position] } else { Network::None };
        let transport = match bits >> Self::TRANSPORT {
            1 => Transport::Ports,
            2 => Transport::Icmp,
            _ => Transport::None,
        };
        Self { network, transport, tcp_flags: 0 }
    }
}

/// What tells one flow from another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct FlowKey([u64; 5]);

const _: () = assert!(size_of::<FlowKey>() == 40 && align_of::<FlowKey>() == 8);

impl FlowKey {
    /// A key of these words.
    #[must_use]
    #[inline]
    pub const fn of_words(words: [u64; 5]) -> Self {
        Self(words)
    }

    /// The words, for comparison and hashing.
    #[must_use]
    #[inline]
    pub const fn words(&self) -> &[u64; 5] {
        &self.0
    }

    /// Sets the source address, given as the two words that its octets are in memory.
    #[inline]
    pub const fn set_src_ip(&mut self, words: [u64; 2]) {
        [self.0[0], self.0[1]] = words;
    }

    /// Sets the destination address, likewise.
    #[inline]
    pub const fn set_dst_ip(&mut self, words: [u64; 2]) {
        [self.0[2], self.0[3]] = words;
    }

    /// Sets everything but the addresses. A key is built once; it must have none of this yet.
    #[inline]
    pub const fn set_rest(&mut self, ports: [u16; 2], protocol: u8, vlan: Option<u16>, shape: Shape) {
        let vlan = match vlan {
            Some(vlan) => (vlan as u64 & 0xfff) << VLAN | 1 << HAS_VLAN,
            None => 0,
        };
        self.0[4] = (ports[0] as u64) << SRC_PORT
            | (ports[1] as u64) << DST_PORT
            | (protocol as u64) << PROTOCOL
            | vlan
            | shape.bits() << SHAPE;
    }

    /// Sets the VLAN, of which a key must have none yet: an id, or `u16::MAX` for none, which is told apart without a branch,
    /// as the verifier follows each one through all that comes after it.
    #[inline]
    pub const fn set_vlan(&mut self, vlan: u16) {
        let none = (vlan.cast_signed() >> 15) as u64;
        self.0[4] |= ((vlan as u64 & 0xfff) << VLAN | 1 << HAS_VLAN) & !none;
    }

    /// The key of the same flow where TCP flags do not tell flows apart.
    #[must_use]
    #[inline]
    pub const fn without_tcp_flags(self) -> Self {
        let Self([a, b, c, d, rest]) = self;
        let bits = rest >> SHAPE;
        if bits & Shape::TCP == 0 {
            return self;
        }
        let network = if bits & Shape::TCP_V6 != 0 { Network::V6 } else { Network::V4 };
        let shape = Shape { network, transport: Transport::Ports, tcp_flags: 0 };
        Self([a, b, c, d, rest & !(u64::MAX << SHAPE) | shape.bits() << SHAPE])
    }

    /// The key of the same flow with other TCP flags, where these tell flows apart.
    #[must_use]
    #[inline]
    pub const fn with_tcp_flags(self, tcp_flags: u16) -> Self {
        if !self.has_tcp_flags() {
            return self;
        }
        let Self([a, b, c, d, rest]) = self;
        let flags = (tcp_flags as u64 & Shape::TCP_FLAGS) << SHAPE;
        Self([a, b, c, d, rest & !(Shape::TCP_FLAGS << SHAPE) | flags])
    }

    /// Which columns there are.
    #[must_use]
    pub const fn shape(&self) -> Shape {
        Shape::of_bits(self.0[4] >> SHAPE)
    }

    /// The source address, 16 octets in network order, IPv4 mapped.
    #[must_use]
    pub const fn src_ip(&self) -> Option<[u8; 16]> {
        if self.shape().network.has_src_ip() { Some(address([self.0[0], self.0[1]])) } else { None }
    }

    /// The destination address, likewise.
    #[must_use]
    pub const fn dst_ip(&self) -> Option<[u8; 16]> {
        if self.shape().network.has_dst_ip() { Some(address([self.0[2], self.0[3]])) } else { None }
    }

    /// Source and destination port.
    #[must_use]
    pub const fn ports(&self) -> Option<[u16; 2]> {
        match self.shape().transport {
            Transport::Ports | Transport::Tcp => Some(self.first_fields()),
            _ => None,
        }
    }

    /// ICMP type and code.
    #[must_use]
    pub const fn icmp(&self) -> Option<[u8; 2]> {
        let [kind, code] = self.first_fields();
        match self.shape().transport {
            Transport::Icmp => Some([kind as u8, code as u8]),
            _ => None,
        }
    }

    /// TCP flags, FIN = 1 … CWR = 128, AE = 256.
    #[must_use]
    pub const fn tcp_flags(&self) -> Option<u16> {
        let shape = self.shape();
        if matches!(shape.transport, Transport::Tcp) { Some(shape.tcp_flags) } else { None }
    }

    /// The bits of TCP flags, as a number that is always there: zero where these do not tell flows apart.
    #[must_use]
    #[inline]
    pub const fn tcp_flag_bits(&self) -> u16 {
        if self.has_tcp_flags() { (self.0[4] >> SHAPE & Shape::TCP_FLAGS) as u16 } else { 0 }
    }

    /// Whether TCP flags tell it apart.
    #[must_use]
    #[inline]
    pub const fn has_tcp_flags(&self) -> bool {
        self.0[4] >> SHAPE & Shape::TCP != 0
    }

    /// The IP protocol, after IPv6 extension headers.
    #[must_use]
    pub const fn protocol(&self) -> Option<u8> {
        if self.shape().network.has_protocol() { Some((self.0[4] >> PROTOCOL) as u8) } else { None }
    }

    /// The id of the outermost VLAN tag.
    #[must_use]
    pub const fn vlan(&self) -> Option<u16> {
        if self.0[4] >> HAS_VLAN & 1 == 1 { Some((self.0[4] >> VLAN & 0xfff) as u16) } else { None }
    }

    const fn first_fields(&self) -> [u16; 2] {
        [(self.0[4] >> SRC_PORT) as u16, (self.0[4] >> DST_PORT) as u16]
    }
}

const fn address(words: [u64; 2]) -> [u8; 16] {
    let ([a, b, c, d, e, f, g, h], [i, j, k, l, m, n, o, p]) =
        (words[0].to_ne_bytes(), words[1].to_ne_bytes());
    [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_survives_its_bits() {
        let transports = [Transport::None, Transport::Ports, Transport::Icmp];
        for (position, network) in Network::ALL.into_iter().enumerate() {
            assert_eq!(network as usize, position);
            for transport in transports {
                let shape = Shape { network, transport, tcp_flags: 0 };
                assert_eq!(Shape::of_bits(shape.bits()), shape);
                assert!(shape.bits() < 1 << 11);
            }
        }
        for network in [Network::V4, Network::V6] {
            for tcp_flags in 0..=0x1ff {
                let shape = Shape { network, transport: Transport::Tcp, tcp_flags };
                assert_eq!(Shape::of_bits(shape.bits()), shape);
                assert!(shape.bits() < 1 << 11);
            }
        }
    }

    #[test]
    fn a_key_says_what_was_set() {
        let words = |octets: [u8; 16]| {
            let (first, second) = octets.split_at(8);
            [first, second].map(|half| u64::from_ne_bytes(half.try_into().unwrap()))
        };
        let (src, dst): ([u8; 16], [u8; 16]) = (core::array::from_fn(|i| i as u8), [0xfe; 16]);
        let mut key = FlowKey::default();
        key.set_src_ip(words(src));
        key.set_dst_ip(words(dst));
        let shape = Shape { network: Network::V6, transport: Transport::Tcp, tcp_flags: 0x112 };
        key.set_rest([443, 50_000], 6, Some(4095), shape);
        assert_eq!((key.src_ip(), key.dst_ip()), (Some(src), Some(dst)));
        assert_eq!((key.ports(), key.icmp(), key.tcp_flags()), (Some([443, 50_000]), None, Some(0x112)));
        assert_eq!((key.protocol(), key.vlan()), (Some(6), Some(4095)));
        assert_eq!(key.shape().network.ip_version(), Some(6));
    }

    #[test]
    fn a_vlan_that_is_set_without_a_branch_is_the_same() {
        let shape = Shape { network: Network::V4, transport: Transport::Ports, tcp_flags: 0 };
        for (vlan, number) in [(None, u16::MAX), (Some(0), 0), (Some(4095), 4095), (Some(7), 7)] {
            let (mut expected, mut key) = (FlowKey::default(), FlowKey::default());
            expected.set_rest([1, 2], 17, vlan, shape);
            key.set_rest([1, 2], 17, None, shape);
            key.set_vlan(number);
            assert_eq!(key, expected, "{vlan:?}");
        }
    }

    #[test]
    fn a_key_without_tcp_flags_is_that_of_ports() {
        for network in [Network::V4, Network::V6] {
            let key = |transport, tcp_flags| {
                let mut key = FlowKey::default();
                key.set_rest([443, 50_000], 6, Some(7), Shape { network, transport, tcp_flags });
                key
            };
            let (tcp, ports) = (key(Transport::Tcp, 0x112), key(Transport::Ports, 0));
            assert_eq!((tcp.without_tcp_flags(), ports.without_tcp_flags()), (ports, ports));
            let icmp = key(Transport::Icmp, 0);
            assert_eq!(icmp.without_tcp_flags(), icmp);
            assert_eq!(tcp.with_tcp_flags(0x010), key(Transport::Tcp, 0x010));
            assert_eq!([tcp, ports, icmp].map(|key| key.tcp_flag_bits()), [0x112, 0, 0]);
            assert_eq!((ports.with_tcp_flags(0x010), icmp.with_tcp_flags(0x010)), (ports, icmp));
        }
    }

    #[test]
    fn a_key_of_nothing_is_all_zero() {
        let mut key = FlowKey::default();
        key.set_rest([0; 2], 0, None, Shape::of_bits(0));
        assert_eq!(key, FlowKey::default());
        assert_eq!((key.src_ip(), key.protocol(), key.vlan(), key.ports()), (None, None, None, None));
    }
}
