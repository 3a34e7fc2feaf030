//! The programs' clock and the calendar.
//!
//! The programs read `CLOCK_MONOTONIC`, which counts from the boot; event time is UTC. The distance changes when
//! the calendar is set, so it is measured anew from time to time; panes that begin later follow it.

use std::mem::MaybeUninit;

use tapline_ebpf_common::{CARD_AWAY_NS_MAX, PaneGrid};

/// Where UTC stands, seen from the programs' clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// UTC in ns since 1970, less the programs' clock.
    pub offset_ns: u64,
}

impl Clock {
    /// Measures the distance, to within a microsecond or so.
    #[must_use]
    pub fn measure() -> Self {
        let reading = |_| {
            let before = monotonic_ns();
            let utc = read_ns(libc::CLOCK_REALTIME);
            let after = monotonic_ns();
            (after - before, utc.wrapping_sub(before + (after - before) / 2))
        };
        let closest = (0..8).map(reading).min().unwrap_or_default();
        Self { offset_ns: closest.1 }
    }

    /// UTC of a time on the programs' clock, ns since 1970.
    #[must_use]
    pub const fn utc_ns(self, monotonic_ns: u64) -> u64 {
        monotonic_ns.wrapping_add(self.offset_ns)
    }

    /// Panes of this length that are aligned to 1970, the first of which holds a time on the programs' clock, and what
    /// cards may say of frames that come from then on, or begins before the boot.
    #[must_use]
    pub const fn grid(self, length_ns: u64, now_ns: u64) -> PaneGrid {
        let now_ns = now_ns.saturating_sub(CARD_AWAY_NS_MAX);
        let into_pane = match self.utc_ns(now_ns).checked_rem(length_ns) {
            Some(into_pane) => into_pane,
            None => 0,
        };
        PaneGrid { anchor_ns: now_ns.wrapping_sub(into_pane), length_ns }
    }
}

/// The programs' clock, ns.
#[must_use]
pub fn monotonic_ns() -> u64 {
    read_ns(libc::CLOCK_MONOTONIC)
}

fn read_ns(clock: libc::clockid_t) -> u64 {
    let mut time = MaybeUninit::<libc::timespec>::zeroed();
    // SAFETY: both clocks exist on every Linux, and the kernel fills in the time.
    unsafe { libc::clock_gettime(clock, time.as_mut_ptr()) };
    // SAFETY: zeroed or filled in, which are both a time.
    let time = unsafe { time.assume_init() };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panes_are_aligned_to_the_calendar() {
        let clock = Clock::measure();
        let now = monotonic_ns();
        let grid = clock.grid(1_000_000_000, now);
        assert_eq!(clock.utc_ns(grid.anchor_ns) % 1_000_000_000, 0);
        assert!(now - grid.anchor_ns < 1_000_000_000 + CARD_AWAY_NS_MAX);
    }

    #[test]
    fn the_distance_is_the_same_when_measured_again() {
        let apart = Clock::measure().offset_ns.abs_diff(Clock::measure().offset_ns);
        assert!(apart < 1_000_000, "{apart} ns");
    }
}
