//! Start, end and event time of every row, worked out message by message for all columns that need them.
//!
//! Takes the fields that give times, in any form; of several that tell the same, the first that is believed.
//! Nonsense is mended: a time after the message itself, a start after its end. A row whose times are of no use has
//! the message's own, as its event time. Once warm, nothing is allocated.
//!
//! So no event time lies after its message; how far that one may lie after its arrival is the exporter's clock's
//! matter (`clock.rs`).

use super::append::extend_arrays;
use super::believed::{AGE_MS_MAX, Believed, END_AHEAD_MS_MAX, NO_TIME};
use super::elements::Form;
use super::message::Message;
use super::plan::Times;
use super::records::Records;
use super::slot::Slot;
use super::uptimes::Uptimes;
use super::wire::number;
use tapline_record::EventTime;

/// Seconds between NTP's epoch and Unix's.
const NTP_EPOCH_SECONDS: i64 = 2_208_988_800;
/// The times of rows, in nanoseconds.
#[derive(Debug, Default)]
pub(super) struct RowTimes {
    starts: Vec<i64>,
    ends: Vec<i64>,
    events: Vec<i64>,
    /// What another field says of the same.
    others: Vec<i64>,
    /// Whether some start or end is not given.
    has_gaps: bool,
    uptimes: Uptimes,
}

/// What was found about all rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Rows with a start after their end, a time after their message was sent, or none of any use.
    pub(super) mended: u64,
    /// The earliest and the latest event time, `None` when there is no row.
    pub(super) span: Option<(i64, i64)>,
    /// Rows whose windows are closed.
    pub(super) late: u64,
}

impl RowTimes {
    /// Works out the times of the rows of `records`, which follow those found before.
    pub(super) fn find(&mut self, times: &Times, records: &Records<'_>, message: &Message<'_>) -> Found {
        let first = self.events.len();
        let found = self.extend_by_uptimes(times, records, message);
        let mut found = found.unwrap_or_else(|| self.extend_by_fields(times, records, message));
        let mut rows = self.rows(first);
        if message.shift_ns != 0 {
            rows.shift(message.shift_ns);
            let shifted = |time: i64| time.saturating_add(message.shift_ns);
            found.span = found.span.map(|(earliest, latest)| (shifted(earliest), shifted(latest)));
        }
        if let Some(EventTime(time)) = message.event_time {
            rows.events.fill(time);
            found.span = found.span.map(|_| (time, time));
        }
        let closed_until = message.closed_until.0;
        if found.span.is_some_and(|(earliest, _)| earliest < closed_until) {
            found.late = rows.events.iter().filter(|&&event| event < closed_until).count() as u64;
        }
        found
    }

    /// Appends rows that all have a start and an end by the exporter's uptime, none of which needs mending, as
    /// is so for nearly all messages of NetFlow; `None` for other rows. The loops have no branches and become
    /// vectors.
    fn extend_by_uptimes(
        &mut self,
        times: &Times,
        records: &Records<'_>,
        message: &Message<'_>,
    ) -> Option<Found> {
        let first = self.ends.len();
        self.uptimes.load(times, records)?;
        // Uptimes wrap after 49.7 days; those that are believed are all of one day.
        let earliest_uptime = message.uptime_ms?.wrapping_add(END_AHEAD_MS_MAX).wrapping_sub(AGE_MS_MAX);
        let span = self.uptimes.span_within(earliest_uptime, AGE_MS_MAX)?;
        let Believed { earliest, .. } = Believed::of(message.sent, false);
        let instant = |after_ms: u32| earliest.wrapping_add_unsigned(u64::from(after_ms) * 1_000_000);
        let instant_of = |&uptime: &u32| instant(uptime.wrapping_sub(earliest_uptime));
        self.starts.extend(self.uptimes.starts.iter().map(instant_of));
        self.ends.extend(self.uptimes.ends.iter().map(instant_of));
        self.events.extend_from_slice(&self.ends[first..]);
        Some(Found { span: Some((instant(span.0), instant(span.1))), ..Found::default() })
    }

