//! Which windows a condition can be true for: what lies elsewhere is not read.

use crate::place::Hour;
use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::statistics::Statistics;
use tapline_query::{WINDOW_END, WINDOW_START};
use tapline_record::EventTime;

/// Nanoseconds since the epoch, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    least: i64,
    most: i64,
}

const ALL: Range = Range { least: i64::MIN, most: i64::MAX };

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

    /// Takes `column op value` into account; what is less than a value is taken for no more than it.
    fn compare(&mut self, column: Column, op: Operator, value: i64) {
        let range = match column {
            Column::Start => &mut self.start,
            Column::End => &mut self.end,
        };
        if matches!(op, Operator::Gt | Operator::GtEq | Operator::Eq) {
            range.least = range.least.max(value);
        }
        if matches!(op, Operator::Lt | Operator::LtEq | Operator::Eq) {
            range.most = range.most.min(value);
        }
    }

    /// Whether windows that begin in this hour may be among them.
    pub(crate) fn has_hour(&self, hour: Hour) -> bool {
        let (EventTime(start), EventTime(end)) = (hour.start(), hour.end());
        self.start.least < end && self.start.most >= start && self.end.most > start
    }

    /// Whether rows of this group may be among them.
    pub(crate) fn has_group(&self, group: &RowGroupMetaData) -> bool {
        [(WINDOW_START, self.start), (WINDOW_END, self.end)].into_iter().all(|(name, range)| {
            let column = group.columns().iter().find(|column| column.column_path().string() == name);
            let Some(Statistics::Int64(found)) = column.and_then(|column| column.statistics()) else {
                return true;
            };
            // Files have microseconds.
            let at = |value: &i64| value.saturating_mul(1_000);
            let is_before = found.max_opt().is_some_and(|most| at(most).saturating_add(999) < range.least);
            let is_behind = found.min_opt().is_some_and(|least| at(least) > range.most);
            !is_before && !is_behind
        })
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
        Expr::Cast(cast) if is_fine(cast.field.data_type()) => column(&cast.expr),
        _ => None,
    }
}

const fn is_fine(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Timestamp(TimeUnit::Nanosecond | TimeUnit::Microsecond, _))
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
        assert_eq!(hours(&[at(5).gt(start())]), [0, 1, 2, 3, 4, 5], "the last one is read in vain");
        assert_eq!(hours(&[start().eq(at(3))]), [3]);
        assert_eq!(hours(&[start().between(at(2), at(3))]), [2, 3]);
        assert_eq!(hours(&[start().gt(at(2)), col(WINDOW_END).lt_eq(at(4))]), [2, 3]);
        assert_eq!(hours(&[start().gt_eq(at(2)).and(start().lt(at(3)))]), [2, 3]);
        assert_eq!(hours(&[start().lt(at(2)).or(start().gt(at(5)))]).len(), 8, "nothing is known of OR");
        assert_eq!(hours(&[start().not_between(at(2), at(3))]).len(), 8);
        assert!(Bounds::of(&[col("n").gt(lit(1))]).are_open());
        assert!(!Bounds::of(&[start().gt(at(1))]).are_open());
    }
}
