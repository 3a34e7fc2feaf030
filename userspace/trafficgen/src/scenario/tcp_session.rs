//! One TCP connection, from its handshake to its end.
//!
//! Takes what either side says, in turn, sends the segments and the acknowledgements: every second segment of
//! a burst is acknowledged. The clock moves with what is sent; it is the caller's to move it further.

use super::MICROSECOND_NS;
use super::traffic::{Path, Traffic};
use crate::frame::{ACK, FIN, PSH, RST, SYN, Tcp, Transport};
use crate::payload::Payload;

const SEGMENT_OCTETS: usize = 1440;

/// The side that speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// The side that opened the connection.
    Client,
    /// The other one.
    Server,
}

/// A connection and its clock.
#[derive(Debug)]
pub(super) struct TcpSession {
    pub(super) path: Path,
    pub(super) client_port: u16,
    pub(super) server_port: u16,
    /// The time from a packet to the answer of the other side.
    pub(super) round_trip_ns: u64,
    /// The time between two segments of a burst.
    pub(super) gap_ns: u64,
    /// Now, since the scenario's start.
    pub(super) clock_ns: u64,
    /// The next octet that the client sends.
    pub(super) client_seq: u32,
    /// The next octet that the server sends.
    pub(super) server_seq: u32,
}

impl TcpSession {
    /// SYN, SYN and ACK, ACK.
    pub(super) fn open(&mut self, traffic: &mut Traffic) {
        self.segment(Side::Client, SYN, Payload::default(), traffic);
        self.clock_ns += self.round_trip_ns;
        self.segment(Side::Server, SYN | ACK, Payload::default(), traffic);
        self.clock_ns += 100 * MICROSECOND_NS;
        self.segment(Side::Client, ACK, Payload::default(), traffic);
    }

    /// One side says something, in as many segments as it takes; the other side acknowledges it.
    pub(super) fn say(&mut self, side: Side, message: Payload, traffic: &mut Traffic) {
        let mut missing = message.octets();
        for (number, piece) in message.pieces(SEGMENT_OCTETS).enumerate() {
            missing -= piece.octets();
            let flags = if missing == 0 { ACK | PSH } else { ACK };
            self.segment(side, flags, piece, traffic);
            if number % 2 == 1 || missing == 0 {
                self.clock_ns += self.gap_ns / 2;
                self.segment(side.other(), ACK, Payload::default(), traffic);
            }
            self.clock_ns += self.gap_ns;
        }
    }

    /// The side that spoke last is answered after a round trip.
    pub(super) fn wait_for_answer(&mut self) {
        self.clock_ns += self.round_trip_ns;
    }

    /// Both sides finish.
    pub(super) fn close(&mut self, traffic: &mut Traffic) {
        self.segment(Side::Client, FIN | ACK, Payload::default(), traffic);
        self.clock_ns += self.round_trip_ns;
        self.segment(Side::Server, FIN | ACK, Payload::default(), traffic);
        self.clock_ns += 100 * MICROSECOND_NS;
        self.segment(Side::Client, ACK, Payload::default(), traffic);
    }

    /// The client gives up.
    pub(super) fn reset(&mut self, traffic: &mut Traffic) {
        self.segment(Side::Client, RST | ACK, Payload::default(), traffic);
    }

    fn segment(&mut self, side: Side, flags: u8, payload: Payload, traffic: &mut Traffic) {
        let consumed = payload.octets() as u32 + u32::from(flags & (SYN | FIN) != 0);
        let (path, tcp) = match side {
            Side::Client => (self.path, self.header(flags)),
            Side::Server => (self.path.back(), swapped(self.header(flags))),
        };
        let tcp = Tcp { ack: if flags & ACK == 0 { 0 } else { tcp.ack }, ..tcp };
        traffic.send(self.clock_ns, path, Transport::Tcp(tcp), payload);
        let next = match side {
            Side::Client => &mut self.client_seq,
            Side::Server => &mut self.server_seq,
        };
        *next = next.wrapping_add(consumed);
    }

    /// The client's header.
    fn header(&self, flags: u8) -> Tcp {
        Tcp {
            src_port: self.client_port,
            dst_port: self.server_port,
            seq: self.client_seq,
            ack: self.server_seq,
            flags,
        }
    }
}

impl Side {
    fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

fn swapped(tcp: Tcp) -> Tcp {
    Tcp { src_port: tcp.dst_port, dst_port: tcp.src_port, seq: tcp.ack, ack: tcp.seq, flags: tcp.flags }
}
