//! How fast to send, and for how long.
//!
//! Takes the time since the start and what was sent so far, gives what is due; reads no clock. Records catch up after
//! a pause at twice the rate and no faster, so that a pause of the sender does not become a burst; frames of a
//! capture have times of their own.

use std::str::FromStr;
use std::time::Duration;

/// Time between two batches of frames of a set rate, at the least.
const FRAMES_STEP: Duration = Duration::from_millis(1);

/// Records or frames in a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// As fast as it goes.
    Max,
    /// So many records a second.
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
            _ => Err(format!("{text} is no rate; write how many a second, such as 100000, or max")),
        }
    }
}

impl Rate {
    /// The part of one of several senders.
    pub fn share(self, number: usize, senders: usize) -> Self {
        let (number, senders) = (number as u64, senders as u64);
        match self {
            Self::Max => Self::Max,
            Self::PerSecond(rate) => Self::PerSecond(rate / senders + u64::from(number < rate % senders)),
        }
    }

    /// Frames to send now, when so many were sent by a time, and so many at the most; none when it is too early.
    pub fn due(self, elapsed: Duration, sent: u64, frames_max: u64) -> u64 {
        match self {
            Self::Max => frames_max,
            Self::PerSecond(rate) => {
                let by_now = u128::from(rate) * (elapsed + FRAMES_STEP).as_nanos() / 1_000_000_000;
                u64::try_from(by_now).unwrap_or(u64::MAX).saturating_sub(sent).min(frames_max)
            }
        }
    }
}

/// When to end; at whichever comes first.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// After so long.
    pub duration: Duration,
    /// After so many records, up to the end of a datagram.
    pub records: u64,
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
pub struct Pace {
    rate: Rate,
    limit: Limit,
    /// Records that are due at the latest step, and when that was.
    due: u64,
    at: Duration,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send so many records.
    Send(u64),
    /// Wait so long.
    Wait(Duration),
    /// All is sent.
    End,
}

impl Pace {
    /// Nothing is sent yet.
    pub fn new(rate: Rate, limit: Limit) -> Self {
        Self { rate, limit, due: 0, at: Duration::ZERO }
    }

    /// What to do at a time after the start, when so many records have been generated.
    pub fn step(&mut self, elapsed: Duration, records: u64) -> Step {
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

/// How much faster than it was captured a file is played.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    /// As fast as it goes.
    Max,
    /// So many times.
    Times(f64),
}

impl FromStr for Speed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            _ if text == "max" => Ok(Self::Max),
            Ok(times) if f64::is_finite(times) && times > 0.0 => Ok(Self::Times(times)),
            _ => {
                Err(format!("{text} is no speed; write how many times as fast, such as 1, 0.5 or 10, or max"))
            }
        }
    }
}

impl Speed {
    /// When a frame is due, that was captured so many nanoseconds after the first.
    pub fn due(self, after_ns: i64) -> Duration {
        match self {
            Self::Max => Duration::ZERO,
            Self::Times(times) => {
                Duration::try_from_secs_f64(after_ns.max(0) as f64 / 1e9 / times).unwrap_or(Duration::MAX)
            }
        }
    }
}

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

    #[test]
    fn a_rate_is_kept() {
        assert_eq!("1_000".parse(), Ok(Rate::PerSecond(1000)));
        assert_eq!("max".parse(), Ok(Rate::Max));
        assert!("0".parse::<Rate>().is_err() && "fast".parse::<Rate>().is_err());
        let rate = Rate::PerSecond(1000);
        assert_eq!(rate.due(Duration::ZERO, 0, 9000), 1);
        assert_eq!(rate.due(Duration::ZERO, 1, 9000), 0);
        assert_eq!(rate.due(Duration::from_secs(1), 1, 9000), 1000);
        assert_eq!(rate.due(Duration::from_secs(1000), 1, 9000), 9000);
        let shares = [0, 1, 2].map(|number| Rate::PerSecond(8).share(number, 3));
        assert_eq!(shares, [3, 3, 2].map(Rate::PerSecond));
        assert_eq!(Rate::Max.share(1, 3), Rate::Max);
    }

    #[test]
    fn a_speed_stretches_time() {
        assert_eq!("0.5".parse(), Ok(Speed::Times(0.5)));
        assert_eq!("max".parse(), Ok(Speed::Max));
        for wrong in ["0", "-1", "nan", "inf", "fast"] {
            assert!(wrong.parse::<Speed>().is_err(), "{wrong}");
        }
        assert_eq!(Speed::Times(2.0).due(3_000_000_000), Duration::from_millis(1500));
        assert_eq!(Speed::Times(2.0).due(-1), Duration::ZERO);
        assert_eq!(Speed::Max.due(i64::MAX), Duration::ZERO);
    }
}
