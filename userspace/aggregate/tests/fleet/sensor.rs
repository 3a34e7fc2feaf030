//! What an engine cuts of its rows.

use crate::traffic::{SECOND_NS, batch_of};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use tapline_engine::{CoveredSecond, CutPane, CutQuery, QueryId, Unread};
use tapline_operators::{LowerOperator, OperatorLimits, PaneCollector, Parts, RowLimits, RowQuota, Span};
use tapline_query::ContinuousQuery;
use tapline_record::{EventTime, PacketRow, StreamId};
use tapline_trafficgen::random::Random;

/// A sensor, and what it knows of its rows.
pub(crate) struct Sensor<'a> {
    pub(crate) query: &'a Arc<ContinuousQuery>,
    pub(crate) limits: OperatorLimits,
    /// Panes of all rows of all sensors, from the start of the first one to the end of the last one.
    pub(crate) panes: Range<i64>,
    /// Records that are missing in each second that has some.
    pub(crate) missing_each_second: f64,
    pub(crate) whole_after: EventTime,
}

impl Sensor<'_> {
    /// The cuts of these rows, at most so many, of one or more rows each.
    pub(crate) fn cuts(&self, rows: &[PacketRow], cuts_max: u64, random: &mut Random) -> Vec<CutQuery> {
        let mut ends: BTreeSet<usize> =
            (1..cuts_max).map(|_| random.below(rows.len() as u64) as usize).filter(|end| *end > 0).collect();
        ends.insert(rows.len());
        let (mut cuts, mut first, mut reached, mut known) = (vec![], 0, i64::MIN, BTreeSet::new());
        for end in ends {
            let later = rows[end..].iter().map(|row| row.ts).min();
            let watermark = later.unwrap_or(i64::MAX).max(reached);
            let panes = self.panes_of(&rows[first..end], reached..watermark, &mut known);
            let (query, watermark) = (QueryId(0), EventTime(watermark));
            (first, reached) = (end, watermark.0);
            cuts.push(CutQuery { query, watermark, whole_after: self.whole_after, panes });
        }
        cuts
    }

    /// What came for panes, and of those that ended meanwhile that nothing did.
    fn panes_of(&self, rows: &[PacketRow], reached: Range<i64>, known: &mut BTreeSet<i64>) -> Vec<CutPane> {
        let (width, mut parts) = (self.query.pane_width().unwrap(), self.parts_of(rows));
        let seconds = self.seconds_of(rows, known);
        let has_ended = |start: &i64| reached.start < start + width && start + width <= reached.end;
        let mut starts: BTreeSet<i64> = self.starts().filter(has_ended).collect();
        let overlaps =
            |start: i64, second: i64| start < (second + 1) * SECOND_NS && second * SECOND_NS < start + width;
        let is_covered = |start: &i64| seconds.iter().any(|known| overlaps(*start, known.second));
        starts.extend(self.starts().filter(is_covered));
        let mut panes = vec![];
        for half in 0..self.query.lowers.len() {
            for start in starts.iter().copied() {
                let covered = seconds.iter().filter(|known| overlaps(start, known.second)).copied();
                panes.push(CutPane {
                    half,
                    pane: Span { start: EventTime(start), end: EventTime(start + width) },
                    parts: parts.remove(&(half, start)).unwrap_or_default(),
                    covered: covered.collect(),
                    unread: Unread::default(),
                });
            }
        }
        assert!(parts.is_empty(), "each pane with rows has seconds");
        panes
    }

    fn starts(&self) -> impl Iterator<Item = i64> + use<> {
        self.panes.clone().step_by(self.query.pane_width().unwrap() as usize)
    }

    /// What comes of rows, by half and the start of the pane.
    fn parts_of(&self, rows: &[PacketRow]) -> BTreeMap<(usize, i64), Parts> {
        let (batch, mut outputs) = (batch_of(self.query, rows), vec![]);
        for mut lower in LowerOperator::all(self.query, self.limits) {
            lower.process(&batch, &mut outputs).unwrap();
            lower.finish(&mut outputs).unwrap();
        }
        let mut collector = PaneCollector::new(self.query, self.limits);
        let mut quota = RowQuota::new(RowLimits::default());
        for output in outputs {
            assert_eq!(collector.accept(output, &mut quota).unwrap(), None);
        }
        collector.take().map(|(start, half, parts)| ((half, start.0), parts)).collect()
    }

    /// What is known of the seconds of rows; what is missing of one is said once.
    fn seconds_of(&self, rows: &[PacketRow], known: &mut BTreeSet<i64>) -> Vec<CoveredSecond> {
        let mut delivered: BTreeMap<i64, f64> = BTreeMap::new();
        for row in rows {
            *delivered.entry(row.ts.div_euclid(SECOND_NS)).or_default() += 1.0;
        }
        let second = |(second, delivered)| {
            let missing = if known.insert(second) { self.missing_each_second } else { 0.0 };
            CoveredSecond { stream: StreamId::Packets, second, delivered, missing }
        };
        delivered.into_iter().map(second).collect()
    }
}
