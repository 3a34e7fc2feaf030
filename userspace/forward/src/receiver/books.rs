//! What an aggregator knows of each sensor besides records, for whoever looks after it.

use super::status::SensorStatus;
use crate::clock::{ClockOffset, wall_ns};
use crate::counted::Octets;
use crate::wire::Greeting;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use tapline_delivery::{HalfId, Head, Kind, SensorName};

/// Sensors by name.
pub(crate) type Books = BTreeMap<SensorName, Book>;

/// What is known of a sensor.
#[derive(Debug, Default)]
pub(crate) struct Book {
    address: Option<SocketAddr>,
    connected_since_ns: Option<i64>,
    version: String,
    states: String,
    report: Vec<u8>,
    clock: Option<ClockOffset>,
    /// How far it says to have come with each half.
    reached: BTreeMap<HalfId, i64>,
    taken: u64,
    seen: u64,
    lost: u64,
    payload_octets: u64,
    /// Of its link, and of those before.
    octets: Arc<Octets>,
    octets_before: (u64, u64),
    /// How often it said what no sensor says, by what it was.
    garbage: BTreeMap<&'static str, u64>,
}

impl Book {
    /// It greeted.
    pub(crate) fn greet(&mut self, greeting: Greeting, address: SocketAddr, octets: Arc<Octets>) {
        let Greeting { version, states, report, .. } = greeting;
        (self.version, self.states) = (version, states);
        self.report(&report);
        (self.address, self.connected_since_ns, self.clock) = (Some(address), Some(wall_ns()), None);
        let (received, sent) = self.octets_before;
        self.octets_before = (received + self.octets.received(), sent + self.octets.sent());
        self.octets = octets;
    }

    /// Its link ended.
    pub(crate) fn leave(&mut self, garbage: Option<&'static str>) {
        self.connected_since_ns = None;
        if let Some(garbage) = garbage {
            *self.garbage.entry(garbage).or_default() += 1;
        }
    }

    /// It says something else of itself.
    pub(crate) fn report(&mut self, octets: &[u8]) {
        // A copy, since what came holds on to the frame that it came in.
        self.report = octets.to_vec();
    }

    pub(crate) fn clock(&mut self, clock: Option<ClockOffset>) {
        self.clock = clock;
    }

    /// A record of it came before.
    pub(crate) const fn see(&mut self) {
        self.seen += 1;
    }

    /// A record of it was taken.
    pub(crate) fn take(&mut self, head: &Head, octets: usize) {
        self.taken += 1;
        self.payload_octets += octets as u64;
        match &head.kind {
            Kind::Part(part) => {
                let reached = self.reached.entry(part.half).or_insert(i64::MIN);
                *reached = part.watermark.max(*reached);
            }
            Kind::Gone(gaps) => {
                // It may say any number.
                self.lost = gaps.iter().fold(self.lost, |lost, gap| lost.saturating_add(gap.records));
            }
        }
    }

    /// A half is gone.
    pub(crate) fn forget(&mut self, half: HalfId) {
        self.reached.remove(&half);
    }

    /// How it is; of halves only those that are there.
    pub(crate) fn status(
        &self,
        name: &SensorName,
        halves: &BTreeSet<HalfId>,
        counts: &BTreeMap<&'static str, u64>,
    ) -> SensorStatus {
        let of_halves =
            self.reached.iter().filter(|(half, reached)| halves.contains(half) && **reached > i64::MIN);
        let reached = of_halves.map(|(_, reached)| *reached).min();
        let mut refused: BTreeMap<String, u64> = BTreeMap::new();
        for (name, count) in counts.iter().chain(&self.garbage) {
            *refused.entry((*name).to_owned()).or_default() += count;
        }
        let (received, sent) = self.octets_before;
        SensorStatus {
            name: name.as_str().to_owned(),
            address: self.address,
            connected_since_ns: self.connected_since_ns,
            version: self.version.clone(),
            states: self.states.clone(),
            clock: self.clock,
            lag_ns: reached.map(|reached| wall_ns().saturating_sub(reached)),
            taken: self.taken,
            seen: self.seen,
            lost: self.lost,
            payload_octets: self.payload_octets,
            refused,
            octets_received: received + self.octets.received(),
            octets_sent: sent + self.octets.sent(),
            report: self.report.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_delivery::{Fingerprint, Incarnation, PartHead, Position, Span, Told};

    #[test]
    fn of_a_half_that_is_gone_nothing_is_kept() {
        let (mut book, half) = (Book::default(), HalfId(3));
        let part = PartHead {
            half,
            fingerprint: Fingerprint(1),
            pane: Span { start: 0, end: 10 },
            watermark: 10,
            records: 1,
            told: Told::default(),
            behind: vec![],
        };
        let position = Position { incarnation: Incarnation(1), number: 1 };
        let head = Head { position, after: Position::START, ends_cut: true, kind: Kind::Part(part) };
        book.take(&head, 5);
        assert_eq!(book.reached, BTreeMap::from([(half, 10)]));
        book.forget(half);
        assert_eq!((book.reached.len(), book.taken, book.payload_octets), (0, 1, 5));
    }
}
