//! One TCP connection that may carry IPFIX.
//!
//! Takes segments in any order, gives messages in the order of the stream. Segments that came too early
//! wait, within bounds; beyond them what is missing is given up.

use tapline_record::EventTime;

use super::packet::Segment;
use super::streams::{StreamCounters, is_ipfix};
use crate::ipfix_stream::IpfixStream;

/// Segments that wait for those before them, and their octets.
const EARLY_SEGMENTS_MAX: usize = 64;
const EARLY_OCTETS_MAX: usize = 1 << 20;

/// A connection.
pub(super) struct Stream {
    /// Sequence number of the next octet.
    next: u32,
    state: State,
    messages: IpfixStream,
    early: Vec<Piece<Vec<u8>>>,
    /// Sequence number behind the last octet, once the end was announced.
    end: Option<u32>,
    last: EventTime,
    /// Octets of `early`.
    early_octets: usize,
}

/// What is known about the position in the stream.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// No octet was seen.
    New,
    /// Messages follow each other.
    InStep,
    /// Octets are missing: a message will begin somewhere.
    Lost,
}

/// Octets of the stream.
struct Piece<Octets> {
    sequence: u32,
    octets: Octets,
    /// Octets behind them that the snap length cut off.
    missing_octets: usize,
}

/// What becomes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Open,
    /// All its octets were seen.
    Ended,
    /// It is no IPFIX.
    Foreign,
}

impl Stream {
    pub(super) fn new(next: u32, last: EventTime) -> Self {
        Self {
            next,
            state: State::New,
            messages: IpfixStream::new(),
            early: Vec::new(),
            end: None,
            last,
            early_octets: 0,
        }
    }

    /// When something was last seen of it.
    pub(super) const fn last(&self) -> EventTime {
        self.last
    }

    /// Whether a message was seen.
    pub(super) fn is_ipfix(&self) -> bool {
        self.state != State::New
    }

    pub(super) fn partial_octets(&self) -> usize {
        self.messages.partial_octets()
    }

    /// Notes that nothing follows behind this segment.
    pub(super) fn note_end(&mut self, segment: &Segment<'_>) {
        let octets = segment.payload.len() + segment.missing_octets;
        self.end = Some(segment.sequence.wrapping_add(octets as u32));
    }

    /// Gives the messages that a segment completes to `visit`.
    pub(super) fn take(
        &mut self,
        segment: &Segment<'_>,
        ts: EventTime,
        counters: &mut StreamCounters,
        visit: &mut impl FnMut(&[u8]),
    ) -> Verdict {
        self.last = self.last.max(ts);
        if !segment.payload.is_empty() {
            counters.segments += 1;
            counters.cut += u64::from(segment.missing_octets > 0);
            if distance(self.next, segment.sequence) > 0 {
                self.keep(segment);
            } else {
                let Segment { sequence, payload: octets, missing_octets, .. } = *segment;
                self.go_on(&Piece { sequence, octets, missing_octets }, counters, visit);
            }
            self.take_early(counters, visit);
            while self.early.len() > EARLY_SEGMENTS_MAX || self.early_octets > EARLY_OCTETS_MAX {
                self.skip(counters);
                self.take_early(counters, visit);
            }
        }
        self.verdict(segment, counters)
    }

    /// Gives what waits for octets that will not come.
    pub(super) fn finish(&mut self, counters: &mut StreamCounters, visit: &mut impl FnMut(&[u8])) {
        while !self.early.is_empty() {
            self.skip(counters);
            self.take_early(counters, visit);
        }
    }

    fn verdict(&self, segment: &Segment<'_>, counters: &mut StreamCounters) -> Verdict {
        let is_foreign = self.state == State::New && self.early.is_empty() && !segment.payload.is_empty();
        if is_foreign {
            counters.segments -= 1;
            return Verdict::Foreign;
        }
        if self.end == Some(self.next) { Verdict::Ended } else { Verdict::Open }
    }

    /// Keeps a segment for later.
    fn keep(&mut self, segment: &Segment<'_>) {
        let Segment { sequence, payload, missing_octets, .. } = *segment;
        self.early_octets += payload.len();
        self.early.push(Piece { sequence, octets: payload.to_vec(), missing_octets });
    }

    /// Goes on with those that came too early, as far as their time has come.
    fn take_early(&mut self, counters: &mut StreamCounters, visit: &mut impl FnMut(&[u8])) {
        while let Some(index) = self.early.iter().position(|early| distance(self.next, early.sequence) <= 0) {
            let early = self.early.swap_remove(index);
            self.early_octets -= early.octets.len();
            self.go_on(&early, counters, visit);
        }
    }

    /// Gives up the octets in front of the first that wait.
    fn skip(&mut self, counters: &mut StreamCounters) {
        let sequences = self.early.iter().map(|early| early.sequence);
        if let Some(first) = sequences.min_by_key(|sequence| distance(self.next, *sequence)) {
            counters.gaps += 1;
            self.lose(first, counters);
        }
    }

    /// The next octet will be that of this sequence number; what is before it is missing.
    fn lose(&mut self, next: u32, counters: &mut StreamCounters) {
        self.next = next;
        self.state = State::Lost;
        counters.lost_octets += self.messages.reset() as u64;
    }

    /// Goes on with a piece whose time has come; some of its octets may have come before.
    fn go_on(
        &mut self,
        piece: &Piece<impl AsRef<[u8]>>,
        counters: &mut StreamCounters,
        visit: &mut impl FnMut(&[u8]),
    ) {
        let known_octets = distance(piece.sequence, self.next) as usize;
        let octets = piece.octets.as_ref().get(known_octets..).filter(|octets| !octets.is_empty());
        let Some(octets) = octets else { return };
        self.next = self.next.wrapping_add(octets.len() as u32);
        self.push(octets, counters, visit);
        if piece.missing_octets > 0 {
            counters.gaps += 1;
            self.lose(self.next.wrapping_add(piece.missing_octets as u32), counters);
        }
    }

    /// The next octets of the stream.
    fn push(&mut self, octets: &[u8], counters: &mut StreamCounters, visit: &mut impl FnMut(&[u8])) {
        if self.state != State::InStep {
            if !is_ipfix(octets) {
                let is_lost = self.state == State::Lost;
                counters.lost_octets += if is_lost { octets.len() as u64 } else { 0 };
                return;
            }
            self.state = State::InStep;
        }
        let mut visit = |message: &[u8]| {
            counters.messages += 1;
            visit(message);
        };
        if self.messages.push(octets, &mut visit).is_err() {
            self.state = State::Lost;
            counters.gaps += 1;
            counters.lost_octets += self.messages.reset() as u64;
        }
    }
}

/// How far `to` lies behind `from`; negative in front of it. Sequence numbers wrap.
const fn distance(from: u32, to: u32) -> i32 {
    to.wrapping_sub(from).cast_signed()
}
