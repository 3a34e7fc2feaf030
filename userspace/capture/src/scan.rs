//! The times of a capture, read once beforehand.
//!
//! Takes the frames of a capture in the order in which they will be read, gives how far their times
//! reach and how much they are out of order.

use tapline_record::EventTime;

/// What the timestamps of a capture say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeScan {
    /// Frames seen.
    pub frames: u64,
    /// Earliest time; [`EventTime::MAX`] without frames.
    pub first: EventTime,
    /// Latest time; [`EventTime::MIN`] without frames.
    pub last: EventTime,
    /// Most nanoseconds that a frame lies behind the latest one before it.
    pub disorder_ns: i64,
}

impl TimeScan {
    pub(super) const EMPTY: Self =
        Self { frames: 0, first: EventTime::MAX, last: EventTime::MIN, disorder_ns: 0 };

    #[inline]
    pub(super) fn add(&mut self, ts: EventTime) {
        self.frames += 1;
        self.first = self.first.min(ts);
        self.last = self.last.max(ts);
        self.disorder_ns = self.disorder_ns.max(self.last.0.saturating_sub(ts.0));
    }
}
