//! What is on the wire: messages, and the frames of Arrow Flight that carry them.

mod flight;
mod message;
mod octets;

pub(crate) use flight::{DO_EXCHANGE, FlightCodec, FlightData};
pub(crate) use message::{Answer, Ask, Greeting, Judged, Message, Refused, Unread, Welcome};

/// Octets of a frame: the longest greeting, the longest record, the longest assignments.
pub(crate) const FRAME_OCTETS_MAX: usize = 4 << 20;
/// Octets of what a record or a report carries: a log takes it as one message, too.
pub const PAYLOAD_OCTETS_MAX: usize = 512 << 10;
/// Octets of assignments, or of a part that an aggregator gives on, with its head: a frame has some more.
pub(crate) const BODY_OCTETS_MAX: usize = FRAME_OCTETS_MAX - (256 << 10);
