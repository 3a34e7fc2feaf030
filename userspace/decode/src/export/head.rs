//! The head of an export message, whatever its protocol.

use super::believed::Believed;
use super::datagram::{Datagram, Transport};
use tapline_record::EventTime;
use tapline_record::address::Address;
use tapline_record::column::Symbol;

/// The head of a message, as far as its records need it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) source: Symbol,
    pub(super) exporter: Address,
    pub(super) domain: u32,
    /// The number of the message.
    pub(super) sequence: u32,
    /// Event times that are believed, by the exporter's clock.
    pub(super) believed: Believed,
    pub(super) sent: EventTime,
    pub(super) received: EventTime,
    pub(super) uptime_ms: Option<u32>,
}

impl Head {
    /// The head of a message of a domain, with this number there, that was sent then and came from this source. Records of files may be as old as
    /// they like: they come out of archives.
    pub(super) fn new(
        datagram: &Datagram<'_>,
        (domain, sequence): (u32, u32),
        sent: EventTime,
        uptime_ms: Option<u32>,
        source: Symbol,
    ) -> Self {
        let is_file = datagram.sender.transport == Transport::File;
        Self {
            source,
            exporter: datagram.sender.address,
            domain,
            sequence,
            believed: Believed::of(sent, is_file),
            sent,
            received: datagram.received,
            uptime_ms,
        }
    }
}

/// The time in a message's header.
pub(super) fn header_time(seconds: u32, nanoseconds: u32) -> EventTime {
    EventTime::from_parts(i64::from(seconds), i64::from(nanoseconds.min(999_999_999)))
}
