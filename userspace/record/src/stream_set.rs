//! Some of the streams.

use crate::StreamId;

/// Some of the streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamSet(u8);

const _: () = assert!(StreamId::COUNT <= 8, "a bit stands for each stream");

impl StreamSet {
    /// Whether a stream is one of them.
    #[must_use]
    pub const fn contains(self, stream: StreamId) -> bool {
        self.0 & (1 << stream as u8) != 0
    }

    /// As a number, of which each bit stands for the stream of its place.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Those of such a number.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }
}

impl FromIterator<StreamId> for StreamSet {
    fn from_iter<T: IntoIterator<Item = StreamId>>(streams: T) -> Self {
        Self(streams.into_iter().fold(0, |bits, stream| bits | (1 << stream as u8)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_are_in_it_that_were_put_in() {
        let some: StreamSet = [StreamId::Flows, StreamId::Ledger].into_iter().collect();
        let within =
            |set: StreamSet| StreamId::ALL.into_iter().filter(|stream| set.contains(*stream)).count();
        assert!(some.contains(StreamId::Flows) && some.contains(StreamId::Ledger));
        assert_eq!((within(some), within(StreamSet::default())), (2, 0));
        assert_eq!(StreamSet::from_bits(some.bits()), some);
    }
}
