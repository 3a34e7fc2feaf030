//! Hosts with ports, as people write them, and how they are reached.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _, UdpSocket};

/// Whether a text is `HOST:PORT`.
#[must_use]
pub fn is_place(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

/// Whether a host is this machine.
pub(crate) fn is_this_machine(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(is_loopback)
}

/// Whether an address leads nowhere else.
pub(crate) const fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// The first address of a host and a port.
pub(crate) fn address(place: &str) -> io::Result<SocketAddr> {
    let none = || io::Error::new(ErrorKind::NotFound, "it has no address");
    place.to_socket_addrs()?.next().ok_or_else(none)
}

/// A socket that sends datagrams to a host and a port.
pub(crate) fn connected_udp(place: &str) -> io::Result<UdpSocket> {
    let address = address(place)?;
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any)?;
    socket.connect(address)?;
    Ok(socket)
}