    /// Appends rows by fields of any form.
    fn extend_by_fields(&mut self, times: &Times, records: &Records<'_>, message: &Message<'_>) -> Found {
        let first = self.events.len();
        let columns = [&mut self.starts, &mut self.ends, &mut self.events];
        for (column, sources) in columns.into_iter().zip([&times.start, &times.end, &times.observed]) {
            load(column, sources.first().copied(), times.init, records, message);
            for &other in sources.iter().skip(1) {
                if column[first..].iter().any(|&time| !message.believed.has(time)) {
                    self.others.clear();
                    load(&mut self.others, Some(other), times.init, records, message);
                    message.believed.prefer(&mut column[first..], &self.others);
                }
            }
        }
        let mut rows = self.rows(first);
        if let Some((slot, unit_ns)) = times.duration {
            rows.add_durations(records.field(slot).map(number), unit_ns);
        }
        let found = rows.settle(message.sent.0, message.believed, times.has_any());
        self.has_gaps |= [&self.starts, &self.ends].iter().any(|times| times[first..].contains(&NO_TIME));
        found
    }

    /// The rows from this one on.
    fn rows(&mut self, first: usize) -> Rows<'_> {
        Rows {
            starts: &mut self.starts[first..],
            ends: &mut self.ends[first..],
            events: &mut self.events[first..],
        }
    }

    /// Forgets all rows.
    pub(super) fn clear(&mut self) {
        [&mut self.starts, &mut self.ends, &mut self.events].into_iter().for_each(Vec::clear);
        self.has_gaps = false;
    }

    /// When the flow began, [`NO_TIME`] where that is not known.
    pub(super) fn starts(&self) -> &[i64] {
        &self.starts
    }

    /// When the flow ended, [`NO_TIME`] where that is not known.
    pub(super) fn ends(&self) -> &[i64] {
        &self.ends
    }

    /// Whether some start or end is not known.
    pub(super) const fn has_gaps(&self) -> bool {
        self.has_gaps
    }

    /// The event time.
    pub(super) fn events(&self) -> &[i64] {
        &self.events
    }
}

/// The times of the rows of one message.
struct Rows<'a> {
    starts: &'a mut [i64],
    ends: &'a mut [i64],
    events: &'a mut [i64],
}

