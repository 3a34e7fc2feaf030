//! The programs' clock and the calendar, looked at from time to time.
//!
//! Takes times on the programs' clock, gives where the calendar stands then.

use crate::kernel::{Clock, monotonic_ns};

/// The calendar was set when it stands so far from where it stood.
const CALENDAR_STEP_NS: u64 = 1_000;
/// Time between two looks at the calendar.
const CALENDAR_LOOK_NS: u64 = 1_000_000_000;

/// Where the calendar stands, looked at from time to time.
#[derive(Clone)]
pub(super) struct Calendar {
    clock: Clock,
    looked_ns: u64,
}

impl Calendar {
    pub(super) fn new() -> Self {
        Self { clock: Clock::measure(), looked_ns: monotonic_ns() }
    }

    /// The calendar at a time on the programs' clock; it is followed when it was set, and stands still when it is
    /// only measured a little differently, so that frames stay in order.
    pub(super) fn clock(&mut self, now_ns: u64) -> Clock {
        if now_ns.saturating_sub(self.looked_ns) > CALENDAR_LOOK_NS {
            self.looked_ns = now_ns;
            let measured = Clock::measure();
            if measured.offset_ns.abs_diff(self.clock.offset_ns) > CALENDAR_STEP_NS {
                self.clock = measured;
            }
        }
        self.clock
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_calendar_that_was_set_is_followed_and_one_that_was_not_stands_still() {
        let now_ns = monotonic_ns();
        let set_ns = Clock::measure().offset_ns.wrapping_sub(60_000_000_000);
        let mut calendar = Calendar { clock: Clock { offset_ns: set_ns }, looked_ns: now_ns };
        assert_eq!(calendar.clock(now_ns).offset_ns, set_ns, "it is not looked at so soon");
        let followed = calendar.clock(now_ns + CALENDAR_LOOK_NS + 1);
        assert!(followed.offset_ns.abs_diff(set_ns) > 59_000_000_000);
        assert_eq!(calendar.clock(now_ns + 3 * CALENDAR_LOOK_NS), followed);
    }
}
