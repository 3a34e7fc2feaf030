//! How fast to send.
//!
//! Takes times since the start, says what is due or how long to wait; reads no clock.

use std::str::FromStr;
use std::time::Duration;

/// Time between two batches of a set rate, at the least.
const STEP: Duration = Duration::from_millis(1);

/// Frames in a second.
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
            _ => Err(format!("{text} is no rate; write frames per second, such as 100000, or max")),
        }
    }
}

impl Rate {
    /// The part of one of several senders.
    pub(crate) fn share(self, number: usize, senders: usize) -> Self {
        let (number, senders) = (number as u64, senders as u64);
        match self {
            Self::Max => Self::Max,
            Self::PerSecond(rate) => Self::PerSecond(rate / senders + u64::from(number < rate % senders)),
        }
    }

    /// Frames to send now, when so many were sent by a time, and so many at the most; none when it is too early.
    pub(crate) fn due(self, elapsed: Duration, sent: u64, frames_max: u64) -> u64 {
        match self {
            Self::Max => frames_max,
            Self::PerSecond(rate) => {
                let by_now = u128::from(rate) * (elapsed + STEP).as_nanos() / 1_000_000_000;
                u64::try_from(by_now).unwrap_or(u64::MAX).saturating_sub(sent).min(frames_max)
            }
        }
    }
}

/// How much faster than it was captured a file is played.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Speed {
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
    pub(crate) fn due(self, after_ns: i64) -> Duration {
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
