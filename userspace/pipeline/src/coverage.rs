//! How much of a window's records arrived.
//!
//! The capture thread of a live source says of each batch in which seconds its rows lie, and how many records
//! went missing meanwhile. The merger adds it up by second of event time and says it of a window when that
//! closes. What went missing has no event time; it is spread as the rows around it are. What came too late for a
//! query is missing among the latest rows of that moment: the windows that it belongs to were given already.

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Int64Type, TimestampNanosecondType};
use arrow_array::{ArrayRef, Float64Array, RecordBatch};
use rtrb::{Consumer, Producer};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use tapline_query::COMPLETENESS;
use tapline_record::{EventTime, PACKET_FLOWS, Stream};

/// Reports on the way from one source to the merger.
pub(crate) const REPORTS_CAPACITY: usize = 1024;

/// Seconds of event time that are remembered.
const SECONDS_MAX: usize = 200_000;

/// Seconds that the rows of a batch mostly lie in.
const SECONDS_NEAR: usize = 128;

const SECOND_NS: i64 = 1_000_000_000;

/// Rows that were delivered and records that went missing, by second of event time.
pub(crate) type Report = Vec<Second>;

/// What is known of a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Second {
    /// Number since the epoch.
    second: i64,
    delivered: f64,
    missing: f64,
}

/// The source's side.
pub(crate) struct CoverageReporter {
    reports: Producer<Report>,
    /// What there was no room for yet.
    pending: Report,
    /// Records that went missing since a batch had rows.
    missing: i64,
}

impl CoverageReporter {
    pub(crate) const fn new(reports: Producer<Report>) -> Self {
        Self { reports, pending: vec![], missing: 0 }
    }

    /// Notes that so many records went missing; late arrivals take them back.
    pub(crate) const fn miss(&mut self, records: i64) {
        self.missing += records;
    }

    /// Notes a batch, which was delivered or dropped.
    pub(crate) fn note(&mut self, stream: &Stream, batch: &RecordBatch, is_delivered: bool) {
        let Some(times) = batch.column_by_name("ts") else { return };
        let first = self.pending.len();
        let times = times.as_primitive::<TimestampNanosecondType>().values();
        let is_packets = std::ptr::eq(stream, &raw const PACKET_FLOWS);
        match batch.column_by_name("packets").filter(|_| is_packets) {
            Some(packets) => self.deliver(times, packets.as_primitive::<Int64Type>().values()),
            None => self.deliver(times, std::iter::repeat(&1)),
        }
        let missing = std::mem::take(&mut self.missing) as f64;
        let rows: f64 = self.pending[first..].iter().map(|second| second.delivered).sum();
        for second in &mut self.pending[first..] {
            second.missing = missing * second.delivered / rows;
            if !is_delivered {
                second.missing += std::mem::take(&mut second.delivered);
            }
        }
        self.send();
    }

    /// Counts records by second.
    fn deliver<'a>(&mut self, times: &[i64], records: impl IntoIterator<Item = &'a i64>) {
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
        let delivered = |(second, records)| Second { second, delivered: records as f64, ..Second::default() };
        self.pending.extend(far.into_iter().chain(near).map(delivered));
    }

    fn send(&mut self) {
        if self.reports.slots() > 0 {
            // There is room: this thread alone fills the ring.
            let _ = self.reports.push(std::mem::take(&mut self.pending));
        }
    }
}

/// The merger's side.
pub(crate) struct CoverageLog {
    reports: Vec<Consumer<Report>>,
    by_second: BTreeMap<i64, (f64, f64)>,
    /// Rows that came too late for each query, by the second of the latest rows of that moment.
    late: HashMap<usize, BTreeMap<i64, u64>>,
}

impl CoverageLog {
    /// The log of these sources; without any, nothing is said.
    pub(crate) fn new(reports: Vec<Consumer<Report>>) -> Self {
        Self { reports, by_second: BTreeMap::new(), late: HashMap::new() }
    }

    /// Notes rows that came too late for a query.
    pub(crate) fn note_late(&mut self, query: usize, rows: u64) {
        let latest = self.by_second.last_key_value().map_or(0, |(second, _)| *second);
        let by_second = self.late.entry(query).or_default();
        *by_second.entry(latest).or_default() += rows;
        while by_second.len() > SECONDS_MAX {
            by_second.pop_first();
        }
    }

    /// Takes what the sources reported.
    pub(crate) fn collect(&mut self) {
        let Self { reports, by_second, .. } = self;
        for report in reports.iter_mut() {
            while let Ok(report) = report.pop() {
                add(by_second, &report);
            }
        }
    }

