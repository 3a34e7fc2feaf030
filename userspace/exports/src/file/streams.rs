//! IPFIX over TCP in a capture.
//!
//! Takes segments in the order of the capture, gives the messages of every connection in the order of its
//! stream, and the ends of connections. A connection is taken for IPFIX by its first octets. What is
//! missing for long is a gap: it is counted, and reading goes on where a segment begins with a message.
//! Connections and what waits for missing octets are bounded.

use std::collections::BTreeMap;

use tapline_decode::{Datagram, Sender, Transport};
use tapline_record::EventTime;

use super::packet::{Ends, Segment};
use super::stream::{Stream, Verdict};
use crate::ExportEvent;
use crate::protocol::{MESSAGE_OCTETS_MAX, Protocol};

/// Connections followed at once.
const STREAMS_MAX: usize = 1024;

const FIN: u16 = 0x01;
const SYN: u16 = 0x02;
const RST: u16 = 0x04;

/// What was met in streams.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StreamCounters {
    /// Segments of connections that carry IPFIX.
    pub(super) segments: u64,
    pub(super) messages: u64,
    /// Places where octets are missing.
    pub(super) gaps: u64,
    /// Octets that belong to no message that is whole.
    pub(super) lost_octets: u64,
    /// Segments that were cut by the snap length.
    pub(super) cut: u64,
}

/// The connections of a capture.
#[derive(Default)]
pub(super) struct Streams {
    streams: BTreeMap<Ends, Stream>,
    counters: StreamCounters,
}

impl Streams {
    /// Gives what a segment completes to `visit`; `false` if it has nothing to do with IPFIX.
    pub(super) fn take(
        &mut self,
        segment: &Segment<'_>,
        ts: EventTime,
        visit: &mut impl FnMut(&ExportEvent<'_>),
    ) -> bool {
        if segment.flags & SYN != 0 {
            self.close(segment.ends, visit);
            self.insert(segment.ends, Stream::new(segment.sequence.wrapping_add(1), ts), visit);
        } else if !segment.payload.is_empty() && !self.streams.contains_key(&segment.ends) {
            if !is_ipfix(segment.payload) {
                return false;
            }
            self.insert(segment.ends, Stream::new(segment.sequence, ts), visit);
        }
        let is_export = self.advance(segment, ts, visit);
        if segment.flags & RST != 0 {
            self.close(segment.ends, visit);
        }
        is_export
    }

    /// The capture is at its end: gives what waits for octets that will not come.
    pub(super) fn finish(&mut self, ts: EventTime, visit: &mut impl FnMut(&ExportEvent<'_>)) {
        let Self { streams, counters } = self;
        for (ends, stream) in streams.iter_mut() {
            let sender = sender(ends);
            stream.finish(counters, &mut |payload| {
                visit(&ExportEvent::Message(Datagram { received: ts, sender, payload }));
            });
            counters.lost_octets += stream.partial_octets() as u64;
        }
        streams.clear();
    }

    pub(super) const fn counters(&self) -> StreamCounters {
        self.counters
    }

    /// Goes on with the connection of a segment, if it is followed.
    fn advance(
        &mut self,
        segment: &Segment<'_>,
        ts: EventTime,
        visit: &mut impl FnMut(&ExportEvent<'_>),
    ) -> bool {
        let Self { streams, counters } = self;
        let Some(stream) = streams.get_mut(&segment.ends) else { return false };
        let sender = sender(&segment.ends);
        if segment.flags & FIN != 0 {
            stream.note_end(segment);
        }
        let verdict = stream.take(segment, ts, counters, &mut |payload| {
            visit(&ExportEvent::Message(Datagram { received: ts, sender, payload }));
        });
        match verdict {
            Verdict::Open => {}
            Verdict::Ended => self.close(segment.ends, visit),
            Verdict::Foreign => {
                streams.remove(&segment.ends);
                return false;
            }
        }
        !segment.payload.is_empty()
    }

    fn insert(&mut self, ends: Ends, stream: Stream, visit: &mut impl FnMut(&ExportEvent<'_>)) {
        if self.streams.len() >= STREAMS_MAX {
            let oldest = self.streams.iter().min_by_key(|(_, stream)| stream.last()).map(|(ends, _)| *ends);
            oldest.into_iter().for_each(|ends| self.close(ends, visit));
        }
        self.streams.insert(ends, stream);
    }

    /// Forgets a connection, and tells it if messages came of it.
    fn close(&mut self, ends: Ends, visit: &mut impl FnMut(&ExportEvent<'_>)) {
        let Some(mut stream) = self.streams.remove(&ends) else { return };
        let (sender, received) = (sender(&ends), stream.last());
        stream.finish(&mut self.counters, &mut |payload| {
            visit(&ExportEvent::Message(Datagram { received, sender, payload }));
        });
        self.counters.lost_octets += stream.partial_octets() as u64;
        if stream.is_ipfix() {
            visit(&ExportEvent::Closed(sender));
        }
    }
}

/// Whether a segment begins with an IPFIX message.
pub(super) fn is_ipfix(octets: &[u8]) -> bool {
    Protocol::of(octets, MESSAGE_OCTETS_MAX) == Some(Protocol::Ipfix)
}

const fn sender(ends: &Ends) -> Sender {
    Sender { address: ends.src, port: ends.src_port, transport: Transport::Tcp }
}
