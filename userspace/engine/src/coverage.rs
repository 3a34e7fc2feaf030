//! How much of a window's records arrived.
//!
//! A live source says of each batch in which seconds its rows lie, and how many records went missing meanwhile. That
//! goes through the same rings as the rows and the watermarks, so that it is never behind a watermark. The merger adds
//! it up by stream and second of event time and says it of a window when that closes. What went missing has no event
//! time; it is spread as the rows are that come with it, in each stream that the source carries, and where none come, it is
//! of the moment when it was noticed. What came too late for a query is missing among the latest rows of that moment: the
//! windows that it belongs to were given already.

use crate::suspended::UnreadRows;
use arrow_array::RecordBatch;
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Int64Type, TimestampNanosecondType};
use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;
use tapline_operators::{QueryId, Span};
use tapline_record::{Stream, StreamId};
use tapline_sources::Missed;

/// Seconds of event time that are remembered.
const SECONDS_MAX: usize = 200_000;

/// Seconds that the rows of a batch mostly lie in.
const SECONDS_NEAR: usize = 128;

/// Seconds that what went missing over a longer time is said of, at most: each stands for those behind it, too.
const STEPS_MAX: i64 = 512;

const SECOND_NS: i64 = 1_000_000_000;

/// Records that were delivered and that went missing, by stream and second of event time.
pub(crate) type Report = Vec<CoveredSecond>;

/// What is known of a second of a stream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CoveredSecond {
    /// Which stream.
    pub stream: StreamId,
    /// Number since the epoch.
    pub second: i64,
    /// Records that were delivered.
    pub delivered: f64,
    /// Records that went missing; not a number where nobody knows how many.
    pub missing: f64,
}

impl CoveredSecond {
    /// So many records that went missing in a span of event time; where in it, nobody knows.
    pub fn missing(stream: StreamId, span: Span, records: f64) -> impl Iterator<Item = Self> {
        let (start, end) = (span.start.0, span.end.0.max(span.start.0.saturating_add(1)));
        let width = end.saturating_sub(start) as f64;
        let last = (end - 1).div_euclid(SECOND_NS);
        let first = start.div_euclid(SECOND_NS).max(last.saturating_sub(SECONDS_MAX as i64 - 1));
        let stride = (last - first) / STEPS_MAX + 1;
        (first..=last).step_by(stride as usize).map(move |second| {
            let begin = start.max(second.saturating_mul(SECOND_NS));
            let inside = end.min((second + stride).saturating_mul(SECOND_NS)).saturating_sub(begin);
            Self { stream, second, delivered: 0.0, missing: records * inside as f64 / width }
        })
    }

    const fn delivered(stream: StreamId, second: i64, records: i64) -> Self {
        Self { stream, second, delivered: records as f64, missing: 0.0 }
    }
}

/// How many records the rows of a batch stand for: one each, or `by_packets` as many as they have packets.
pub(crate) fn records_in(batch: &RecordBatch, by_packets: bool) -> u64 {
    let packets = packets_of(batch, by_packets).map(|packets| packets.iter().sum::<i64>().unsigned_abs());
    packets.unwrap_or(batch.num_rows() as u64)
}

/// How many packets each row stands for, where rows count so.
fn packets_of(batch: &RecordBatch, by_packets: bool) -> Option<&[i64]> {
    let packets = batch.column_by_name("packets").filter(|_| by_packets)?;
    Some(packets.as_primitive::<Int64Type>().values())
}

/// What is known of each second of a stream: records delivered, and missing.
type BySecond = BTreeMap<i64, (f64, f64)>;

/// The source's side.
#[derive(Debug, Default)]
pub(crate) struct CoverageReporter {
    /// What was not told yet.
    pending: Report,
    /// The seconds of the batch at hand.
    batch: Report,
    /// Records that went missing since a batch had rows, by stream.
    missing: [i64; StreamId::COUNT],
}

impl CoverageReporter {
    /// What was not told yet.
    pub(crate) fn take(&mut self) -> Report {
        std::mem::take(&mut self.pending)
    }

