//! Sends datagrams over UDP, from one socket for each exporter.
//!
//! Takes outboxes, hands them to the kernel: many datagrams of one length a call (UDP_SEGMENT), or one a call,
//! as routers send. Where the kernel refuses the first, it says so once and goes on with the second.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use anyhow::{Context, Result};
use quinn_udp::{Transmit, UdpSockRef, UdpSocketState};
use tapline_programs::style;
use tapline_trafficgen::exports::{Outbox, Run};

/// The sockets of all exporters.
#[derive(Debug)]
pub(crate) struct Sockets {
    target: SocketAddr,
    sockets: Vec<Socket>,
    /// Whether every datagram takes a call.
    plain: bool,
}

#[derive(Debug)]
struct Socket {
    socket: UdpSocket,
    state: UdpSocketState,
}

impl Sockets {
    /// Opens a socket for each exporter: on the loopback network each has an address of its own, else a port.
    pub(crate) fn open(target: SocketAddr, exporters: u32, plain: bool) -> Result<Self> {
        let sockets: Result<Vec<_>> =
            (0..exporters).map(|number| Socket::open(target.ip(), number)).collect();
        let sockets = sockets?;
        let offload = sockets.iter().all(|socket| socket.state.max_gso_segments() > 1);
        if !offload && !plain {
            warn("the kernel has no segmentation offload for UDP");
        }
        Ok(Self { target, sockets, plain: plain || !offload })
    }

    /// Whether every datagram takes a call.
    pub(crate) fn is_plain(&self) -> bool {
        self.plain
    }

    /// Sends all datagrams of an exporter's outbox.
    pub(crate) fn send(&mut self, exporter: usize, outbox: &Outbox) -> Result<()> {
        const DATAGRAMS_MAX: usize = 64;
        const OCTETS_MAX: usize = 65_000;
        let datagrams_max = if self.plain { 1 } else { DATAGRAMS_MAX };
        for run in outbox.runs(OCTETS_MAX, datagrams_max) {
            self.send_run(exporter, &run)
                .with_context(|| format!("nothing can be sent to {}", self.target))?;
        }
        Ok(())
    }

    fn send_run(&mut self, exporter: usize, run: &Run) -> io::Result<()> {
        let Socket { socket, state } = &self.sockets[exporter];
        if self.plain || run.datagrams == 1 {
            return run.iter().try_for_each(|datagram| socket.send_to(datagram, self.target).map(drop));
        }
        let transmit = Transmit {
            destination: self.target,
            ecn: None,
            contents: run.octets,
            segment_size: Some(run.datagram_octets),
            src_ip: None,
        };
        let Err(error) = state.try_send(UdpSockRef::from(socket), &transmit) else { return Ok(()) };
        warn(&format!("segmentation offload fails ({error})"));
        self.plain = true;
        self.send_run(exporter, run)
    }
}

impl Socket {
    fn open(target: IpAddr, number: u32) -> Result<Self> {
        let source = SocketAddr::new(source(target, number), 0);
        let open = || {
            let socket = UdpSocket::bind(source)?;
            let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
            socket.set_nonblocking(false)?;
            Ok::<_, io::Error>(Self { socket, state })
        };
        open().with_context(|| format!("no socket can be opened for exporter {number} at {source}"))
    }
}

/// The address that an exporter sends from.
fn source(target: IpAddr, number: u32) -> IpAddr {
    match target {
        IpAddr::V4(target) if target.is_loopback() => {
            Ipv4Addr::from_bits(Ipv4Addr::LOCALHOST.to_bits() + number).into()
        }
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

fn warn(what: &str) {
    eprintln!("{} {what}; every datagram takes a system call.", style::warning("warning:"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exporters_have_addresses_of_their_own_on_the_loopback_network() {
        let sources = [0, 1, 300].map(|number| source(IpAddr::V4(Ipv4Addr::LOCALHOST), number).to_string());
        assert_eq!(sources, ["127.0.0.1", "127.0.0.2", "127.0.1.45"]);
        assert_eq!(source(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 7).to_string(), "0.0.0.0");
    }
}
