//! What was mended in rows, and what is known of them besides.

use std::ops::AddAssign;
use tapline_record::EventTime;

/// What was mended or made up on the way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExtractCounts {
    /// Rows with a start after their end, a time after their message was sent, or none of any use.
    pub times_mended: u64,
    /// Rows whose times were moved since the exporter's clock is off.
    pub rows_shifted: u64,
    /// Rows that came when their windows were closed already.
    pub rows_late: u64,
    /// How long before they came, at the most, in nanoseconds.
    pub late_ns_max: i64,
    /// Rows whose counters were scaled by 1, since nobody said the sampling rate.
    pub rates_unknown: u64,
    /// Records that tell octets or packets only as totals, which are no deltas.
    pub totals_only: u64,
    /// Records that tell octets only of frames, headers of the link layer included.
    pub frames_only: u64,
}

impl ExtractCounts {
    /// Notes rows before `closed_until`, the earliest of them then.
    pub(super) fn note_late(&mut self, rows: u64, earliest: EventTime, closed_until: EventTime) {
        if rows > 0 {
            self.rows_late += rows;
            self.late_ns_max = self.late_ns_max.max(closed_until.0.saturating_sub(earliest.0));
        }
    }
}

impl AddAssign for ExtractCounts {
    fn add_assign(&mut self, other: Self) {
        self.times_mended += other.times_mended;
        self.rows_shifted += other.rows_shifted;
        self.rows_late += other.rows_late;
        self.late_ns_max = self.late_ns_max.max(other.late_ns_max);
        self.rates_unknown += other.rates_unknown;
        self.totals_only += other.totals_only;
        self.frames_only += other.frames_only;
    }
}
