//! How fast to send, and for how long.
//!
//! Takes the time since the start and the records so far, gives the records that are due. After a pause it
//! catches up at twice the rate and no faster, so that a pause of the sender does not become a burst.

use std::str::FromStr;
use std::time::Duration;

/// Records in a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rate {
    /// As fast as it goes.
    Max,
    /// So many.
    PerSecond(u64),
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "max" {
            return Ok(Self::Max);
        }
        match text.replace('_', "").parse() {
            Ok(rate) if rate > 0 => Ok(Self::PerSecond(rate)),
            _ => Err(format!("{text} is no rate; write records per second, such as 100000, or max")),
        }
    }
}

/// When to end; at whichever comes first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    /// After so long.
    pub(crate) duration: Duration,
    /// After so many records, up to the end of a datagram.
    pub(crate) records: u64,
}

impl Limit {
    /// How many records come at a rate.
    pub(crate) fn records_at(&self, rate: u64) -> u64 {
        let by_time = u128::from(rate) * self.duration.as_nanos() / 1_000_000_000;
        self.records.min(u64::try_from(by_time).unwrap_or(u64::MAX))
    }
}

/// Says when records are due.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    rate: Rate,
    limit: Limit,
    /// Records that are due at the latest step, and when that was.
    due: u64,
    at: Duration,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Send so many records.
    Send(u64),
    /// Wait so long.
    Wait(Duration),
    /// All is sent.
    End,
}

impl Pace {
    pub(crate) fn new(rate: Rate, limit: Limit) -> Self {
        Self { rate, limit, due: 0, at: Duration::ZERO }
    }

    /// What to do at a time after the start, when so many records have been generated.
    pub(crate) fn step(&mut self, elapsed: Duration, records: u64) -> Step {
        const STEP: Duration = Duration::from_micros(500);
        if elapsed >= self.limit.duration || records >= self.limit.records {
            return Step::End;
        }
        let left = self.limit.records - records;
        let Rate::PerSecond(rate) = self.rate else { return Step::Send(left) };
        self.advance(rate, elapsed, records);
        match self.due.saturating_sub(records) {
            0 => Step::Wait(STEP),
            due => Step::Send(due.min(left)),
        }
    }

    /// Moves what is due on to the time: to all that the rate gives, as long as that is no more than twice the
    /// rate since the latest step.
    fn advance(&mut self, rate: u64, elapsed: Duration, records: u64) {
        let by_rate = |time: Duration| (u128::from(rate) * time.as_nanos()).div_ceil(1_000_000_000) as u64;
        let catch_up = records.max(self.due) + 2 * by_rate(CATCH_UP_STEP.min(elapsed - self.at).max(GRAIN));
        if elapsed >= self.at + GRAIN || self.due <= records {
            self.due = by_rate(elapsed).min(catch_up);
            self.at = elapsed;
        }
    }
}

/// What is due is worked out no more often than this.
const GRAIN: Duration = Duration::from_micros(100);
/// A longer pause counts as one of this length.
const CATCH_UP_STEP: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Limit = Limit { duration: Duration::from_secs(10), records: 1_000_000 };

    fn pace(rate: u64) -> Pace {
        Pace::new(Rate::PerSecond(rate), LIMIT)
    }

    #[test]
    fn a_rate_is_a_number_or_max() {
        assert_eq!("1_000".parse(), Ok(Rate::PerSecond(1000)));
        assert_eq!("max".parse(), Ok(Rate::Max));
        assert!("0".parse::<Rate>().is_err() && "fast".parse::<Rate>().is_err());
    }

    #[test]
    fn the_rate_is_kept_over_a_second() {
        let (mut pace, mut records) = (pace(50_000), 0);
        for millisecond in 0..=1000 {
            if let Step::Send(due) = pace.step(Duration::from_millis(millisecond), records) {
                records += due;
            }
        }
        assert!((49_900..=50_100).contains(&records), "{records}");
    }

    #[test]
    fn a_pause_is_no_burst() {
        let mut pace = pace(1_000_000);
        let Step::Send(due) = pace.step(Duration::from_secs(1), 0) else { panic!("nothing is due") };
        assert!(due <= 2000, "{due}");
    }

    #[test]
    fn it_ends_by_time_and_by_number() {
        assert_eq!(pace(1).step(LIMIT.duration, 0), Step::End);
        assert_eq!(pace(1).step(Duration::ZERO, LIMIT.records), Step::End);
        assert_eq!(Pace::new(Rate::Max, LIMIT).step(Duration::ZERO, 999_990), Step::Send(10));
    }
}
