//! How far the streams of a source have come.
//!
//! A watermark is a promise about one stream: no record of it that is still to come is older. A stream that a source
//! does not carry, or that has ended, is at the end of time, so that the least of several watermarks holds for all.

use crate::{EventTime, Stream, StreamId, StreamSet};

/// The watermark of each stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watermarks([EventTime; StreamId::COUNT]);

impl Watermarks {
    /// Nothing is promised yet.
    pub const BEGINNING: Self = Self([EventTime::MIN; StreamId::COUNT]);
    /// Nothing more will come.
    pub const END: Self = Self([EventTime::MAX; StreamId::COUNT]);

    /// The same of a source that carries these streams from now on, and no others: of those that are new to it nothing
    /// is promised yet.
    #[must_use]
    pub fn carrying(self, streams: &[&Stream]) -> Self {
        let mut watermarks = Self::END;
        for stream in streams {
            let before = self.of(stream.id);
            let is_new = before == EventTime::MAX;
            watermarks.set(stream.id, if is_new { EventTime::MIN } else { before });
        }
        watermarks
    }

    /// That of `stream`.
    #[must_use]
    pub const fn of(&self, stream: StreamId) -> EventTime {
        self.0[stream as usize]
    }

    /// Sets that of `stream`.
    pub const fn set(&mut self, stream: StreamId, time: EventTime) {
        self.0[stream as usize] = time;
    }

    /// What holds for all of `streams`.
    #[must_use]
    pub fn least_of(&self, streams: impl IntoIterator<Item = StreamId>) -> EventTime {
        streams.into_iter().map(|stream| self.of(stream)).min().unwrap_or(EventTime::MAX)
    }

    /// What holds for both, stream by stream.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(std::array::from_fn(|stream| self.0[stream].min(other.0[stream])))
    }

    /// The same, but those of `other` for the streams that are at their end.
    #[must_use]
    pub fn or_where_at_end(self, other: &Self) -> Self {
        let or =
            |stream: usize| if self.0[stream] == EventTime::MAX { other.0[stream] } else { self.0[stream] };
        Self(std::array::from_fn(or))
    }

    /// The same, so many nanoseconds further in each stream.
    #[must_use]
    pub fn ahead_by(self, nanoseconds: &[i64; StreamId::COUNT]) -> Self {
        Self(std::array::from_fn(|stream| self.0[stream].plus(nanoseconds[stream])))
    }

    /// Whether some stream has come so many nanoseconds further than `before`.
    #[must_use]
    pub fn have_moved(&self, before: &Self, by_ns: i64) -> bool {
        self.0.iter().zip(&before.0).any(|(now, before)| now.0.saturating_sub(before.0) >= by_ns)
    }
}

/// How far streams have come: what is promised of them, and what has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// No record that is still to come is older, but those that are late.
    pub watermarks: Watermarks,
    /// What came until now reaches so far. Records that are still to come may be older, but most are not.
    pub heads: Watermarks,
    /// Streams of which nothing is to come, since no source is to carry them.
    pub silent: StreamSet,
}

impl Reach {
    /// Nothing has come yet.
    pub const BEGINNING: Self = Self::at(Watermarks::BEGINNING, Watermarks::BEGINNING);
    /// All has come.
    pub const END: Self = Self::at(Watermarks::END, Watermarks::END);

    /// So much is promised, and so much has arrived; no stream is silent.
    #[must_use]
    pub const fn at(watermarks: Watermarks, heads: Watermarks) -> Self {
        Self { watermarks, heads, silent: StreamSet::from_bits(0) }
    }

    /// What is promised of all of these streams, and what has arrived of them. One that is silent holds up nobody who reads
    /// another one, too.
    #[must_use]
    pub fn least_of(&self, streams: impl Iterator<Item = StreamId> + Clone) -> (EventTime, EventTime) {
        let are_silent = streams.clone().all(|stream| self.silent.contains(stream));
        let awaited = streams.filter(|stream| are_silent || !self.silent.contains(*stream));
        (self.watermarks.least_of(awaited.clone()), self.heads.least_of(awaited))
    }

