//! What time it is, here and at the other end.
//!
//! A sender asks now and then, and is told when its question came and when the answer went. By the four times it knows
//! how far its clock is off, within half of what the way took (as NTP does, RFC 5905); of the last exchanges it takes
//! the one that took least.

use crate::wire::Answer;
use std::collections::VecDeque;
use std::time::{SystemTime, UNIX_EPOCH};

/// Exchanges of which the best one counts.
const EXCHANGES_MAX: usize = 8;

/// How far a sender's clock is off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClockOffset {
    /// Nanoseconds that it is ahead of its aggregator's.
    pub ahead_ns: i64,
    /// Nanoseconds by which that may be wrong.
    pub uncertainty_ns: i64,
}

/// The last exchanges.
#[derive(Clone, Debug, Default)]
pub(crate) struct Exchanges(VecDeque<ClockOffset>);

impl Exchanges {
    /// An answer came at a time by our clock.
    pub(crate) fn add(&mut self, answer: Answer, now_ns: i64) {
        let way_ns = now_ns.saturating_sub(answer.sent_ns);
        let stay_ns = answer.answered_ns.saturating_sub(answer.received_ns);
        // Of a clock that was set meanwhile nothing follows, nor of times that nobody has seen.
        if way_ns < 0 || stay_ns < 0 || stay_ns > way_ns {
            return;
        }
        let behind = answer.received_ns.saturating_sub(answer.sent_ns) / 2;
        let behind = behind.saturating_add(answer.answered_ns.saturating_sub(now_ns) / 2);
        let uncertainty_ns = (way_ns - stay_ns) / 2;
        self.0.push_back(ClockOffset { ahead_ns: behind.saturating_neg(), uncertainty_ns });
        if self.0.len() > EXCHANGES_MAX {
            self.0.pop_front();
        }
    }

    /// How far our clock is off.
    pub(crate) fn best(&self) -> Option<ClockOffset> {
        self.0.iter().min_by_key(|offset| offset.uncertainty_ns).copied()
    }
}

/// Nanoseconds since the epoch.
pub(crate) fn wall_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_is_known_within_half_of_the_way() {
        let mut exchanges = Exchanges::default();
        assert_eq!(exchanges.best(), None);
        // Our clock is 100 ahead; the way there takes 10, the answer 5, the way back 30.
        exchanges.add(Answer { sent_ns: 1100, received_ns: 1010, answered_ns: 1015 }, 1145);
        assert_eq!(exchanges.best(), Some(ClockOffset { ahead_ns: 110, uncertainty_ns: 20 }));
        exchanges.add(Answer { sent_ns: 2100, received_ns: 2002, answered_ns: 2002 }, 2104);
        assert_eq!(exchanges.best(), Some(ClockOffset { ahead_ns: 100, uncertainty_ns: 2 }));
    }

    #[test]
    fn times_that_nobody_has_seen_say_nothing() {
        let mut exchanges = Exchanges::default();
        exchanges.add(Answer { sent_ns: 100, received_ns: i64::MIN, answered_ns: i64::MAX }, 200);
        exchanges.add(Answer { sent_ns: 300, received_ns: 1, answered_ns: 1 }, 200);
        exchanges.add(Answer { sent_ns: i64::MAX, received_ns: i64::MIN, answered_ns: i64::MIN }, i64::MAX);
        let far = ClockOffset { ahead_ns: i64::MAX, uncertainty_ns: 0 };
        assert_eq!(exchanges.best(), Some(far), "it saturates");
        for _ in 0..20 {
            exchanges.add(Answer { sent_ns: 0, received_ns: 1, answered_ns: 1 }, 2);
        }
        assert_eq!(exchanges.0.len(), EXCHANGES_MAX);
        assert_eq!(exchanges.best(), Some(ClockOffset { ahead_ns: 0, uncertainty_ns: 1 }));
    }
}
