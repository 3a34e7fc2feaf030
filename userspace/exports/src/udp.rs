//! A UDP listener for export datagrams.
//!
//! Takes an address, gives the datagrams that arrive there, each with its sender, in the order of the
//! kernel's queue. What the kernel had to drop because the queue was full is counted: sent = read +
//! dropped, as long as the network loses nothing.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd as _;
use std::thread;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tapline_decode::{Datagram, Sender};
use tapline_record::EventTime;

use crate::protocol::MESSAGE_OCTETS_MAX;
use crate::{ListenError, WAIT_MS};
use tapline_socket::{Burst, MESSAGES_MAX, Message, is_passing, option};

/// A queue of so many octets takes what comes in `gather`; in a larger one, as many times as much may gather.
const GATHER_OCTETS: usize = 8 << 20;
const GATHER_TIMES_MAX: u32 = 8;

/// How to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UdpOptions {
    /// Octets of the kernel's queue to ask for, its own overhead included.
    pub receive_buffer_octets: usize,
    /// Take datagrams of equal length that came in a row from one sender as one (`UDP_GRO`), which costs
    /// a fraction. A drop of such a row counts as one.
    pub merges_segments: bool,
    /// Let other listeners bind to the same address (`SO_REUSEPORT`); the kernel gives all datagrams of
    /// one sender's address and port to the same of them.
    pub shares_port: bool,
    /// How long a read lets datagrams gather in the queue when the one before emptied it, and up to eight times
    /// as long in a large one; waking up for each of them costs more than they do.
    pub gather: Duration,
}

impl Default for UdpOptions {
    fn default() -> Self {
        Self {
            receive_buffer_octets: 64 << 20,
            merges_segments: true,
            shares_port: false,
            gather: Duration::from_millis(1),
        }
    }
}

/// What a UDP listener read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UdpCounters {
    /// Datagrams lent.
    pub datagrams: u64,
    /// Octets of their payloads.
    pub octets: u64,
    /// Datagrams of them that lost their end, being longer than any IP packet should be.
    pub cut: u64,
}

/// A bound socket, and the buffers to read from it.
pub struct UdpListener {
    socket: UdpSocket,
    receive_buffer_octets: usize,
    merges_segments: bool,
    gather: Duration,
    burst: Burst,
    counters: UdpCounters,
    drops: u64,
    /// The kernel's count at the last look, which wraps.
    drops_seen: u32,
}

impl UdpListener {
    /// Listens on `address`; port 0 takes a free one, `[::]` takes IPv4 as well.
    ///
    /// # Errors
    /// What stands in the way, with the address.
    pub fn bind(address: SocketAddr, options: &UdpOptions) -> Result<Self, ListenError> {
        Self::try_bind(address, options).map_err(|error| ListenError::new(address, error))
    }

    fn try_bind(address: SocketAddr, options: &UdpOptions) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            socket.set_only_v6(!address.ip().is_unspecified())?;
        }
        socket.set_reuse_port(options.shares_port)?;
        let receive_buffer_octets = ask_receive_buffer(&socket, options.receive_buffer_octets)?;
        socket.set_read_timeout(Some(Duration::from_millis(WAIT_MS.into())))?;
        // A kernel that cannot merge gives every datagram for itself.
        let merges_segments = options.merges_segments && option::merge_segments(socket.as_fd()).is_ok();
        socket.bind(&address.into())?;
        Ok(Self {
            drops_seen: option::drops(socket.as_fd())?,
            socket: socket.into(),
            receive_buffer_octets,
            merges_segments,
            gather: options.gather * times_to_gather(receive_buffer_octets),
            burst: Burst::new(MESSAGE_OCTETS_MAX),
            counters: UdpCounters::default(),
            drops: 0,
        })
    }

    /// Lends the datagrams that wait to `visit`; returns how many.
    ///
    /// Waits a tenth of a second at most, and gives none if nothing came. `now` is asked once, when the
    /// datagrams are there.
    ///
    /// # Errors
    /// What the operating system says, which is not about single datagrams.
    pub fn read(
        &mut self,
        now: impl FnOnce() -> EventTime,
        visit: &mut impl FnMut(&Datagram<'_>),
    ) -> io::Result<usize> {
        if (1..MESSAGES_MAX).contains(&self.burst.len()) {
            thread::sleep(self.gather);
        }
        match self.burst.receive(self.socket.as_fd()) {
            Ok(()) => {}
            Err(error) if is_passing(&error) => return Ok(0),
            Err(error) => return Err(error),
        }
        let (received, before) = (now(), self.counters.datagrams);
        for message in self.burst.messages() {
            lend(&message, received, &mut self.counters, visit);
        }
        Ok((self.counters.datagrams - before) as usize)
    }

    /// Packets that the kernel dropped since the listener was bound.
    ///
    /// Counted are packets as the kernel queues them: with merged segments, one may be several
    /// datagrams. To be asked often enough for the kernel's 32 bits not to wrap twice.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn drops(&mut self) -> io::Result<u64> {
        let seen = option::drops(self.socket.as_fd())?;
        self.drops += u64::from(seen.wrapping_sub(self.drops_seen));
        self.drops_seen = seen;
        Ok(self.drops)
    }

    /// What was read so far.
    #[must_use]
    pub const fn counters(&self) -> UdpCounters {
        self.counters
    }

    /// Octets of the kernel's queue as granted; the kernel counts its own overhead in.
    #[must_use]
    pub const fn receive_buffer_octets(&self) -> usize {
        self.receive_buffer_octets
    }

    /// Whether the kernel may hand over several datagrams as one, and counts their drop as one.
    #[must_use]
    pub const fn merges_segments(&self) -> bool {
        self.merges_segments
    }

    /// The address that is listened on, with the port that was taken.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

/// Asks for a queue of so many octets, beyond the system's limit if that is permitted; gives what was
/// granted. The kernel doubles what it is asked for, and reports the double.
fn ask_receive_buffer(socket: &Socket, octets: usize) -> io::Result<usize> {
    if option::force_receive_buffer(socket.as_fd(), octets / 2).is_err() {
        socket.set_recv_buffer_size(octets / 2)?;
    }
    socket.recv_buffer_size()
}

/// How many times as long as in a small queue datagrams may gather.
fn times_to_gather(receive_buffer_octets: usize) -> u32 {
    u32::try_from(receive_buffer_octets / GATHER_OCTETS).unwrap_or(u32::MAX).clamp(1, GATHER_TIMES_MAX)
}

/// Lends the datagrams of one message.
fn lend(
    message: &Message<'_>,
    received: EventTime,
    counters: &mut UdpCounters,
    visit: &mut impl FnMut(&Datagram<'_>),
) {
    let sender = Sender::udp(message.sender.ip(), message.sender.port());
    counters.cut += u64::from(message.is_cut);
    counters.octets += message.payload.len() as u64;
    let mut rest = message.payload;
    loop {
        let (payload, others) = rest.split_at(message.segment_octets.min(rest.len()));
        visit(&Datagram { received, sender, payload });
        counters.datagrams += 1;
        rest = others;
        if rest.is_empty() {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_queue_is_emptied_more_often() {
        let times = [212_992, 16 << 20, 40 << 20, 64 << 20, 1 << 30].map(times_to_gather);
        assert_eq!(times, [1, 2, 5, 8, 8]);
    }
}
