//! What makes rows of a query an alarm, and who is told.
//!
//! An alert is a condition on the rows of one query, wherever it was said: in the configuration, in the query's file, or
//! to the node that runs. What fires by it is an alarm.

use datafusion::arrow::array::{AsArray as _, BooleanArray, RecordBatch};
use datafusion::arrow::compute::{cast, filter_record_batch};
use datafusion::arrow::datatypes::{DataType, Float64Type};
use datafusion::arrow::error::ArrowError;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::fmt;
use std::time::Duration;

/// What is one alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertBy {
    /// A query, whatever rows it has.
    Whole,
    /// A group of it.
    Key,
}

impl AlertBy {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Whole, Self::Key];

    /// As it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Key => "key",
        }
    }
}

/// How a number is compared with another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `>=`
    AtLeast,
    /// `<=`
    AtMost,
    /// `<>`
    Unequal,
    /// `>`
    Above,
    /// `<`
    Below,
    /// `=`
    Equal,
}

impl Comparison {
    /// All of them; one whose text begins with another one's stands before that.
    pub const ALL: [Self; 6] =
        [Self::AtLeast, Self::AtMost, Self::Unequal, Self::Above, Self::Below, Self::Equal];

    /// As SQL writes it.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::AtLeast => ">=",
            Self::AtMost => "<=",
            Self::Unequal => "<>",
            Self::Above => ">",
            Self::Below => "<",
            Self::Equal => "=",
        }
    }

    /// Whether it holds of a number; of NULL and of what is no number, none does.
    fn holds(self, number: Option<f64>, of: f64) -> bool {
        let Some(ordering) = number.and_then(|number| number.partial_cmp(&of)) else { return false };
        match self {
            Self::AtLeast => ordering != Ordering::Less,
            Self::AtMost => ordering != Ordering::Greater,
            Self::Unequal => ordering != Ordering::Equal,
            Self::Above => ordering == Ordering::Greater,
            Self::Below => ordering == Ordering::Less,
            Self::Equal => ordering == Ordering::Equal,
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.text())
    }
}

/// Which rows of a query are alarms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Condition {
    /// All of them.
    Rows,
    /// Those in which this holds of a number.
    Column {
        /// The place of its column in the SELECT list.
        place: usize,
        /// How it is compared.
        comparison: Comparison,
        /// With what.
        value: f64,
    },
}

impl Condition {
    /// The rows of a SELECT list of which it holds.
    pub(crate) fn rows(self, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let Self::Column { place, comparison, value } = self else { return Ok(batch.clone()) };
        let Some(column) = batch.columns().get(place) else {
            let message = format!("the result has no column {place}");
            return Err(ArrowError::InvalidArgumentError(message));
        };
        let numbers = cast(column, &DataType::Float64)?;
        let holds = numbers.as_primitive::<Float64Type>().iter();
        let holds: BooleanArray = holds.map(|number| Some(comparison.holds(number, value))).collect();
        filter_record_batch(batch, &holds)
    }
}

/// A condition on the rows of a query, and who is told where it holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// All of it but who is told, as it is written: where that is the same, it is the same alert.
    pub text: String,
    /// The condition, as it is written.
    pub said: String,
    /// The condition.
    pub condition: Condition,
    /// What is one alarm.
    pub by: AlertBy,
    /// How long an alarm that goes on is not told again.
    pub cool_down: Duration,
    /// After so many windows without rows it is over; without windows of time, after the cool-down.
    pub resolve_after: u32,
    /// The sinks that tell somebody, by name.
    pub sinks: Vec<String>,
    /// Whether the configuration says it, and not the query.
    pub is_configured: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::{ArrayRef, Float64Array, UInt64Array};
    use datafusion::arrow::datatypes::{Field, Schema};
    use std::sync::Arc;

    fn batch(column: ArrayRef) -> RecordBatch {
        let field = Field::new("n", column.data_type().clone(), true);
        RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![column]).unwrap()
    }

    fn count(column: ArrayRef, comparison: Comparison, value: f64) -> usize {
        let condition = Condition::Column { place: 0, comparison, value };
        condition.rows(&batch(column)).unwrap().num_rows()
    }

    #[test]
    fn a_number_is_compared_whatever_its_type_is() {
        let numbers = || Arc::new(UInt64Array::from(vec![Some(1), Some(2), Some(3), None])) as ArrayRef;
        let expected = [2, 2, 2, 1, 1, 1];
        for (comparison, expected) in Comparison::ALL.into_iter().zip(expected) {
            assert_eq!(count(numbers(), comparison, 2.0), expected, "{comparison}");
        }
        let parts = || Arc::new(Float64Array::from(vec![0.5, f64::NAN])) as ArrayRef;
        for (comparison, expected) in Comparison::ALL.into_iter().zip([1, 1, 0, 0, 0, 1]) {
            assert_eq!(count(parts(), comparison, 0.5), expected, "{comparison}");
        }
        assert_eq!(Condition::Rows.rows(&batch(numbers())).unwrap().num_rows(), 4);
        let beyond = Condition::Column { place: 1, comparison: Comparison::Above, value: 0.0 };
        assert!(beyond.rows(&batch(numbers())).is_err());
    }
}
