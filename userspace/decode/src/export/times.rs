//! Start, end and event time of every row of a set, worked out once for all columns that need them.
//!
//! Takes the fields that give times, in any form. Nonsense is mended: an end after the message itself, a start
//! after its end. Once warm, nothing is allocated.

use super::elements::Form;
use super::extract::Message;
use super::plan::Times;
use super::records::{Records, Slot};
use super::wire::number;
use tapline_record::EventTime;

/// How far a flow's end may lie after its message was sent: exporters round the one and not the other.
const END_AHEAD_NS_MAX: i64 = 2_000_000_000;
/// Seconds between NTP's epoch and Unix's.
const NTP_EPOCH_SECONDS: i64 = 2_208_988_800;
/// Stands for a time that is not given.
pub(super) const NO_TIME: i64 = i64::MIN;

/// The times of the rows of a set, in nanoseconds.
#[derive(Debug, Default)]
pub(super) struct RowTimes {
    starts: Vec<i64>,
    ends: Vec<i64>,
    events: Vec<i64>,
}

/// What was found about all rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    /// Rows with a start after their end, or an end after their message was sent.
    pub(super) mended: u64,
    /// The latest event time, `None` when there is no row.
    pub(super) latest: Option<EventTime>,
}

impl RowTimes {
    /// Works out the times of the rows of `records`.
    pub(super) fn find(&mut self, times: &Times, records: &Records<'_>, message: &Message<'_>) -> Found {
        load(&mut self.starts, times.start, records, message);
        load(&mut self.ends, times.end, records, message);
        load(&mut self.events, times.observed, records, message);
        if let Some((slot, unit_ns)) = times.duration {
            self.add_durations(records.field(slot).map(number), unit_ns);
        }
        let found = self.settle(message);
        if message.shift_ns != 0 {
            let shift = |time: &mut i64| *time = shifted(*time, message.shift_ns);
            [&mut self.starts, &mut self.ends].into_iter().flatten().for_each(shift);
        }
        found
    }

    /// When the flow began, [`NO_TIME`] where that is not known.
    pub(super) fn starts(&self) -> &[i64] {
        &self.starts
    }

    /// When the flow ended, [`NO_TIME`] where that is not known.
    pub(super) fn ends(&self) -> &[i64] {
        &self.ends
    }

    /// The event time.
    pub(super) fn events(&self) -> &[i64] {
        &self.events
    }

    /// Mends nonsense and finds the event times.
    fn settle(&mut self, message: &Message<'_>) -> Found {
        let (sent, latest_end) = (message.sent.0, message.sent.plus(END_AHEAD_NS_MAX).0);
        let (mut mended, mut latest) = (0, NO_TIME);
        let rows = self.starts.iter_mut().zip(&mut self.ends).zip(&mut self.events);
        for ((start, end), event) in rows {
            if *end > latest_end || *start > *end && *end != NO_TIME {
                mended += 1;
                *end = (*end).min(sent);
                *start = (*start).min(*end);
            }
            let given = if *event == NO_TIME { *start } else { *event };
            let given = if *end == NO_TIME { given } else { *end };
            let time = if given == NO_TIME { sent } else { given };
            *event = message.event_time.map_or(time.saturating_add(message.shift_ns), |time| time.0);
            latest = latest.max(*event);
        }
        Found { mended, latest: (latest != NO_TIME).then_some(EventTime(latest)) }
    }

    /// Fills in a start or an end that is not given but follows from the other one.
    fn add_durations(&mut self, durations: impl Iterator<Item = u64>, unit_ns: i64) {
        for ((start, end), duration) in self.starts.iter_mut().zip(&mut self.ends).zip(durations) {
            let duration = i64::try_from(duration).unwrap_or(i64::MAX).saturating_mul(unit_ns);
            match (*start, *end) {
                (NO_TIME, NO_TIME) => {}
                (NO_TIME, end) => *start = end.saturating_sub(duration),
                (start, NO_TIME) => *end = start.saturating_add(duration),
                _ => {}
            }
        }
    }
}

/// Puts the instants of a field into `out`; where there is none, [`NO_TIME`].
fn load(out: &mut Vec<i64>, source: Option<(Slot, Form)>, records: &Records<'_>, message: &Message<'_>) {
    out.clear();
    let Some((slot, form)) = source else { return out.resize(records.len(), NO_TIME) };
    // The forms of most exporters have loops of their own.
    match form {
        Form::Uptime => extend(out, records, slot, |number| instant(number, Form::Uptime, message)),
        Form::Millis => extend(out, records, slot, |number| instant(number, Form::Millis, message)),
        form => extend(out, records, slot, |number| instant(number, form, message)),
    }
}

#[inline]
fn extend(out: &mut Vec<i64>, records: &Records<'_>, slot: Slot, instant: impl Fn(u64) -> i64) {
    match slot.length {
        4 if let Some(values) = records.arrays(slot) => {
            out.extend(values.map(|value| instant(u32::from_be_bytes(value).into())));
        }
        8 if let Some(values) = records.arrays(slot) => {
            out.extend(values.map(|value| instant(u64::from_be_bytes(value))));
        }
        _ => out.extend(records.field(slot).map(|octets| instant(number(octets)))),
    }
}

fn shifted(time: i64, shift: i64) -> i64 {
    if time == NO_TIME { time } else { time.saturating_add(shift) }
}

/// The instant that a number means; [`NO_TIME`] for those that stand for none.
#[inline]
fn instant(number: u64, form: Form, message: &Message<'_>) -> i64 {
    let ago = |nanoseconds: i64| message.sent.plus(nanoseconds.saturating_neg()).0;
    if number == 0 && form != Form::Uptime {
        return NO_TIME;
    }
    match (form, message.uptime_ms) {
        (Form::Seconds, _) => EventTime::from_parts(i64::try_from(number).unwrap_or(i64::MAX), 0).0,
        (Form::Millis, _) => i64::try_from(number).unwrap_or(i64::MAX).saturating_mul(1_000_000),
        (Form::MicrosAgo, _) => ago(i64::try_from(number).unwrap_or(i64::MAX).saturating_mul(1_000)),
        (Form::Ntp, _) => {
            let nanoseconds = ((number & 0xffff_ffff) * 1_000_000_000) >> 32;
            EventTime::from_parts((number >> 32) as i64 - NTP_EPOCH_SECONDS, nanoseconds as i64).0
        }
        (Form::Uptime, Some(uptime)) if number < u64::from(u32::MAX) => {
            // Both wrap after 49.7 days; the difference is right if the flow is no older than half of that.
            let milliseconds = uptime.wrapping_sub(number as u32).cast_signed();
            ago(i64::from(milliseconds) * 1_000_000)
        }
        _ => NO_TIME,
    }
}
