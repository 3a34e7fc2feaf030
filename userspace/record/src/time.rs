//! Event time: when something happened on the network, as opposed to when it was processed; and widths of intervals.

/// Nanoseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventTime(pub i64);

impl EventTime {
    /// Before every record.
    pub const MIN: Self = Self(i64::MIN);
    /// After every record; a watermark of `MAX` closes everything.
    pub const MAX: Self = Self(i64::MAX);

    /// `seconds` and `nanoseconds` since the epoch; saturates outside of the years 1677 to 2262.
    #[must_use]
    pub const fn from_parts(seconds: i64, nanoseconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds))
    }

    /// This instant moved by `nanoseconds`, saturating.
    #[must_use]
    pub const fn plus(self, nanoseconds: i64) -> Self {
        Self(self.0.saturating_add(nanoseconds))
    }

    /// Start of the interval of `width` nanoseconds, aligned to the epoch, that holds this instant.
    ///
    /// `width` must be positive.
    #[must_use]
    pub const fn align_down(self, width: i64) -> Self {
        Self(self.0.saturating_sub(self.0.rem_euclid(width)))
    }
}

/// The greatest width of which two widths are multiples, in their unit; of zero and another, that other.
#[must_use]
pub const fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_widths_are_multiples_of_their_greatest_common_divisor() {
        for (a, b, divisor) in
            [(4, 6, 2), (6, 4, 2), (10, 60, 10), (7, 86_400, 1), (0, 5, 5), (5, 0, 5), (0, 0, 0)]
        {
            assert_eq!(greatest_common_divisor(a, b), divisor, "{a} and {b}");
        }
        assert_eq!(greatest_common_divisor(u64::MAX, u64::MAX), u64::MAX);
    }

    #[test]
    fn alignment_rounds_towards_the_past_before_the_epoch_too() {
        assert_eq!(EventTime(-1).align_down(10), EventTime(-10));
        assert_eq!(EventTime(25).align_down(10), EventTime(20));
        assert_eq!(EventTime::MIN.align_down(10), EventTime::MIN);
    }
}
