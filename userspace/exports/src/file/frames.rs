//! Export messages in captured frames.
//!
//! Takes frames, gives the UDP payloads that hold export messages, of datagrams in pieces too, and the
//! messages of TCP connections. Every frame has one fate: `frames = datagrams + fragments + segments +
//! other`.

use tapline_decode::{Datagram, Frame, Sender, Transport};
use tapline_record::{EventTime, PacketRow};

use super::ExportCounters;
use super::fragments::FragmentTable;
use super::packet::{Carried, Ends, Segment, UDP_HEADER_OCTETS, UdpDatagram, carried};
use super::streams::Streams;
use crate::ExportEvent;
use crate::protocol::Protocol;

/// Finds export messages in frames.
pub(super) struct FrameReader {
    /// Destination ports that hold exports; none: whatever looks like one.
    ports: Vec<u16>,
    row: PacketRow,
    fragments: FragmentTable,
    streams: Streams,
    counters: ExportCounters,
    last: EventTime,
}

impl FrameReader {
    pub(super) fn new(ports: &[u16]) -> Self {
        Self {
            ports: ports.to_vec(),
            row: PacketRow::default(),
            fragments: FragmentTable::default(),
            streams: Streams::default(),
            counters: ExportCounters::default(),
            last: EventTime::MIN,
        }
    }

    /// One of the same ports that has met nothing yet.
    pub(super) fn again(&self) -> Self {
        Self::new(&self.ports)
    }

    /// Gives what `frame` holds or completes to `visit`.
    pub(super) fn take(&mut self, frame: &Frame<'_>, visit: &mut impl FnMut(&ExportEvent<'_>)) {
        self.counters.frames += 1;
        self.last = self.last.max(frame.ts);
        match carried(frame, &mut self.row) {
            None => self.counters.other += 1,
            Some(Carried::Datagram(datagram)) => self.take_datagram(&datagram, frame.ts, visit),
            Some(Carried::Segment(segment)) => self.take_segment(&segment, frame.ts, visit),
            Some(Carried::Fragment(fragment)) => {
                self.counters.fragments += 1;
                let Self { fragments, ports, counters, .. } = self;
                fragments.add(&fragment, frame.ts, |octets| {
                    let datagram = whole(fragment.key.src, fragment.key.dst, octets);
                    if datagram.is_some_and(|datagram| offer(ports, &datagram, frame.ts, visit)) {
                        counters.messages += 1;
                    }
                });
            }
        }
    }

    /// No frame follows: gives what waited for more.
    pub(super) fn finish(&mut self, visit: &mut impl FnMut(&ExportEvent<'_>)) {
        self.streams.finish(self.last, visit);
    }

    /// What was met so far.
    pub(super) fn counters(&self) -> ExportCounters {
        let streams = self.streams.counters();
        ExportCounters {
            messages: self.counters.messages + streams.messages,
            segments: streams.segments,
            fragments_lost: self.fragments.lost(),
            cut: self.counters.cut + streams.cut,
            stream_gaps: streams.gaps,
            stream_lost_octets: streams.lost_octets,
            ..self.counters
        }
    }

    fn take_datagram(
        &mut self,
        datagram: &UdpDatagram<'_>,
        ts: EventTime,
        visit: &mut impl FnMut(&ExportEvent<'_>),
    ) {
        if offer(&self.ports, datagram, ts, visit) {
            self.counters.datagrams += 1;
            self.counters.messages += 1;
            self.counters.cut += u64::from(datagram.sent_octets > datagram.payload.len());
        } else {
            self.counters.other += 1;
        }
    }

    fn take_segment(
        &mut self,
        segment: &Segment<'_>,
        ts: EventTime,
        visit: &mut impl FnMut(&ExportEvent<'_>),
    ) {
        let is_wanted = self.ports.is_empty() || self.ports.contains(&segment.ends.dst_port);
        if !is_wanted || !self.streams.take(segment, ts, visit) {
            self.counters.other += 1;
        }
    }
}

/// Gives a datagram to `visit` if it is one that is wanted.
fn offer(
    ports: &[u16],
    datagram: &UdpDatagram<'_>,
    received: EventTime,
    visit: &mut impl FnMut(&ExportEvent<'_>),
) -> bool {
    let UdpDatagram { ends, payload, sent_octets } = *datagram;
    let is_wanted = if ports.is_empty() {
        Protocol::of(payload, sent_octets).is_some()
    } else {
        ports.contains(&ends.dst_port)
    };
    if is_wanted {
        let sender = Sender { address: ends.src, port: ends.src_port, transport: Transport::Udp };
        visit(&ExportEvent::Message(Datagram { received, sender, payload }));
    }
    is_wanted
}

/// A datagram, its header included, that was put together.
fn whole(src: [u8; 16], dst: [u8; 16], octets: &[u8]) -> Option<UdpDatagram<'_>> {
    let (&[a, b, c, d, e, f, _, _], data) = octets.split_first_chunk::<UDP_HEADER_OCTETS>()?;
    let claim = usize::from(u16::from_be_bytes([e, f])).saturating_sub(UDP_HEADER_OCTETS);
    let payload = data.get(..claim).unwrap_or(data);
    let (src_port, dst_port) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    Some(UdpDatagram { ends: Ends { src, dst, src_port, dst_port }, payload, sent_octets: payload.len() })
}