impl Rows<'_> {
    /// Mends nonsense and finds the event times: a flow's end, or else what is there and believed, or else when the
    /// message was `sent`. Without `has_times` there is nothing to mend.
    fn settle(&mut self, sent: i64, believed: Believed, has_times: bool) -> Found {
        let (mut mended, mut earliest, mut latest) = (0, i64::MAX, i64::MIN);
        for ((start, end), event) in self.starts.iter_mut().zip(&mut *self.ends).zip(&mut *self.events) {
            if believed.has(*end) && *start <= *end && *event <= believed.latest {
                *event = *end;
            } else {
                mended += u64::from(settle_row([start, end, event], sent, believed) && has_times);
            }
            earliest = earliest.min(*event);
            latest = latest.max(*event);
        }
        Found { mended, span: (earliest <= latest).then_some((earliest, latest)), late: 0 }
    }

    /// Moves all of them.
    fn shift(&mut self, shift_ns: i64) {
        let times = [&mut *self.starts, &mut *self.ends, &mut *self.events];
        let given = times.into_iter().flatten().filter(|time| **time != NO_TIME);
        given.for_each(|time| *time = time.saturating_add(shift_ns));
    }

    /// Fills in a start or an end that is not given but follows from the other one.
    fn add_durations(&mut self, durations: impl Iterator<Item = u64>, unit_ns: i64) {
        for ((start, end), duration) in self.starts.iter_mut().zip(&mut *self.ends).zip(durations) {
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

/// Mends the start, the end and the event time of a row; says whether there was anything to mend.
fn settle_row([start, end, event]: [&mut i64; 3], sent: i64, believed: Believed) -> bool {
    let mut is_mended = false;
    for time in [&mut *start, &mut *end, &mut *event].into_iter().filter(|time| **time > believed.latest) {
        (*time, is_mended) = (sent, true);
    }
    if *start > *end && *end != NO_TIME {
        (*start, is_mended) = (*end, true);
    }
    let told = [*end, *event, *start].into_iter().find(|&time| believed.has(time));
    *event = told.unwrap_or(sent);
    is_mended || told.is_none()
}

impl Times {
    /// Whether there is a field of any time.
    fn has_any(&self) -> bool {
        [&self.start, &self.end, &self.observed].iter().any(|sources| !sources.is_empty())
    }
}

/// Puts the instants of a field into `out`; where there is none, [`NO_TIME`].
fn load(
    out: &mut Vec<i64>,
    source: Option<(Slot, Form)>,
    init: Option<Slot>,
    records: &Records<'_>,
    message: &Message<'_>,
) {
    let Some((slot, form)) = source else { return out.resize(out.len() + records.len(), NO_TIME) };
    let (sent, uptime_ms) = (message.sent, message.uptime_ms);
    match form {
        Form::Uptime => match uptime_ms {
            _ if let Some(init) = init => {
                let instant = |row| {
                    let [init_ms, uptime] = [init, slot].map(|slot| number(records.field_of(row, slot)));
                    uptime_at(sent, init_ms).map_or(NO_TIME, |uptime_ms| at_uptime(uptime, sent, uptime_ms))
                };
                out.extend((0..records.len()).map(instant));
            }
            Some(uptime_ms) => extend(out, records, slot, move |number| at_uptime(number, sent, uptime_ms)),
            None => out.resize(out.len() + records.len(), NO_TIME),
        },
        // The form of most IPFIX exporters has a loop of its own.
        Form::Millis => extend(out, records, slot, move |number| instant(number, Form::Millis, sent)),
        form => extend(out, records, slot, move |number| instant(number, form, sent)),
    }
}

#[inline]
fn extend(out: &mut Vec<i64>, records: &Records<'_>, slot: Slot, instant: impl Fn(u64) -> i64 + Copy) {
    match slot.length {
        4 if let Some(values) = records.arrays(slot) => {
            extend_arrays(out, values, |value| instant(u32::from_be_bytes(value).into()));
        }
        8 if let Some(values) = records.arrays(slot) => {
            extend_arrays(out, values, |value| instant(u64::from_be_bytes(value)));
        }
        _ => out.extend(records.field(slot).map(|octets| instant(number(octets)))),
    }
}

/// An exporter's uptime when it sent a message, by when it started; `None` when that is not given.
pub(super) fn uptime_at(sent: EventTime, init_ms: u64) -> Option<u32> {
    let init_ms = i64::try_from(init_ms).ok().filter(|&init_ms| init_ms > 0)?;
    // As exporters do, it starts anew after 49.7 days.
    Some((sent.0.div_euclid(1_000_000)).wrapping_sub(init_ms) as u32)
}

/// The instant of an exporter's uptime; [`NO_TIME`] for those that stand for none: 0, and all bits set.
#[inline]
fn at_uptime(number: u64, sent: EventTime, uptime_ms: u32) -> i64 {
    // Both wrap after 49.7 days; the difference is right if the flow is no older than half of that.
    let ago_ms = i64::from(uptime_ms.wrapping_sub(number as u32).cast_signed());
    // A message's own time is of 32 bits of seconds, so that nothing overflows.
    if (1..u64::from(u32::MAX)).contains(&number) { sent.0.wrapping_sub(ago_ms * 1_000_000) } else { NO_TIME }
}

/// The instant that a number means; [`NO_TIME`] for those that stand for none.
#[inline]
fn instant(number: u64, form: Form, sent: EventTime) -> i64 {
    let nanoseconds = |unit_ns| i64::try_from(number).unwrap_or(i64::MAX).saturating_mul(unit_ns);
    match form {
        Form::MicrosAgo => sent.0.saturating_sub(nanoseconds(1_000)),
        _ if number == 0 => NO_TIME,
        Form::Seconds => EventTime::from_parts(i64::try_from(number).unwrap_or(i64::MAX), 0).0,
        Form::Millis => nanoseconds(1_000_000),
        Form::Ntp => {
            let nanoseconds = ((number & 0xffff_ffff) * 1_000_000_000) >> 32;
            EventTime::from_parts((number >> 32) as i64 - NTP_EPOCH_SECONDS, nanoseconds as i64).0
        }
        _ => NO_TIME,
    }
}

#[cfg(test)]
mod tests {
    use super::super::message::Origin;
    use super::super::sampling::Sampling;
    use super::*;
    use tapline_record::column::Symbol;

    /// Half of the milliseconds after which an uptime of 32 bits starts anew.
    const HALF_WRAP_MS: u32 = i32::MAX as u32;
    use proptest::prelude::*;

    /// Start and end by uptime, one behind the other in records of eight octets.
    fn by_uptime() -> Times {
        let slot = |field| Slot { field, offset: 4 * field, length: 4 };
        let [start, end] = [0, 1].map(|field| vec![(slot(field), Form::Uptime)]);
        Times { start, end, ..Times::default() }
    }

    fn at(uptime_ms: u32, sampling: &Sampling) -> Message<'_> {
        let origin = Origin { source: Symbol::default(), exporter: [0; 16], domain: 0 };
        let sent = EventTime(1_700_000_000_000_000_000);
        let closed_until = sent.plus(-300_000_000_000);
        Message {
            origin,
            sent,
            believed: Believed::of(sent, false),
            uptime_ms: Some(uptime_ms),
            shift_ns: 0,
            event_time: None,
            closed_until,
            sampling,
        }
    }

    /// Uptimes around the message's own, around a day and half a wrap from it, and those that stand for none.
    fn near(uptime: u32) -> impl Strategy<Value = u32> {
        prop_oneof![
            12 => (0..600_000_u32).prop_map(move |ago| uptime.wrapping_sub(ago)),
            1 => (0..4_500_u32).prop_map(move |after| uptime.wrapping_add(after)),
            1 => (0..4_500_u32).prop_map(move |after| uptime.wrapping_sub(AGE_MS_MAX).wrapping_add(after)),
            1 => (0..4_500_u32).prop_map(move |after| uptime.wrapping_add(HALF_WRAP_MS).wrapping_sub(after)),
            1 => (0..4_500_u32).prop_map(move |after| uptime.wrapping_add(HALF_WRAP_MS).wrapping_add(after)),
            1 => Just(0),
            1 => Just(u32::MAX),
        ]
    }

    fn message() -> impl Strategy<Value = (u32, Vec<[u32; 2]>)> {
        let uptime = prop_oneof![any::<u32>(), 0..5_000_u32, u32::MAX - 5_000..=u32::MAX];
        uptime
            .prop_flat_map(|uptime| (Just(uptime), prop::collection::vec([near(uptime), near(uptime)], 0..9)))
    }

    proptest! {
        #[test]
        fn sound_rows_have_the_times_that_all_rows_have((uptime, rows) in message(), is_sorted: bool) {
            let sorted = |mut row: [u32; 2]| {
                row.sort_by_key(|&time| std::cmp::Reverse(uptime.wrapping_sub(time).cast_signed()));
                row
            };
            let rows = rows.into_iter().map(|row| if is_sorted { sorted(row) } else { row });
            let body: Vec<u8> = rows.flatten().flat_map(u32::to_be_bytes).collect();
            let (records, sampling) = (Records::fixed(&body, 8), Sampling::new(None));
            let message = at(uptime, &sampling);
            let [mut all, mut sound] = [(); 2].map(|()| RowTimes::default());
            let expected = all.extend_by_fields(&by_uptime(), &records, &message);
            if let Some(found) = sound.extend_by_uptimes(&by_uptime(), &records, &message) {
                prop_assert_eq!(found, expected);
                prop_assert_eq!((sound.starts(), sound.ends()), (all.starts(), all.ends()));
                prop_assert_eq!(sound.events(), all.events());
                prop_assert!(!all.has_gaps());
            } else {
                let is_old = all.starts().iter().any(|&start| start < message.believed.earliest);
                prop_assert!(expected.mended > 0 || all.has_gaps() || is_old || records.len() == 0);
            }
        }
    }
}