    /// Notes that so many records went missing, of streams that are carried: of others nobody misses any. Late arrivals take
    /// them back.
    pub(crate) fn miss(&mut self, streams: &[&Stream], records: i64) {
        streams.iter().for_each(|stream| self.missing[stream.id as usize] += records);
    }

    /// Says of what went missing of a stream, since it had rows, that it did in this second: what comes later may be told
    /// to somebody else.
    pub(crate) fn settle(&mut self, stream: StreamId, second: i64) {
        let missing = &mut self.missing[stream as usize];
        if *missing > 0 {
            let missing = std::mem::take(missing) as f64;
            merge(&mut self.pending, CoveredSecond { stream, second, delivered: 0.0, missing });
        }
    }

    /// Notes records that went missing in a span of time of their own.
    pub(crate) fn miss_in(&mut self, missed: &Missed) {
        let span = Span { start: missed.since, end: missed.until };
        let records = missed.records.map_or(f64::NAN, |records| records as f64);
        let seconds = CoveredSecond::missing(missed.stream, span, records);
        // Whoever adds them up merges them.
        self.pending.extend(seconds);
    }

    /// Notes a batch, which was delivered or dropped; a row of it stands for one record, or `by_packets` for as many
    /// as it has packets.
    pub(crate) fn note(
        &mut self,
        stream: StreamId,
        batch: &RecordBatch,
        by_packets: bool,
        is_delivered: bool,
    ) {
        let Some(times) = batch.column_by_name("ts") else { return };
        let times = times.as_primitive::<TimestampNanosecondType>().values();
        match packets_of(batch, by_packets) {
            Some(packets) => self.deliver(stream, times, packets),
            None => self.deliver(stream, times, std::iter::repeat(&1)),
        }
        let missing = std::mem::take(&mut self.missing[stream as usize]) as f64;
        let rows: f64 = self.batch.iter().map(|second| second.delivered).sum();
        for mut second in self.batch.drain(..) {
            second.missing = missing * second.delivered / rows;
            if !is_delivered {
                second.missing += std::mem::take(&mut second.delivered);
            }
            merge(&mut self.pending, second);
        }
    }

    /// Counts records by second.
    fn deliver<'a>(&mut self, stream: StreamId, times: &[i64], records: impl IntoIterator<Item = &'a i64>) {
        let latest = times.iter().max().map_or(0, |time| time.div_euclid(SECOND_NS));
        let base = latest.saturating_sub(SECONDS_NEAR as i64 - 1);
        let mut near = [0_i64; SECONDS_NEAR];
        let mut far = HashMap::new();
        for (time, records) in times.iter().zip(records) {
            let second = time.div_euclid(SECOND_NS);
            match near.get_mut(second.wrapping_sub(base) as usize) {
                Some(sum) => *sum += records,
                None => *far.entry(second).or_default() += records,
            }
        }
        let near = (base..).zip(near).filter(|(_, records)| *records > 0);
        let seconds = far.into_iter().chain(near);
        self.batch.extend(seconds.map(|(second, records)| CoveredSecond::delivered(stream, second, records)));
    }
}

/// Adds what is known of a second to a report: while there is no room for it, a report is no longer than it has seconds.
fn merge(report: &mut Report, news: CoveredSecond) {
    let known = report.iter_mut().find(|known| (known.stream, known.second) == (news.stream, news.second));
    match known {
        Some(known) => {
            known.delivered += news.delivered;
            known.missing += news.missing;
        }
        None => report.push(news),
    }
}

/// Rows that a query did not read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unread {
    /// They came too late: their windows were closed, and others are short of them.
    pub late: u64,
    /// They are not in its sample.
    pub left_out: u64,
}

impl Unread {
    pub(crate) fn add(&mut self, other: Self) {
        self.late += other.late;
        self.left_out += other.left_out;
    }
}

/// The merger's side.
#[derive(Debug, Default)]
pub(crate) struct CoverageLog {
    streams: [BySecond; StreamId::COUNT],
    /// Rows that each query did not read, by the second of the latest rows of that moment.
    unread: HashMap<QueryId, BTreeMap<i64, Unread>>,
}

