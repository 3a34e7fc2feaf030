//! Which messages belong together.

use super::datagram::Transport;
use std::fmt;
use std::net::IpAddr;
use tapline_record::address::{Address, from_ip, to_ip};

/// Whose messages have one account. An agent of sFlow is known by what its datagrams say, whichever way they come;
/// it has no port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct DomainKey {
    pub(super) address: Address,
    pub(super) port: u16,
    pub(super) transport: Transport,
    pub(super) version: u8,
    pub(super) domain: u32,
}

impl DomainKey {
    /// Whether both are of one exporter.
    pub(super) fn is_of_exporter_of(&self, other: &Self) -> bool {
        *self == Self { domain: self.domain, ..*other }
    }

    /// The key that these words are; `None` if they are none.
    pub(super) fn of_words<'a>(words: &mut impl Iterator<Item = &'a str>) -> Option<Self> {
        Some(Self {
            address: from_ip(words.next()?.parse::<IpAddr>().ok()?),
            port: words.next()?.parse().ok()?,
            transport: transport_of(words.next()?)?,
            version: words.next()?.parse().ok()?,
            domain: words.next()?.parse().ok()?,
        })
    }

    /// The key of an exporter and domain whatever their port.
    pub(super) const fn without_port(self) -> Self {
        Self { port: 0, ..self }
    }
}

impl fmt::Display for DomainKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, port, transport, version, domain } = *self;
        write!(f, "{} {port} {} {version} {domain}", to_ip(address), name_of(transport))
    }
}

const fn name_of(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "udp",
        Transport::Tcp => "tcp",
        Transport::File => "file",
    }
}

fn transport_of(name: &str) -> Option<Transport> {
    [Transport::Udp, Transport::Tcp, Transport::File]
        .into_iter()
        .find(|&transport| name_of(transport) == name)
}
