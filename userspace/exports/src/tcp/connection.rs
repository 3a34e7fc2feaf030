//! One peer of the TCP listener.
//!
//! Takes what can be read of its stream, gives messages, and says when it is over. What is kept between
//! two reads is less than one message.

use std::io::Read as _;
use std::net::TcpStream;
use std::os::fd::{AsFd as _, BorrowedFd};

use tapline_decode::{Datagram, Sender};
use tapline_record::EventTime;

use super::TcpCounters;
use crate::ExportEvent;
use crate::ipfix_stream::IpfixStream;
use tapline_socket::is_passing;

/// A connected peer.
pub(super) struct Connection {
    stream: TcpStream,
    sender: Sender,
    messages: IpfixStream,
    /// Since when a message is awaited that has to come: the first, and any that has begun.
    waits_since: Option<EventTime>,
    has_sent_messages: bool,
}

/// How a connection goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Open,
    Closed,
    /// Something came that is no IPFIX.
    Foreign,
}

impl Connection {
    pub(super) const fn new(stream: TcpStream, sender: Sender, now: EventTime) -> Self {
        let messages = IpfixStream::new();
        Self { stream, sender, messages, waits_since: Some(now), has_sent_messages: false }
    }

    /// Reads once, gives the messages that are whole then to `visit`.
    pub(super) fn read(
        &mut self,
        now: EventTime,
        buffer: &mut [u8],
        counters: &mut TcpCounters,
        visit: &mut impl FnMut(&ExportEvent<'_>),
    ) -> Fate {
        match self.stream.read(buffer) {
            Ok(0) => Fate::Closed,
            Ok(octets) => self.take(&buffer[..octets], now, counters, visit),
            Err(error) if is_passing(&error) => Fate::Open,
            Err(_) => Fate::Closed,
        }
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    pub(super) const fn sender(&self) -> Sender {
        self.sender
    }

    pub(super) const fn has_sent_messages(&self) -> bool {
        self.has_sent_messages
    }

    pub(super) fn has_half_message(&self) -> bool {
        self.messages.partial_octets() > 0
    }

    /// How long a message has been awaited.
    pub(super) fn waits_ns(&self, now: EventTime) -> i64 {
        self.waits_since.map_or(0, |since| now.0.saturating_sub(since.0))
    }

    fn take(
        &mut self,
        octets: &[u8],
        received: EventTime,
        counters: &mut TcpCounters,
        visit: &mut impl FnMut(&ExportEvent<'_>),
    ) -> Fate {
        let (sender, before) = (self.sender, counters.messages);
        let pushed = self.messages.push(octets, &mut |payload| {
            counters.messages += 1;
            counters.octets += payload.len() as u64;
            visit(&ExportEvent::Message(Datagram { received, sender, payload }));
        });
        let has_messages = counters.messages > before;
        self.has_sent_messages |= has_messages;
        if !self.has_half_message() && self.has_sent_messages {
            self.waits_since = None;
        } else if has_messages || self.waits_since.is_none() {
            self.waits_since = Some(received);
        }
        if pushed.is_ok() { Fate::Open } else { Fate::Foreign }
    }
}
