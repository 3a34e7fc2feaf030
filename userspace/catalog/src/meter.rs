//! What a query costs, measured again and again, and what is to be done about it.

use crate::limits::{Beyond, WorkLimit};
use tapline_record::EventTime;

/// Between two measurements, in nanoseconds.
const SPAN_NS: i64 = 1_000_000_000;
/// Measurements in a row that are too high before something is done, and low ones before it is taken back.
const HIGH_MIN: u32 = 3;
const LOW_MIN: u32 = 10;
/// A query that takes less of a core than one in so many parts is never held back: of few rows, what is done once a
/// window makes the most.
const CORE_PARTS: u64 = 100;
/// The smallest sample: one row of so many.
const ONE_IN_MAX: u32 = 1 << 16;

/// What is done about a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Measure {
    /// It reads one row of so many.
    Sample(u32),
    /// It gets no new groups, or gets some again.
    Fold(bool),
    /// It ends; why.
    Stop(String),
}

/// The cost of one query.
#[derive(Debug)]
pub(crate) struct Meter {
    limit: Option<WorkLimit>,
    /// When it was measured last, and its work and rows until then.
    last: (EventTime, u64, u64),
    /// Nanoseconds a row when it was measured last with some rows.
    ns_a_row: Option<u64>,
    high: u32,
    low: u32,
    one_in: u32,
    folds: bool,
}

impl Meter {
    /// Of a query that begins now.
    pub(crate) const fn new(limit: Option<WorkLimit>, now: EventTime) -> Self {
        Self { limit, last: (now, 0, 0), ns_a_row: None, high: 0, low: 0, one_in: 1, folds: false }
    }

    /// Nanoseconds of work a row, lately.
    pub(crate) const fn ns_a_row(&self) -> Option<u64> {
        self.ns_a_row
    }

    /// What is done about it now, in a sentence, if anything is.
    pub(crate) fn reason(&self) -> Option<String> {
        let max = self.limit?.ns_max;
        let what = match (self.one_in, self.folds) {
            (1, false) => return None,
            (1, true) => "it gets no new groups".to_owned(),
            (one_in, _) => format!("it reads one row of {one_in}"),
        };
        Some(format!("{what}: it worked more than the {max} ns a row that it may"))
    }

    /// Takes what it cost so far; says what is to be done from now on, where that changes.
    pub(crate) fn look(&mut self, now: EventTime, work_ns: u64, rows: u64) -> Option<Measure> {
        let (before, work_before, rows_before) = self.last;
        let span = now.0.saturating_sub(before.0);
        let (work, rows_new) = (work_ns.saturating_sub(work_before), rows.saturating_sub(rows_before));
        if span < SPAN_NS {
            return None;
        }
        self.last = (now, work_ns, rows);
        let ns_a_row = work.checked_div(rows_new);
        self.ns_a_row = ns_a_row.or(self.ns_a_row);
        let limit = self.limit?;
        let ns_a_row = ns_a_row.unwrap_or(0);
        // What it would take if it read all.
        let whole = work.saturating_mul(u64::from(self.one_in));
        let is_busy = whole.saturating_mul(CORE_PARTS) > span.unsigned_abs();
        self.high = if ns_a_row > limit.ns_max && is_busy { self.high + 1 } else { 0 };
        self.low = if ns_a_row.saturating_mul(2) < limit.ns_max || !is_busy { self.low + 1 } else { 0 };
        if self.high >= HIGH_MIN {
            self.high = 0;
            return self.hold_back(limit, ns_a_row);
        }
        if self.low >= LOW_MIN {
            self.low = 0;
            return self.let_go();
        }
        None
    }

