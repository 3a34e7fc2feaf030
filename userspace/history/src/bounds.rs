//! Which windows a condition can be true for: what lies elsewhere is not read.

use crate::place::Hour;
use datafusion::arrow::array::{AsArray as _, BooleanArray, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type, TimeUnit};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{BinaryExpr, Cast, Expr, Operator};
use tapline_query::{WINDOW_END, WINDOW_START};
use tapline_record::EventTime;

/// Nanoseconds since the epoch, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    least: i64,
    most: i64,
}

const ALL: Range = Range { least: i64::MIN, most: i64::MAX };

impl Range {
    const fn has(self, value: i64) -> bool {
        self.least <= value && value <= self.most
    }
}

/// Where starts and ends of windows lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    start: Range,
    end: Range,
}

impl Bounds {
    /// What all of these conditions leave.
    pub(crate) fn of<'a>(filters: impl IntoIterator<Item = &'a Expr>) -> Self {
        let mut bounds = Self { start: ALL, end: ALL };
        filters.into_iter().for_each(|filter| bounds.narrow(filter));
        bounds
    }

    /// Whether they leave out nothing.
    pub(crate) fn are_open(&self) -> bool {
        *self == Self { start: ALL, end: ALL }
    }

    fn narrow(&mut self, filter: &Expr) {
        match filter {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
                self.narrow(left);
                self.narrow(right);
            }
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
                if let (Some(column), Some(value)) = (column(left), nanoseconds(right)) {
                    self.compare(column, *op, value);
                } else if let (Some(value), Some(column)) = (nanoseconds(left), column(right))
                    && let Some(op) = op.swap()
                {
                    self.compare(column, op, value);
                }
            }
            Expr::Between(between) if !between.negated => {
                let values = nanoseconds(&between.low).zip(nanoseconds(&between.high));
                if let Some((column, (low, high))) = column(&between.expr).zip(values) {
                    self.compare(column, Operator::GtEq, low);
                    self.compare(column, Operator::LtEq, high);
                }
            }
            _ => {}
        }
    }

    /// Takes `column op value` into account.
    fn compare(&mut self, column: Column, op: Operator, value: i64) {
        let range = match column {
            Column::Start => &mut self.start,
            Column::End => &mut self.end,
        };
        match op {
            Operator::Gt => range.least = range.least.max(value.saturating_add(1)),
            Operator::GtEq => range.least = range.least.max(value),
            Operator::Lt => range.most = range.most.min(value.saturating_sub(1)),
            Operator::LtEq => range.most = range.most.min(value),
            Operator::Eq => {
                range.least = range.least.max(value);
                range.most = range.most.min(value);
            }
            _ => {}
        }
    }

    /// Whether a condition says nothing but which windows these are: what is within its bounds fulfils it.
    pub(crate) fn say_all_of(filter: &Expr) -> bool {
        let is_exact = |expr: &Expr| column(expr).is_some() && !has_microseconds(expr);
        match filter {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
                Self::say_all_of(left) && Self::say_all_of(right)
            }
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
                let is_known =
                    [Operator::Gt, Operator::GtEq, Operator::Lt, Operator::LtEq, Operator::Eq].contains(op);
                let is_of = |one: &Expr, other: &Expr| is_exact(one) && nanoseconds(other).is_some();
                is_known && (is_of(left, right) || is_of(right, left))
            }
            Expr::Between(between) => {
                let are_times = nanoseconds(&between.low).is_some() && nanoseconds(&between.high).is_some();
                !between.negated && is_exact(&between.expr) && are_times
            }
            _ => false,
        }
    }

    /// The columns that tell whether a row is within them.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &'static str> {
        let start = (self.start != ALL).then_some(WINDOW_START);
        start.into_iter().chain((self.end != ALL).then_some(WINDOW_END))
    }

    /// Which rows are within them.
    pub(crate) fn mask(&self, batch: &RecordBatch) -> Result<BooleanArray> {
        let mut within = vec![true; batch.num_rows()];
        for (name, range) in [(WINDOW_START, self.start), (WINDOW_END, self.end)] {
            let Some(column) = batch.column_by_name(name).filter(|_| range != ALL) else { continue };
            let nanoseconds = cast(column, &DataType::Timestamp(TimeUnit::Nanosecond, None))?;
            let nanoseconds = cast(&nanoseconds, &DataType::Int64)?;
            let times = nanoseconds.as_primitive::<Int64Type>().iter();
            within.iter_mut().zip(times).for_each(|(within, time)| {
                *within &= time.is_some_and(|time| range.has(time));
            });
        }
        Ok(BooleanArray::from(within))
    }

    /// Whether all windows that begin in this hour are within them.
    pub(crate) fn cover(&self, hour: Hour) -> bool {
        let (EventTime(start), EventTime(end)) = (hour.start(), hour.end());
        self.start.has(start) && self.start.has(end - 1) && self.end == ALL
    }

    /// Whether windows that begin in this hour may be among them.
    pub(crate) fn has_hour(&self, hour: Hour) -> bool {
        let (EventTime(start), EventTime(end)) = (hour.start(), hour.end());
        self.start.least < end && self.start.most >= start && self.end.most > start
    }
}