    /// The result of a query with its completeness filled in, if it has that column.
    pub(crate) fn complete(&self, query: usize, batch: RecordBatch) -> RecordBatch {
        let Ok(position) = batch.schema_ref().index_of(COMPLETENESS) else { return batch };
        if self.reports.is_empty() || batch.num_rows() == 0 {
            return batch;
        }
        let window = |name| {
            let times = batch.column_by_name(name)?.as_primitive_opt::<TimestampNanosecondType>()?;
            Some(EventTime(times.value(0)))
        };
        let (Some(start), Some(end)) = (window("window_start"), window("window_end")) else { return batch };
        let completeness = Float64Array::from(vec![self.of(query, start, end); batch.num_rows()]);
        let (schema, mut columns, _) = batch.into_parts();
        columns[position] = Arc::new(completeness) as ArrayRef;
        RecordBatch::try_new(schema, columns).expect("invariant: the column has its type and length")
    }

    /// Which part of the window's records arrived, and in time for this query; `None` when nothing is known of it.
    fn of(&self, query: usize, start: EventTime, end: EventTime) -> Option<f64> {
        let last = end.0.saturating_sub(1).div_euclid(SECOND_NS);
        let seconds = || start.0.div_euclid(SECOND_NS)..=last;
        let (delivered, missing) = self
            .by_second
            .range(seconds())
            .fold((0.0, 0.0), |(sum, lost), (_, (delivered, missing))| (sum + delivered, lost + missing));
        let late = self.late.get(&query).map_or(0, |late| late.range(seconds()).map(|(_, rows)| rows).sum());
        let offered = delivered + f64::max(missing, 0.0) + late as f64;
        (offered > 0.0).then(|| delivered / offered)
    }
}

fn add(by_second: &mut BTreeMap<i64, (f64, f64)>, report: &[Second]) {
    for second in report {
        let (delivered, missing) = by_second.entry(second.second).or_default();
        *delivered += second.delivered;
        *missing += second.missing;
    }
    while by_second.len() > SECONDS_MAX {
        by_second.pop_first();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::TimestampNanosecondArray;
    use rtrb::RingBuffer;
    use tapline_record::FLOWS;

    fn batch(seconds: &[i64]) -> RecordBatch {
        let times = seconds.iter().map(|second| second * SECOND_NS + 5).collect::<Vec<_>>();
        let times: ArrayRef = Arc::new(TimestampNanosecondArray::from(times));
        RecordBatch::try_from_iter([("ts", times)]).unwrap()
    }

    fn window(log: &CoverageLog, start: i64, end: i64) -> Option<f64> {
        log.of(0, EventTime(start * SECOND_NS), EventTime(end * SECOND_NS))
    }

    #[test]
    fn what_is_missing_lies_where_the_rows_do() {
        let (reports, log) = RingBuffer::new(8);
        let (mut reporter, mut log) = (CoverageReporter::new(reports), CoverageLog::new(vec![log]));
        reporter.miss(4);
        reporter.note(&FLOWS, &batch(&[10, 10, 10, 25]), true);
        reporter.note(&FLOWS, &batch(&[25, 25]), false);
        log.collect();
        assert_eq!(window(&log, 10, 20), Some(0.5));
        assert_eq!(window(&log, 20, 30), Some(0.25));
        assert_eq!(window(&log, 30, 40), None);
        reporter.miss(-3);
        reporter.note(&FLOWS, &batch(&[10, 10, 10]), true);
        log.collect();
        assert_eq!(window(&log, 10, 20), Some(1.0), "late arrivals take back what was missing");
    }

    #[test]
    fn what_came_too_late_is_missing_among_the_latest_rows() {
        let (reports, log) = RingBuffer::new(8);
        let (mut reporter, mut log) = (CoverageReporter::new(reports), CoverageLog::new(vec![log]));
        reporter.note(&FLOWS, &batch(&[-86_400, 10, 11, 12, i64::MIN / SECOND_NS + 1]), true);
        log.collect();
        log.note_late(0, 1);
        log.note_late(1, 9);
        reporter.note(&FLOWS, &batch(&[25, -1]), true);
        log.collect();
        log.note_late(0, 3);
        assert_eq!(window(&log, 10, 20), Some(0.75));
        assert_eq!(window(&log, 20, 30), Some(0.25));
        assert_eq!(log.of(2, EventTime(0), EventTime(30 * SECOND_NS)), Some(1.0), "another query had none");
    }

    #[test]
    fn a_full_ring_loses_no_report() {
        let (reports, log) = RingBuffer::new(1);
        let (mut reporter, mut log) = (CoverageReporter::new(reports), CoverageLog::new(vec![log]));
        for _ in 0..5 {
            reporter.miss(1);
            reporter.note(&FLOWS, &batch(&[7]), true);
        }
        log.collect();
        reporter.note(&FLOWS, &batch(&[8]), true);
        log.collect();
        assert_eq!(window(&log, 7, 8), Some(0.5));
    }
}
