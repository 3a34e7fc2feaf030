//! Sends numbered datagrams over loopback, each for itself or many with one call.

use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd as _;

use tapline_socket::option;

/// A socket with a port of its own, connected to `to`.
pub(crate) fn connected(to: SocketAddr) -> UdpSocket {
    let any = if to.is_ipv6() { "[::1]:0" } else { "127.0.0.1:0" };
    let socket = UdpSocket::bind(any).unwrap();
    socket.connect(to).unwrap();
    socket
}

/// The datagram with this number: the number, then octets that follow from it.
pub(crate) fn numbered(number: u32, octets: usize) -> Vec<u8> {
    let mut payload = vec![number as u8; octets];
    payload[..4].copy_from_slice(&number.to_be_bytes());
    payload
}

/// The number of a datagram, which must be unharmed.
pub(crate) fn number(payload: &[u8]) -> u32 {
    let number = u32::from_be_bytes(*payload.first_chunk().unwrap());
    assert!(payload[4..].iter().all(|octet| *octet == number as u8), "datagram {number} is unharmed");
    number
}

/// Lets the kernel cut what is sent into datagrams of `octets` octets.
pub(crate) fn cut_into(socket: &UdpSocket, octets: usize) {
    option::set(socket.as_fd(), libc::SOL_UDP, libc::UDP_SEGMENT, &(octets as libc::c_int)).unwrap();
}
