//! What an export source hands to the decoder.

use std::net::{IpAddr, SocketAddr};
use tapline_record::EventTime;
use tapline_record::address::{Address, from_ip};

/// One export message: a UDP payload, a message of a TCP session or of an IPFIX file.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// When it arrived, by the capture or by the kernel.
    pub received: EventTime,
    /// Who sent it.
    pub sender: Sender,
    /// NetFlow, IPFIX or sFlow.
    pub payload: &'a [u8],
}

/// Where an export message came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sender {
    /// Address, IPv4 mapped.
    pub address: Address,
    /// Source port.
    pub port: u16,
    /// How it came.
    pub transport: Transport,
}

/// How export messages come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// One message a datagram; templates last until they are replaced or expire.
    Udp,
    /// A stream of IPFIX messages; templates last as long as the connection (RFC 7011 §10.4).
    Tcp,
    /// A file; its templates are the file's own (RFC 5655).
    File,
}

impl Sender {
    /// A UDP sender.
    #[must_use]
    pub const fn udp(address: IpAddr, port: u16) -> Self {
        Self { address: from_ip(address), port, transport: Transport::Udp }
    }

    /// A TCP peer.
    #[must_use]
    pub const fn tcp(peer: SocketAddr) -> Self {
        Self { address: from_ip(peer.ip()), port: peer.port(), transport: Transport::Tcp }
    }
}
