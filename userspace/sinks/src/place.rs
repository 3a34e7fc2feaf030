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

/// What is made with the first address of a host and a port that lets it be made; a host may have some of IPv6 that
/// nobody answers.
pub(crate) fn reached<T>(place: &str, reach: impl Fn(SocketAddr) -> io::Result<T>) -> io::Result<T> {
    let mut outcome = Err(io::Error::new(ErrorKind::NotFound, "it has no address"));
    for address in place.to_socket_addrs()? {
        outcome = reach(address);
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

/// A socket that sends datagrams to a host and a port.
pub(crate) fn connected_udp(place: &str) -> io::Result<UdpSocket> {
    reached(place, |address| {
        let any: SocketAddr = match address {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(any)?;
        socket.connect(address)?;
        Ok(socket)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::net::TcpListener;

    #[test]
    fn the_first_address_that_answers_counts() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let place = listener.local_addr().unwrap().to_string();
        assert_eq!(reached(&place, Ok).unwrap(), listener.local_addr().unwrap());
        let tries = Cell::new(0);
        let refused = reached(&place, |address| {
            tries.set(tries.get() + 1);
            Err::<(), _>(io::Error::other(address.to_string()))
        });
        assert_eq!((refused.unwrap_err().to_string(), tries.get()), (place, 1));
    }
}