    fn hold_back(&mut self, limit: WorkLimit, ns_a_row: u64) -> Option<Measure> {
        match limit.beyond {
            Beyond::Stop => {
                let why = format!("it worked {ns_a_row} ns a row, and may work {}", limit.ns_max);
                Some(Measure::Stop(why))
            }
            Beyond::Fold if self.folds => None,
            Beyond::Fold => {
                self.folds = true;
                Some(Measure::Fold(true))
            }
            Beyond::Sample => {
                let times = u32::try_from(ns_a_row.div_ceil(limit.ns_max)).unwrap_or(u32::MAX);
                let before = self.one_in;
                self.one_in = before.saturating_mul(times).min(ONE_IN_MAX);
                (self.one_in > before).then_some(Measure::Sample(self.one_in))
            }
        }
    }

    fn let_go(&mut self) -> Option<Measure> {
        if std::mem::take(&mut self.folds) {
            return Some(Measure::Fold(false));
        }
        let before = self.one_in;
        self.one_in = (before / 2).max(1);
        (self.one_in < before).then_some(Measure::Sample(self.one_in))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is done in so many seconds, in each of which a million rows cost so much each.
    fn seconds(meter: &mut Meter, count: i64, ns_a_row: u64) -> Vec<Measure> {
        let mut measures = vec![];
        for _ in 0..count {
            let (time, work, rows) = meter.last;
            let (rows, work) = (rows + 1_000_000, work + 1_000_000 * ns_a_row);
            measures.extend(meter.look(EventTime(time.0 + SPAN_NS), work, rows));
        }
        measures
    }

    fn meter(beyond: Beyond) -> Meter {
        Meter::new(Some(WorkLimit { ns_max: 100, beyond }), EventTime(0))
    }

    #[test]
    fn a_query_is_sampled_as_much_as_it_needs_and_as_long() {
        let mut meter = meter(Beyond::Sample);
        assert_eq!(seconds(&mut meter, 20, 100), []);
        assert_eq!(seconds(&mut meter, 2, 250), [], "it may be an accident");
        assert_eq!(seconds(&mut meter, 1, 250), [Measure::Sample(3)]);
        assert!(meter.reason().unwrap().starts_with("it reads one row of 3: "));
        assert_eq!(seconds(&mut meter, 20, 90), [], "that is what it may");
        assert_eq!(seconds(&mut meter, 3, 150), [Measure::Sample(6)]);
        assert_eq!(seconds(&mut meter, 20, 10), [Measure::Sample(3), Measure::Sample(1)]);
        assert_eq!((meter.reason(), meter.ns_a_row()), (None, Some(10)));
        assert_eq!(seconds(&mut meter, 20, 10), []);
    }

    #[test]
    fn a_query_is_folded_and_let_go_or_stopped() {
        let mut folded = meter(Beyond::Fold);
        assert_eq!(seconds(&mut folded, 9, 101), [Measure::Fold(true)]);
        assert_eq!(seconds(&mut folded, 10, 49), [Measure::Fold(false)]);
        let stopped = seconds(&mut meter(Beyond::Stop), 3, 101);
        assert_eq!(stopped, [Measure::Stop("it worked 101 ns a row, and may work 100".to_owned())]);
    }

    #[test]
    fn what_was_held_back_is_let_go_when_little_comes() {
        let mut meter = meter(Beyond::Sample);
        assert_eq!(seconds(&mut meter, 3, 400), [Measure::Sample(4)]);
        let mut measures = vec![];
        for number in 1..=20 {
            let (time, work, rows) = meter.last;
            // Ten rows that cost much, since windows close, or none at all.
            let come = 10 * u64::from(number <= 10);
            measures.extend(meter.look(EventTime(time.0 + SPAN_NS), work + 9_000 * come, rows + come));
        }
        assert_eq!(measures, [Measure::Sample(2), Measure::Sample(1)]);
    }

    #[test]
    fn what_takes_little_in_all_is_left_alone() {
        let mut meter = meter(Beyond::Stop);
        for second in 1..100_i64 {
            let rows = second.unsigned_abs();
            assert_eq!(meter.look(EventTime(second * SPAN_NS), rows * 9_000_000, rows), None);
        }
        assert_eq!(meter.ns_a_row(), Some(9_000_000));
    }
}
