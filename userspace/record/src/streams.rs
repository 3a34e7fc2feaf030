//! All streams.

use crate::stream::{Stream, StreamId};
use crate::{FLOWS, INTERFACE_COUNTERS, LEDGER, PACKET_FLOWS, PACKETS, TABLE_FLOWS};

/// All streams that sources carry, in the order of their numbers.
pub static STREAMS: [&Stream; StreamId::COUNT] =
    [&PACKETS, &FLOWS, &PACKET_FLOWS, &INTERFACE_COUNTERS, &LEDGER, &TABLE_FLOWS];

impl StreamId {
    /// The stream of this number.
    #[must_use]
    pub fn stream(self) -> &'static Stream {
        STREAMS[self as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stream_is_found_by_its_number() {
        assert!(StreamId::ALL.into_iter().all(|id| id.stream().id == id));
    }
}
