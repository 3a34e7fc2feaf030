//! Which event times a message is believed to tell of.

use tapline_record::EventTime;

/// How far a flow's end may lie after its message was sent: exporters round the one and not the other.
pub(super) const END_AHEAD_MS_MAX: u32 = 2_000;
/// How far from that an event may lie in the past: a day, longer than any exporter keeps a flow. What is older was
/// counted from another beginning.
pub(super) const AGE_MS_MAX: u32 = 86_400_000;
/// Stands for a time that is not given.
pub(super) const NO_TIME: i64 = i64::MIN;

/// From when to when an event is believed to have happened that a message tells of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Believed {
    pub(super) earliest: i64,
    pub(super) latest: i64,
}

impl Believed {
    /// For a message that was sent then; one out of an archive may tell of anything that happened before.
    pub(super) const fn of(sent: EventTime, is_archive: bool) -> Self {
        let latest = sent.plus(END_AHEAD_MS_MAX as i64 * 1_000_000);
        let day = latest.plus(-(AGE_MS_MAX as i64) * 1_000_000);
        Self { earliest: if is_archive { NO_TIME } else { day.0 }, latest: latest.0 }
    }

    /// Whether an event at this time is believed.
    pub(super) const fn has(self, time: i64) -> bool {
        self.earliest <= time && time <= self.latest && time != NO_TIME
    }

    /// Puts other times, where they are believed, in place of those that are not.
    pub(super) fn prefer(self, times: &mut [i64], others: &[i64]) {
        let worse =
            times.iter_mut().zip(others).filter(|(time, other)| !self.has(**time) && self.has(**other));
        worse.for_each(|(time, other)| *time = *other);
    }
}