#[derive(Clone, Copy, Debug)]
enum Column {
    Start,
    End,
}

/// The column of a window that this is, in whichever unit.
fn column(expr: &Expr) -> Option<Column> {
    match expr {
        Expr::Column(column) if column.name == WINDOW_START => Some(Column::Start),
        Expr::Column(column) if column.name == WINDOW_END => Some(Column::End),
        // Coarser units would make later moments equal to earlier ones.
        Expr::Cast(cast) if is_fine(cast.field.data_type()) && !is_moved(cast) => column(&cast.expr),
        _ => None,
    }
}

/// Whether moments become others: those without a zone are taken for those that clocks of a zone show.
fn is_moved(cast: &Cast) -> bool {
    let is_shown = |expr: &Expr| match expr {
        Expr::Cast(cast) => matches!(cast.field.data_type(), DataType::Timestamp(_, None)),
        _ => false,
    };
    matches!(cast.field.data_type(), DataType::Timestamp(_, Some(_))) && is_shown(&cast.expr)
}

const fn is_fine(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Timestamp(TimeUnit::Nanosecond | TimeUnit::Microsecond, _))
}

/// Whether a column is looked at in a unit in which two moments may be one.
fn has_microseconds(expr: &Expr) -> bool {
    match expr {
        Expr::Cast(cast) => {
            matches!(cast.field.data_type(), DataType::Timestamp(TimeUnit::Microsecond, _))
                || has_microseconds(&cast.expr)
        }
        _ => false,
    }
}

