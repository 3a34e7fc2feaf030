//! Ports for servers that are told theirs on the command line.

use std::net::{TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};

/// Below those that the kernel gives to sockets without a port of their own (32768 and up): whoever connects to such
/// a one before its server listens may be given it, and is then connected with itself.
const PORTS: std::ops::Range<u16> = 10_000..30_000;

/// How many ports were asked for.
static ASKED: AtomicU16 = AtomicU16::new(0);

/// A port of this machine that nobody listens on, by UDP or TCP, and that nobody else is given.
///
/// # Panics
///
/// Where there is none.
#[must_use]
pub fn free_port() -> u16 {
    let is_free = |port: &u16| {
        UdpSocket::bind(("127.0.0.1", *port)).is_ok() && TcpListener::bind(("127.0.0.1", *port)).is_ok()
    };
    // Processes begin at places of their own.
    let begin = std::process::id() % 200 * 100;
    let next =
        || (begin + u32::from(ASKED.fetch_add(1, Ordering::Relaxed))) % u32::from(PORTS.end - PORTS.start);
    let ports = std::iter::repeat_with(next).take(PORTS.len());
    let mut ports = ports.filter_map(|place| Some(PORTS.start + u16::try_from(place).ok()?));
    ports.find(is_free).expect("a free port")
}
