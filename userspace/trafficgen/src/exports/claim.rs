//! What times an exporter claims: the right ones, or nonsense on purpose.
//!
//! Takes when a datagram is sent, gives what it says of that. Exporters that claim nonsense do it by turns in the
//! ways that were seen in the field.

use super::dialect::Moment;

/// A way to tell the time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Claim {
    /// As it is.
    #[default]
    Right,
    /// A clock that was never set, and shows nothing.
    Zero,
    /// A clock that began in 1970 when the exporter started.
    SinceBoot,
    /// A clock that is hours ahead.
    Ahead,
    /// A clock that is some minutes behind.
    Behind,
    /// A clock that is set back and forth every other second.
    Stepping,
    /// A right clock, but flows that ended an hour ago.
    OldFlows,
}

impl Claim {
    /// The nonsense of the exporter with this number among those that claim any.
    pub(super) fn nonsense(number: u32) -> Self {
        const ALL: [Claim; 6] =
            [Claim::Zero, Claim::SinceBoot, Claim::Ahead, Claim::Behind, Claim::Stepping, Claim::OldFlows];
        ALL[number as usize % ALL.len()]
    }

    /// What is claimed of the moment `time_ns`, when the exporter has been up for `uptime_ms`.
    pub(super) const fn moment(self, time_ns: u64, uptime_ms: u32) -> Moment {
        const SECOND_NS: u64 = 1_000_000_000;
        let is_back = (time_ns / (2 * SECOND_NS)).is_multiple_of(2);
        let claimed_ns = match self {
            Self::Right | Self::OldFlows => time_ns,
            Self::Zero => 0,
            Self::SinceBoot => uptime_ms as u64 * 1_000_000,
            Self::Ahead => time_ns + 7200 * SECOND_NS,
            Self::Behind => time_ns - 500 * SECOND_NS,
            Self::Stepping => time_ns - if is_back { 3600 * SECOND_NS } else { 0 },
        };
        let flows_ago_ms = if matches!(self, Self::OldFlows) { 3_600_000 } else { 0 };
        Moment { time_ns: claimed_ns, uptime_ms, flows_ago_ms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exporters_claim_by_turns() {
        let now_s = 1_750_000_000;
        let moments = (0..6).map(|number| Claim::nonsense(number).moment(now_s * 1_000_000_000, 90_000));
        let seconds: Vec<_> = moments.map(|moment| (moment.seconds(), moment.flows_ago_ms)).collect();
        let now_s = now_s as u32;
        let expected =
            [(0, 0), (90, 0), (now_s + 7200, 0), (now_s - 500, 0), (now_s - 3600, 0), (now_s, 3_600_000)];
        assert_eq!(seconds, expected);
        assert_eq!(Claim::Stepping.moment(1_750_000_002_000_000_000, 0).seconds(), now_s + 2);
    }
}