    /// What holds for both, stream by stream.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let (watermarks, heads) = (self.watermarks.and(other.watermarks), self.heads.and(other.heads));
        Self { watermarks, heads, ..self }
    }

    /// The same, but `other` for the streams that are at their end.
    #[must_use]
    pub fn or_where_at_end(self, other: &Self) -> Self {
        Self {
            watermarks: self.watermarks.or_where_at_end(&other.watermarks),
            heads: self.heads.or_where_at_end(&other.heads),
            ..self
        }
    }

    /// Whether some stream has come so many nanoseconds further than `before`.
    #[must_use]
    pub fn has_moved(&self, before: &Self, by_ns: i64) -> bool {
        self.watermarks.have_moved(&before.watermarks, by_ns) || self.heads.have_moved(&before.heads, by_ns)
    }
}

impl From<Watermarks> for Reach {
    /// Where nothing is late, what has arrived is what is promised.
    fn from(watermarks: Watermarks) -> Self {
        Self::at(watermarks, watermarks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FLOWS, PACKETS};

    #[test]
    fn streams_go_their_own_ways() {
        let mut packets = Watermarks::END;
        packets.set(StreamId::Packets, EventTime(70));
        packets.set(StreamId::Flows, EventTime(10));
        assert_eq!(packets.least_of([StreamId::Packets]), EventTime(70));
        assert_eq!(packets.least_of([StreamId::Packets, StreamId::Flows]), EventTime(10));
        assert_eq!(packets.least_of([StreamId::Ledger]), EventTime::MAX, "a stream that is not carried");
        assert_eq!(packets.and(Watermarks::END), packets);
        assert_eq!(packets.and(Watermarks::BEGINNING), Watermarks::BEGINNING);
    }

    #[test]
    fn a_stream_at_its_end_may_stay_where_it_was() {
        let (mut before, mut now) = (Watermarks::BEGINNING, Watermarks::END);
        before.set(StreamId::Packets, EventTime(70));
        before.set(StreamId::Flows, EventTime(10));
        now.set(StreamId::Flows, EventTime(5));
        let or = now.or_where_at_end(&before);
        let of = |stream| or.of(stream);
        let expected = (EventTime(70), EventTime(5), EventTime::MIN);
        assert_eq!((of(StreamId::Packets), of(StreamId::Flows), of(StreamId::Ledger)), expected);
    }

    #[test]
    fn a_stream_that_is_not_carried_holds_up_nobody() {
        let mut carried = Watermarks::BEGINNING.carrying(&[&PACKETS]);
        assert_eq!(carried.of(StreamId::Packets), EventTime::MIN);
        assert_eq!(carried.of(StreamId::Flows), EventTime::MAX);
        carried.set(StreamId::Packets, EventTime(7));
        let carried = carried.carrying(&[&PACKETS, &FLOWS]);
        assert_eq!(carried.of(StreamId::Packets), EventTime(7));
        assert_eq!(carried.of(StreamId::Flows), EventTime::MIN, "it is new");
    }

    #[test]
    fn a_silent_stream_is_waited_for_by_those_only_who_read_no_other_one() {
        let mut watermarks = Watermarks::BEGINNING;
        watermarks.set(StreamId::Packets, EventTime(70));
        let heard = Reach::from(watermarks);
        let silent = Reach { silent: [StreamId::Flows, StreamId::Ledger].into_iter().collect(), ..heard };
        let least = |reach: &Reach, streams: &[StreamId]| reach.least_of(streams.iter().copied()).0;
        let both = [StreamId::Packets, StreamId::Flows];
        assert_eq!((least(&heard, &both), least(&silent, &both)), (EventTime::MIN, EventTime(70)));
        assert_eq!(least(&silent, &[StreamId::Flows, StreamId::Ledger]), EventTime::MIN, "time stands");
        assert_eq!(least(&silent, &[]), EventTime::MAX);
    }

    #[test]
    fn what_stands_still_has_not_moved() {
        let mut later = Watermarks::END;
        assert!(later.have_moved(&Watermarks::BEGINNING, 50));
        assert!(!later.have_moved(&Watermarks::END, 50));
        later.set(StreamId::Flows, EventTime(60));
        let before = later;
        later.set(StreamId::Flows, EventTime(109));
        assert!(!later.have_moved(&before, 50));
        later.set(StreamId::Flows, EventTime(110));
        assert!(later.have_moved(&before, 50));
    }
}