impl CoverageLog {
    /// Notes what a source reported.
    pub(crate) fn note(&mut self, report: &[CoveredSecond]) {
        report.iter().for_each(|second| add(&mut self.streams[second.stream as usize], second));
    }

    /// What is known of the seconds from this one on.
    pub(crate) fn since(&self, second: i64) -> Vec<CoveredSecond> {
        let of = |(stream, seconds): (StreamId, &BySecond)| {
            let seconds = seconds.range(second..);
            let covered = seconds.map(move |(second, (delivered, missing))| CoveredSecond {
                stream,
                second: *second,
                delivered: *delivered,
                missing: *missing,
            });
            covered.collect::<Vec<_>>()
        };
        StreamId::ALL.into_iter().zip(&self.streams).flat_map(of).collect()
    }

    /// Rows that a query did not read, by second.
    pub(crate) fn unread_of(&self, query: QueryId) -> UnreadRows {
        let unread = self.unread.get(&query).into_iter().flatten();
        unread.map(|(second, rows)| (*second, *rows)).collect()
    }

    /// Goes on with what was known of rows that a query did not read.
    pub(crate) fn resume_unread(&mut self, query: QueryId, unread: UnreadRows) {
        if !unread.is_empty() {
            self.unread.entry(query).or_default().extend(unread);
        }
    }

    /// Forgets a query.
    pub(crate) fn forget(&mut self, query: QueryId) {
        self.unread.remove(&query);
    }

    /// The latest second of which something is known in one of these streams.
    pub(crate) fn latest(&self, streams: &[StreamId]) -> Option<i64> {
        let seconds = streams.iter().filter_map(|stream| self.streams[*stream as usize].last_key_value());
        seconds.map(|(second, _)| *second).max()
    }

    /// Notes rows that a query over `streams` did not read.
    pub(crate) fn note_unread(&mut self, query: QueryId, streams: &[StreamId], rows: Unread) {
        let latest = self.latest(streams).unwrap_or(0);
        let unread = self.unread.entry(query).or_default();
        let known = unread.entry(latest).or_default();
        known.add(rows);
        while unread.len() > SECONDS_MAX {
            unread.pop_first();
        }
    }

    /// Which part of the window's records arrived in time for this query and was read, of that stream of which the least
    /// was; `None` when nothing is known of it.
    pub(crate) fn of(&self, query: QueryId, streams: &[StreamId], window: Span) -> Option<f64> {
        let last = window.end.0.saturating_sub(1);
        let seconds = window.start.0.div_euclid(SECOND_NS)..=last.div_euclid(SECOND_NS);
        let unread = self.unread.get(&query).into_iter().flat_map(|unread| unread.range(seconds.clone()));
        let (late, left_out) =
            unread.fold((0, 0), |(late, left_out), (_, rows)| (late + rows.late, left_out + rows.left_out));
        let sums = streams.iter().map(|stream| sums(&self.streams[*stream as usize], seconds.clone()));
        let sums: Vec<(f64, f64)> = sums.collect();
        if sums.iter().any(|(_, missing)| missing.is_nan()) {
            return None;
        }
        // Of which stream they were is not known: of each the same part.
        let all: f64 = sums.iter().map(|(delivered, _)| delivered).sum();
        let read = if all > 0.0 { f64::max(1.0 - left_out as f64 / all, 0.0) } else { 1.0 };
        let parts = sums.into_iter().filter_map(|(delivered, missing)| {
            let offered = delivered + f64::max(missing, 0.0) + late as f64;
            (offered > 0.0).then(|| delivered * read / offered)
        });
        parts.reduce(f64::min)
    }
}

/// Records delivered in these seconds, and missing.
fn sums(by_second: &BySecond, seconds: RangeInclusive<i64>) -> (f64, f64) {
    let seconds = by_second.range(seconds).map(|(_, sums)| sums);
    seconds.fold((0.0, 0.0), |sum, (delivered, missing)| (sum.0 + delivered, sum.1 + missing))
}

