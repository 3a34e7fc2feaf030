//! DataFusion's functions that make long texts of short ones, up to a size.
//!
//! A length is a number like others, and who asks may write any: what does not fit into memory would end the process.

use datafusion::arrow::array::{Array as _, AsArray as _};
use datafusion::arrow::compute::kernels::length::length;
use datafusion::arrow::compute::{cast, max};
use datafusion::arrow::datatypes::{DataType, FieldRef, Int64Type};
use datafusion::common::{Result, exec_err};
use datafusion::functions::{string, unicode};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};
use std::sync::Arc;

/// Octets of what one call gives for a batch of rows, as far as they are known before.
const OCTETS_MAX: i64 = 256 << 20;
/// Octets of a character, at most.
const CHARACTER_OCTETS: i64 = 4;

/// A function that refuses to give too much.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Bounded(Arc<ScalarUDF>);

impl Bounded {
    pub(super) fn all() -> [ScalarUDF; 4] {
        [string::repeat(), string::replace(), unicode::lpad(), unicode::rpad()]
            .map(|function| Self(function).into())
    }

    /// Octets of the longest text that it gives; no less than that.
    fn longest(&self, arguments: &[ColumnarValue]) -> Result<i64> {
        let largest = |place: usize| arguments.get(place).map_or(Ok(0), largest);
        Ok(match self.name() {
            "repeat" => largest(0)?.saturating_mul(largest(1)?),
            // Something may be put in the place of each octet.
            "replace" => largest(0)?.saturating_mul(largest(2)?.max(1)),
            _ => largest(1)?.saturating_mul(CHARACTER_OCTETS),
        })
    }
}

/// The largest number of a column, or the length of its longest text.
fn largest(value: &ColumnarValue) -> Result<i64> {
    let values = value.to_array(1)?;
    if *values.data_type() == DataType::Null {
        return Ok(0);
    }
    let numbers = if values.data_type().is_integer() { values } else { length(&values)? };
    let numbers = cast(&numbers, &DataType::Int64)?;
    Ok(max(numbers.as_primitive::<Int64Type>()).unwrap_or(0).max(0))
}

impl ScalarUDFImpl for Bounded {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn aliases(&self) -> &[String] {
        self.0.aliases()
    }

    fn signature(&self) -> &Signature {
        self.0.signature()
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        self.0.coerce_types(arguments)
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        self.0.return_type(arguments)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        self.0.return_field_from_args(args)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let is_column = args.args.iter().any(|argument| matches!(argument, ColumnarValue::Array(_)));
        let rows = if is_column { i64::try_from(args.number_rows).unwrap_or(i64::MAX) } else { 1 };
        let octets = self.longest(&args.args)?.saturating_mul(rows);
        if octets > OCTETS_MAX {
            let megabytes = OCTETS_MAX >> 20;
            return exec_err!("{} would give more than {megabytes} MiB; ask for shorter texts", self.name());
        }
        self.0.invoke_with_args(args)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::{Int64Array, StringArray};
    use datafusion::common::ScalarValue;

    #[test]
    fn what_would_be_too_long_is_foreseen() {
        let text = |text: &str| ColumnarValue::Scalar(ScalarValue::from(text));
        let number = |number: i64| ColumnarValue::Scalar(ScalarValue::from(number));
        let texts = ColumnarValue::Array(Arc::new(StringArray::from(vec![Some("ab"), None, Some("abcd")])));
        let numbers = ColumnarValue::Array(Arc::new(Int64Array::from(vec![Some(-5), None, Some(3)])));
        let nothing = ColumnarValue::Scalar(ScalarValue::Null);
        let [repeat, replace, lpad, rpad] =
            [string::repeat(), string::replace(), unicode::lpad(), unicode::rpad()].map(Bounded);
        for (function, arguments, expected) in [
            (&repeat, vec![text("ab"), number(10)], 20),
            (&repeat, vec![texts.clone(), numbers.clone()], 12),
            (&repeat, vec![text("ab"), number(i64::MAX)], i64::MAX),
            (&repeat, vec![nothing, number(5)], 0),
            (&replace, vec![texts, text("a"), text("xyz")], 12),
            (&replace, vec![text("aaaa"), text("a"), text("")], 4),
            (&lpad, vec![text("a"), number(100), text("x")], 400),
            (&rpad, vec![text("a"), numbers], 12),
        ] {
            assert_eq!(function.longest(&arguments).unwrap(), expected, "{arguments:?}");
        }
    }
}
