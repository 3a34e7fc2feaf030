//! A TCP listener for IPFIX (RFC 7011 §10.4).
//!
//! Takes an address, gives the messages of all peers that connect, each peer's in the order of its
//! stream, and tells when a connection ends. Peers and what is kept of each are bounded: one that sends
//! something else, or leaves a message unfinished for long, is disconnected and counted.

mod connection;

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use tapline_decode::Sender;
use tapline_record::EventTime;

use crate::{ExportEvent, ListenError, WAIT_MS};
use connection::{Connection, Fate};
use tapline_socket::Poll;
use tapline_socket::is_passing;

/// Octets that are read of one connection before it is the next one's turn.
const READ_OCTETS: usize = 256 << 10;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 128;

/// A peer that is silent for so long is asked whether it is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// How to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpOptions {
    /// Peers that may be connected at once.
    pub connections_max: usize,
    /// How long a peer may take for its first message, and for any that it has begun.
    pub message_time_max: Duration,
}

impl Default for TcpOptions {
    fn default() -> Self {
        Self { connections_max: 1024, message_time_max: Duration::from_secs(60) }
    }
}

/// What a TCP listener met. Every connection has one fate: it is open, or it counts as `closed`,
/// `foreign` or `timed_out`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpCounters {
    /// Messages lent.
    pub messages: u64,
    /// Octets of them.
    pub octets: u64,
    /// Connections accepted.
    pub connections: u64,
    /// Connections turned away, because there were as many as may be.
    pub refused: u64,
    /// Connections that the peer closed, or that broke.
    pub closed: u64,
    /// Connections closed here because something came that is no IPFIX.
    pub foreign: u64,
    /// Connections closed here because a message was not finished in time.
    pub timed_out: u64,
    /// Messages that were begun and not finished.
    pub half_messages: u64,
}

/// A bound socket, and its connections.
pub struct IpfixListener {
    listener: TcpListener,
    connections: Vec<Connection>,
    connections_max: usize,
    message_ns_max: i64,
    poll: Poll,
    buffer: Vec<u8>,
    /// Whether the last connection could not be accepted for want of means.
    is_exhausted: bool,
    counters: TcpCounters,
}

impl IpfixListener {
    /// Listens on `address`; port 0 takes a free one, `[::]` takes IPv4 as well.
    ///
    /// # Errors
    /// What stands in the way, with the address.
    pub fn bind(address: SocketAddr, options: &TcpOptions) -> Result<Self, ListenError> {
        let listener = listen(address).map_err(|error| ListenError::new(address, error))?;
        Ok(Self {
            listener,
            connections: Vec::with_capacity(options.connections_max),
            connections_max: options.connections_max,
            message_ns_max: i64::try_from(options.message_time_max.as_nanos()).unwrap_or(i64::MAX),
            poll: Poll::default(),
            buffer: vec![0; READ_OCTETS],
            is_exhausted: false,
            counters: TcpCounters::default(),
        })
    }

    /// Lends the messages that came, and the ends of connections that sent some, to `visit`; returns how
    /// many messages.
    ///
    /// Waits a tenth of a second at most, and gives none if nothing came. `now` is asked once, when
    /// something is there.
    ///
    /// # Errors
    /// What the operating system says, which is not about single connections.
    pub fn read(
        &mut self,
        now: impl FnOnce() -> EventTime,
        visit: &mut impl FnMut(&ExportEvent<'_>),
    ) -> io::Result<usize> {
        let listener_place = self.connections.len();
        match self.wait() {
            Err(error) if is_passing(&error) => return Ok(0),
            other => other?,
        }
        let (now, before) = (now(), self.counters.messages);
        self.read_connections(now, visit);
        self.is_exhausted = self.poll.is_ready(listener_place) && !self.accept_all(now);
        Ok((self.counters.messages - before) as usize)
    }

    /// What was met so far.
    #[must_use]
    pub const fn counters(&self) -> TcpCounters {
        self.counters
    }

    /// Peers that are connected.
    #[must_use]
    pub const fn connections(&self) -> usize {
        self.connections.len()
    }

    /// The address that is listened on, with the port that was taken.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl IpfixListener {
    /// Waits for the connections, and for a new one unless there are no means for it.
    fn wait(&mut self) -> io::Result<()> {
        let Self { listener, connections, poll, is_exhausted, .. } = self;
        let listener = (!*is_exhausted).then(|| listener.as_fd());
        poll.wait(connections.iter().map(Connection::as_fd).chain(listener), WAIT_MS)
    }

    /// Reads every connection that has something, and closes those that ended or are late.
    fn read_connections(&mut self, now: EventTime, visit: &mut impl FnMut(&ExportEvent<'_>)) {
        for place in (0..self.connections.len()).rev() {
            let connection = &mut self.connections[place];
            let fate = if self.poll.is_ready(place) {
                connection.read(now, &mut self.buffer, &mut self.counters, visit)
            } else {
                Fate::Open
            };
            let is_late = connection.waits_ns(now) > self.message_ns_max;
            match fate {
                Fate::Open if is_late => self.counters.timed_out += 1,
                Fate::Open => continue,
                Fate::Closed => self.counters.closed += 1,
                Fate::Foreign => self.counters.foreign += 1,
            }
            self.close(place, visit);
        }
    }

    fn close(&mut self, place: usize, visit: &mut impl FnMut(&ExportEvent<'_>)) {
        let connection = self.connections.swap_remove(place);
        self.counters.half_messages += u64::from(connection.has_half_message());
        if connection.has_sent_messages() {
            visit(&ExportEvent::Closed(connection.sender()));
        }
    }

    /// Accepts all that wait; `false` when the means for it are lacking.
    fn accept_all(&mut self, now: EventTime) -> bool {
        loop {
            match self.listener.accept() {
                Ok((stream, peer)) => self.accept(stream, peer, now),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(error) if is_of_peer(&error) => {}
                Err(_) => return false,
            }
        }
    }

    fn accept(&mut self, stream: TcpStream, peer: SocketAddr, now: EventTime) {
        if self.connections.len() >= self.connections_max || prepare(&stream).is_err() {
            self.counters.refused += 1;
            return;
        }
        self.counters.connections += 1;
        self.connections.push(Connection::new(stream, Sender::tcp(peer), now));
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Readies an accepted connection: reads do not wait, and a peer that vanished is found out.
fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nonblocking(true)?;
    socket2::SockRef::from(stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEP_ALIVE))
}

/// Whether accepting failed for this one peer, and the next may be better.
fn is_of_peer(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset)
}