/// The moment that this is.
fn nanoseconds(expr: &Expr) -> Option<i64> {
    let Expr::Literal(value, _) = expr else { return None };
    match value {
        ScalarValue::TimestampNanosecond(value, _) => *value,
        ScalarValue::TimestampMicrosecond(value, _) => value.map(|value| value.saturating_mul(1_000)),
        ScalarValue::TimestampMillisecond(value, _) => value.map(|value| value.saturating_mul(1_000_000)),
        ScalarValue::TimestampSecond(value, _) => value.map(|value| value.saturating_mul(1_000_000_000)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::prelude::{col, lit};

    const HOUR_US: i64 = 3_600_000_000;

    fn at(hours: i64) -> Expr {
        lit(ScalarValue::TimestampMicrosecond(Some(hours * HOUR_US), Some("UTC".into())))
    }

    fn hours(filters: &[Expr]) -> Vec<i64> {
        let bounds = Bounds::of(filters);
        let hour = |number: &i64| Hour::of(EventTime(number * HOUR_US * 1_000));
        (0..8).filter(|number| bounds.has_hour(hour(number))).collect()
    }

    #[test]
    fn only_hours_that_may_matter_are_read() {
        let start = || col(WINDOW_START);
        assert_eq!(hours(&[start().gt_eq(at(5))]), [5, 6, 7]);
        assert_eq!(hours(&[at(5).gt(start())]), [0, 1, 2, 3, 4]);
        assert_eq!(hours(&[start().eq(at(3))]), [3]);
        assert_eq!(hours(&[start().between(at(2), at(3))]), [2, 3]);
        assert_eq!(hours(&[start().gt(at(2)), col(WINDOW_END).lt_eq(at(4))]), [2, 3]);
        assert_eq!(hours(&[start().gt_eq(at(2)).and(start().lt(at(3)))]), [2]);
        assert_eq!(hours(&[start().lt(at(2)).or(start().gt(at(5)))]).len(), 8, "nothing is known of OR");
        assert_eq!(hours(&[start().not_between(at(2), at(3))]).len(), 8);
        assert!(Bounds::of(&[col("n").gt(lit(1))]).are_open());
        assert!(!Bounds::of(&[start().gt(at(1))]).are_open());
    }

    #[test]
    fn an_hour_is_covered_where_all_of_its_windows_are_meant() {
        let covered = |filter: &Expr| {
            let (bounds, hour) =
                (Bounds::of([filter]), |number: &i64| Hour::of(EventTime(number * HOUR_US * 1_000)));
            (0..8).filter(|number| bounds.cover(hour(number))).collect::<Vec<i64>>()
        };
        let start = || col(WINDOW_START);
        let later = |minutes: i64| {
            lit(ScalarValue::TimestampMicrosecond(
                Some(2 * HOUR_US + minutes * 60_000_000),
                Some("UTC".into()),
            ))
        };
        assert_eq!(covered(&start().gt_eq(at(2)).and(start().lt(at(4)))), [2, 3]);
        assert_eq!(covered(&start().gt(at(2)).and(start().lt(at(4)))), [3]);
        assert_eq!(covered(&start().gt_eq(later(1)).and(start().lt(at(5)))), [3, 4]);
        assert_eq!(covered(&col(WINDOW_END).lt_eq(at(4))), [0; 0], "a window may end later");
        assert!(Bounds::say_all_of(&start().gt_eq(at(2)).and(at(4).gt(start()))));
        for unsaid in [
            start().not_eq(at(2)),
            start().gt(at(2)).or(start().lt(at(1))),
            start().gt(at(2)).and(col("n").gt(lit(1))),
            start().not_between(at(2), at(3)),
        ] {
            assert!(!Bounds::say_all_of(&unsaid), "{unsaid}");
        }
    }

    #[test]
    fn a_column_is_none_of_moments_any_more_where_another_zone_reads_it() {
        let cast = |expr: Expr, zone: Option<&str>| {
            let zoned = DataType::Timestamp(TimeUnit::Nanosecond, zone.map(Into::into));
            Expr::Cast(Cast::new(Box::new(expr), zoned))
        };
        let start = || col(WINDOW_START);
        for same in [cast(start(), None), cast(start(), Some("Europe/Berlin"))] {
            assert!(Bounds::say_all_of(&same.clone().gt_eq(at(2))), "{same}");
            assert_eq!(hours(&[same.gt_eq(at(6))]), [6, 7]);
        }
        let other = cast(cast(start(), None), Some("Europe/Berlin"));
        assert!(!Bounds::say_all_of(&other.clone().gt_eq(at(2))), "{other}");
        assert_eq!(hours(&[other.gt_eq(at(6))]).len(), 8, "07:00 in Berlin is 06:00");
    }

    #[test]
    fn rows_within_bounds_are_told_from_others() {
        use datafusion::arrow::array::{ArrayRef, TimestampMicrosecondArray};
        use std::sync::Arc;
        let times = TimestampMicrosecondArray::from(vec![Some(HOUR_US), None, Some(2 * HOUR_US)]);
        let times: ArrayRef = Arc::new(times.with_timezone("UTC"));
        let batch = RecordBatch::try_from_iter([(WINDOW_START, times)]).unwrap();
        let mask = Bounds::of(&[col(WINDOW_START).gt(at(1))]).mask(&batch).unwrap();
        assert_eq!(mask, BooleanArray::from(vec![false, false, true]));
        assert_eq!(Bounds::of(&[]).mask(&batch).unwrap().true_count(), 3);
    }
}