fn add(by_second: &mut BySecond, second: &CoveredSecond) {
    let (delivered, missing) = by_second.entry(second.second).or_default();
    *delivered += second.delivered;
    *missing += second.missing;
    while by_second.len() > SECONDS_MAX {
        by_second.pop_first();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{ArrayRef, TimestampNanosecondArray};
    use std::sync::Arc;
    use tapline_record::{EventTime, FLOWS, PACKETS};

    fn batch(seconds: &[i64]) -> RecordBatch {
        let times = seconds.iter().map(|second| second * SECOND_NS + 5).collect::<Vec<_>>();
        let times: ArrayRef = Arc::new(TimestampNanosecondArray::from(times));
        RecordBatch::try_from_iter([("ts", times)]).unwrap()
    }

    fn span(start: i64, end: i64) -> Span {
        Span { start: EventTime(start * SECOND_NS), end: EventTime(end * SECOND_NS) }
    }

    fn window(log: &CoverageLog, start: i64, end: i64) -> Option<f64> {
        log.of(QueryId(0), &[StreamId::Flows], span(start, end))
    }

    #[test]
    fn what_is_missing_lies_where_the_rows_do() {
        let (mut reporter, mut log) = (CoverageReporter::default(), CoverageLog::default());
        reporter.miss(&[&FLOWS], 4);
        reporter.note(StreamId::Flows, &batch(&[10, 10, 10, 25]), false, true);
        reporter.note(StreamId::Flows, &batch(&[25, 25]), false, false);
        log.note(&reporter.take());
        assert_eq!(window(&log, 10, 20), Some(0.5));
        assert_eq!(window(&log, 20, 30), Some(0.25));
        assert_eq!(window(&log, 30, 40), None);
        reporter.miss(&[&FLOWS], -3);
        reporter.note(StreamId::Flows, &batch(&[10, 10, 10]), false, true);
        log.note(&reporter.take());
        assert_eq!(window(&log, 10, 20), Some(1.0), "late arrivals take back what was missing");
    }

    #[test]
    fn what_came_too_late_is_missing_among_the_latest_rows() {
        let (mut reporter, mut log) = (CoverageReporter::default(), CoverageLog::default());
        let mut note = |log: &mut CoverageLog, seconds: &[i64]| {
            reporter.note(StreamId::Flows, &batch(seconds), false, true);
            log.note(&reporter.take());
        };
        let flows = &[StreamId::Flows];
        let late = |late| Unread { late, left_out: 0 };
        note(&mut log, &[-86_400, 10, 11, 12, i64::MIN / SECOND_NS + 1]);
        log.note_unread(QueryId(0), flows, late(1));
        log.note_unread(QueryId(1), flows, late(9));
        note(&mut log, &[25, -1]);
        log.note_unread(QueryId(0), flows, late(3));
        assert_eq!(window(&log, 10, 20), Some(0.75));
        assert_eq!(window(&log, 20, 30), Some(0.25));
        let other = log.of(QueryId(2), flows, span(0, 30));
        assert_eq!(other, Some(1.0), "another query had none");
    }

    #[test]
    fn where_nobody_knows_what_went_missing_nothing_is_said() {
        let (mut reporter, mut log) = (CoverageReporter::default(), CoverageLog::default());
        reporter.note(StreamId::Flows, &batch(&[5, 12, 19, 25]), false, true);
        let (since, until) = (EventTime(12 * SECOND_NS), EventTime(14 * SECOND_NS));
        reporter.miss_in(&Missed { stream: StreamId::Flows, since, until, records: None });
        reporter.miss_in(&Missed { stream: StreamId::Flows, since, until, records: Some(3) });
        log.note(&reporter.take());
        assert_eq!(window(&log, 10, 20), None);
        assert_eq!((window(&log, 0, 10), window(&log, 20, 30)), (Some(1.0), Some(1.0)));
    }

    #[test]
    fn a_sample_is_a_part() {
        let (mut reporter, mut log) = (CoverageReporter::default(), CoverageLog::default());
        reporter.miss(&[&FLOWS], 4);
        reporter.note(StreamId::Flows, &batch(&[10, 10, 10, 11]), false, true);
        log.note(&reporter.take());
        log.note_unread(QueryId(0), &[StreamId::Flows], Unread { late: 0, left_out: 3 });
        assert_eq!(window(&log, 10, 12), Some(0.125), "a quarter of the half that came");
        assert_eq!(log.of(QueryId(1), &[StreamId::Flows], span(10, 12)), Some(0.5));
    }

    #[test]
    fn streams_are_complete_by_themselves() {
        let (mut reporter, mut log) = (CoverageReporter::default(), CoverageLog::default());
        reporter.note(StreamId::Packets, &batch(&[10, 10, 10, 10]), false, true);
        reporter.note(StreamId::Packets, &batch(&[10]), false, false);
        reporter.miss(&[&PACKETS, &FLOWS], 1);
        reporter.note(StreamId::Flows, &batch(&[10]), false, true);
        log.note(&reporter.take());
        let of = |streams: &[StreamId]| log.of(QueryId(0), streams, span(10, 11));
        assert_eq!(of(&[StreamId::Packets]), Some(0.8));
        assert_eq!(of(&[StreamId::Flows]), Some(0.5));
        assert_eq!(of(&[StreamId::Flows, StreamId::Packets]), Some(0.5), "the worse of both");
        assert_eq!(of(&[StreamId::Ledger]), None);
    }

    #[test]
    fn what_went_missing_before_a_stream_was_carried_is_not_missing_in_it() {
        let (mut reporter, mut log) = (CoverageReporter::default(), CoverageLog::default());
        reporter.miss(&[&PACKETS], 1_000);
        reporter.note(StreamId::Packets, &batch(&[10]), false, true);
        reporter.miss(&[&PACKETS, &FLOWS], 1);
        reporter.note(StreamId::Flows, &batch(&[11]), false, true);
        log.note(&reporter.take());
        assert_eq!(log.of(QueryId(0), &[StreamId::Flows], span(11, 12)), Some(0.5));
    }

    #[test]
    fn what_went_missing_while_nobody_looked_is_spread_over_that_time() {
        let mut log = CoverageLog::default();
        let span = Span { start: EventTime(9_500_000_000), end: EventTime(12_000_000_000) };
        log.note(&CoveredSecond::missing(StreamId::Flows, span, 50.0).collect::<Vec<_>>());
        let known = log.since(9);
        assert_eq!(
            known.iter().map(|second| (second.second, second.missing)).collect::<Vec<_>>(),
            [(9, 10.0), (10, 20.0), (11, 20.0)]
        );
        let mut other = CoverageLog::default();
        other.note(&known);
        other.resume_unread(QueryId(7), vec![(9, Unread { late: 10, left_out: 0 })]);
        other.note(&[CoveredSecond::delivered(StreamId::Flows, 9, 20)]);
        assert_eq!(other.of(QueryId(7), &[StreamId::Flows], self::span(9, 10)), Some(0.5));
        assert_eq!(other.unread_of(QueryId(7)), [(9, Unread { late: 10, left_out: 0 })]);
        let always = Span { start: EventTime::MIN, end: EventTime::MAX };
        assert_eq!(CoveredSecond::missing(StreamId::Flows, always, 1.0).count(), STEPS_MAX as usize);
        let never = Span { start: EventTime(5), end: EventTime(5) };
        assert_eq!(
            CoveredSecond::missing(StreamId::Flows, never, 3.0).map(|second| second.missing).sum::<f64>(),
            3.0
        );
    }

    #[test]
    fn what_is_not_told_at_once_is_not_lost() {
        let (mut reporter, mut log) = (CoverageReporter::default(), CoverageLog::default());
        for _ in 0..5 {
            reporter.miss(&[&FLOWS], 1);
            reporter.note(StreamId::Flows, &batch(&[7]), false, true);
        }
        log.note(&reporter.take());
        reporter.note(StreamId::Flows, &batch(&[8]), false, true);
        log.note(&reporter.take());
        assert_eq!(window(&log, 7, 8), Some(0.5));
    }
}
