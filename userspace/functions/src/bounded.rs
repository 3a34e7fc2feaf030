//! DataFusion's functions that make long texts and lists of short ones, up to a size.
//!
//! A length is a number like others, and who asks may write any; what doubles a text doubles it in each of many
//! subqueries. What does not fit into memory would end the process, and what takes a day holds up a thread. So each call
//! says before it works how much it may give.

use crate::argument::{nullable_like_arguments, text_literal};
use crate::held::held_octets;
use crate::patterns::{check_patterns, is_matching};
use datafusion::arrow::array::{Array as _, ArrayData, ArrayRef, AsArray as _};
use datafusion::arrow::compute::kernels::concat_elements::concat_elements_dyn;
use datafusion::arrow::compute::kernels::length::length;
use datafusion::arrow::compute::{cast, max};
use datafusion::arrow::datatypes::{DataType, FieldRef, Int64Type};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::functions::{string, unicode};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use std::sync::Arc;

/// Octets of what one call gives for a batch of rows, for each of them; of few rows, and of many.
const ROW_OCTETS_MAX: i64 = 16 << 10;
const BATCH_OCTETS_MIN: i64 = 1 << 20;
const BATCH_OCTETS_MAX: i64 = 256 << 20;
/// The same of one that is given no column: whoever reads it may write it beside each of many rows.
const CONSTANT_OCTETS_MAX: i64 = 64 << 10;
/// Octets of a character, and of a number as text, at most.
const CHARACTER_OCTETS: i64 = 4;
const NUMBER_OCTETS: i64 = 40;
/// Characters of one text that are compared with those of another one, for a batch of rows.
const COMPARISONS_MAX: i64 = 100_000_000;

/// What gives more than it is given.
const GROWING: [&str; 26] = [
    "array_append",
    "array_concat",
    "array_prepend",
    "array_replace",
    "array_replace_all",
    "array_replace_n",
    "array_to_string",
    "array_union",
    "concat",
    "concat_ws",
    "date_format",
    "encode",
    "initcap",
    "levenshtein",
    "lower",
    "lpad",
    "make_array",
    "overlay",
    "regexp_replace",
    "repeat",
    "replace",
    "rpad",
    "string_to_array",
    "to_char",
    "translate",
    "upper",
];

/// A function that refuses to give too much.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Bounded(Arc<ScalarUDF>);

impl Bounded {
    /// Those that are asked for while a statement is planned.
    pub(crate) fn all() -> [ScalarUDF; 4] {
        [string::repeat(), string::replace(), unicode::lpad(), unicode::rpad()]
            .map(|function| Self(function).into())
    }

    /// The function with a bound, where it needs one.
    pub(crate) fn of(function: &Arc<ScalarUDF>) -> Option<ScalarUDF> {
        let is_known = GROWING.contains(&function.name()) || is_matching(function.name());
        let needs_one = is_known && !function.inner().is::<Self>();
        needs_one.then(|| Self(Arc::clone(function)).into())
    }

    /// Octets of what it gives for so many rows; no less than that.
    fn foreseen(&self, arguments: &[ColumnarValue], rows: i64) -> Result<i64> {
        let value = |place: usize| arguments.get(place);
        let largest = |place: usize| value(place).map_or(Ok(0), largest);
        let items = || value(0).map_or(Ok(0), |list| items(list, rows));
        let for_all = |count: i64, each: i64| count.saturating_mul(each).saturating_mul(rows);
        let given = all_octets(arguments, rows)?;
        Ok(match self.name() {
            "repeat" => for_all(largest(0)?, largest(1)?),
            // Something may be put in the place of each octet.
            "replace" => for_all(largest(0)?, largest(2)?.max(1)),
            "regexp_replace" => for_all(1, replaced([largest(0)?, largest(2)?], arguments)),
            "lpad" | "rpad" => for_all(largest(1)?, CHARACTER_OCTETS),
            "concat_ws" => {
                let parts = i64::try_from(arguments.len()).unwrap_or(i64::MAX);
                for_all(largest(0)?, parts).saturating_add(given.saturating_mul(CHARACTER_OCTETS))
            }
            "array_to_string" => {
                let around = largest(1)?.saturating_add(largest(2)?).saturating_add(NUMBER_OCTETS);
                items()?.saturating_mul(around).saturating_add(given)
            }
            "array_replace" | "array_replace_all" | "array_replace_n" => {
                let with = value(2).map_or(Ok(0), |value| octets(value, 1))?;
                items()?.saturating_mul(with).saturating_add(given)
            }
            "regexp_match" => for_all(largest(0)?, groups(arguments)),
            "regexp_count" | "regexp_instr" | "regexp_like" => 0,
            // Capital letters, digits of octets and items of lists take more than what they are made of.
            _ => given.saturating_mul(CHARACTER_OCTETS),
        })
    }

    /// Refuses to work for too long.
    fn check_work(&self, arguments: &[ColumnarValue], rows: i64) -> Result<()> {
        let [left, right] = arguments else { return Ok(()) };
        if self.name() != "levenshtein"
            || largest(left)?.saturating_mul(largest(right)?).saturating_mul(rows) <= COMPARISONS_MAX
        {
            return Ok(());
        }
        exec_err!("levenshtein would compare texts that are too long; ask it of shorter ones")
    }
}

/// How many texts a pattern may give of one.
fn groups(arguments: &[ColumnarValue]) -> i64 {
    let brackets = |pattern: &str| i64::try_from(pattern.matches('(').count()).unwrap_or(i64::MAX);
    match arguments.get(1) {
        Some(ColumnarValue::Scalar(pattern)) => text_literal(Some(pattern)).map_or(0, brackets) + 1,
        Some(pattern) => largest(pattern).unwrap_or(i64::MAX - 1) + 1,
        None => 1,
    }
}

/// The octets of a text in which a pattern is replaced, of the length of the text and of what is put in its place.
fn replaced([text, with]: [i64; 2], arguments: &[ColumnarValue]) -> i64 {
    let literal = |place: usize| match arguments.get(place) {
        Some(ColumnarValue::Scalar(value)) => text_literal(Some(value)),
        _ => None,
    };
    let is_once = arguments.len() < 4 || literal(3).is_some_and(|flags| !flags.contains('g'));
    let names_no_group = literal(2).is_some_and(|with| !with.contains(['$', '\\']));
    let places = if is_once { 1 } else { text.saturating_add(1) };
    // What is found is put there as often as it is named.
    let found = if names_no_group { 0 } else { text.saturating_mul(with / 2) };
    text.saturating_add(places.saturating_mul(with)).saturating_add(found)
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

/// A value as a column, and how many rows stand for each of its own.
fn column(value: &ColumnarValue, rows: i64) -> Result<(ArrayRef, i64)> {
    Ok(match value {
        ColumnarValue::Array(column) => (Arc::clone(column), 1),
        ColumnarValue::Scalar(constant) => (constant.to_array()?, rows),
    })
}

/// Octets of a value in so many rows.
fn octets(value: &ColumnarValue, rows: i64) -> Result<i64> {
    let (column, times) = column(value, rows)?;
    let octets = i64::try_from(held_octets(&column)?).unwrap_or(i64::MAX);
    Ok(octets.saturating_mul(times))
}

/// Octets of several values.
fn all_octets(values: &[ColumnarValue], rows: i64) -> Result<i64> {
    let mut all = 0_i64;
    for value in values {
        all = all.saturating_add(octets(value, rows)?);
    }
    Ok(all)
}

/// Items of the lists of a value in so many rows.
fn items(value: &ColumnarValue, rows: i64) -> Result<i64> {
    let (column, times) = column(value, rows)?;
    let items = column.to_data().child_data().first().map_or(0, ArrayData::len);
    Ok(i64::try_from(items).unwrap_or(i64::MAX).saturating_mul(times))
}

/// What one call may give of these arguments.
fn allowed(arguments: &[ColumnarValue], rows: i64) -> i64 {
    let is_constant = arguments.iter().all(|argument| matches!(argument, ColumnarValue::Scalar(_)));
    if is_constant {
        return CONSTANT_OCTETS_MAX;
    }
    rows.saturating_mul(ROW_OCTETS_MAX).clamp(BATCH_OCTETS_MIN, BATCH_OCTETS_MAX)
}

fn check(name: &str, foreseen: i64, allowed: i64) -> Result<()> {
    if foreseen <= allowed {
        return Ok(());
    }
    let kibibytes = allowed >> 10;
    exec_err!("{name} might give more than {kibibytes} KiB at once; ask for shorter texts and lists")
}

/// For how many rows a call works.
fn rows_of(args: &ScalarFunctionArgs) -> i64 {
    let is_column = args.args.iter().any(|argument| matches!(argument, ColumnarValue::Array(_)));
    if is_column { i64::try_from(args.number_rows).unwrap_or(i64::MAX) } else { 1 }
}

impl ScalarUDFImpl for Bounded {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn aliases(&self) -> &[String] {
        self.0.aliases()
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        self.0.schema_name(args)
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
        let rows = rows_of(&args);
        self.check_work(&args.args, rows)?;
        check_patterns(self.name(), &args.args)?;
        check(self.name(), self.foreseen(&args.args, rows)?, allowed(&args.args, rows))?;
        self.0.invoke_with_args(args)
    }
}

/// What `||` does with texts and octets, up to a size.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Joined(Signature);

impl Joined {
    pub(crate) fn new() -> Self {
        Self(Signature::any(2, Volatility::Immutable))
    }
}

impl ScalarUDFImpl for Joined {
    fn name(&self) -> &'static str {
        "||"
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let sides: Vec<String> = args.iter().map(|side| side.schema_name().to_string()).collect();
        Ok(sides.join(" || "))
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        let known = arguments.iter().find(|kind| **kind != DataType::Null);
        Ok(known.cloned().unwrap_or(DataType::Null))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let kinds: Vec<DataType> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        // As of the operator.
        Ok(nullable_like_arguments(self.name(), self.return_type(&kinds)?, &args))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = rows_of(&args);
        check(self.name(), all_octets(&args.args, rows)?, allowed(&args.args, rows))?;
        let [left, right] = args.args.as_slice() else { return exec_err!("|| joins two texts") };
        let is_constant = [left, right].iter().all(|side| matches!(side, ColumnarValue::Scalar(_)));
        let rows = if is_constant { 1 } else { args.number_rows };
        let joined = concat_elements_dyn(&left.to_array(rows)?, &right.to_array(rows)?)?;
        if is_constant {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&joined, 0)?));
        }
        Ok(ColumnarValue::Array(joined))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::{Int64Array, StringArray, StringViewArray};
    use datafusion::functions::{encoding, regex};

    fn text(text: &str) -> ColumnarValue {
        ColumnarValue::Scalar(ScalarValue::from(text))
    }

    #[test]
    fn what_would_be_too_long_is_foreseen() {
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
            assert_eq!(function.foreseen(&arguments, 1).unwrap(), expected, "{arguments:?}");
        }
    }

    #[test]
    fn what_is_replaced_counts_as_often_as_it_may_be() {
        let pattern = Bounded(regex::regexp_replace());
        for (arguments, expected) in [
            (vec![text("aaaa"), text("a"), text("xyz")], 7),
            (vec![text("aaaa"), text("a"), text("xyz"), text("g")], 19),
            (vec![text("aaaa"), text("a"), text("$0$0")], 16),
        ] {
            assert_eq!(pattern.foreseen(&arguments, 1).unwrap(), expected, "{arguments:?}");
        }
    }

    #[test]
    fn constants_are_small_and_columns_are_not() {
        let column = ColumnarValue::Array(Arc::new(StringArray::from(vec!["a"])));
        assert_eq!(allowed(&[text("a")], 1), CONSTANT_OCTETS_MAX);
        assert_eq!(allowed(&[text("a"), column.clone()], 1), BATCH_OCTETS_MIN);
        assert_eq!(allowed(std::slice::from_ref(&column), 4096), 4096 * ROW_OCTETS_MAX);
        assert_eq!(allowed(&[column], i64::MAX), BATCH_OCTETS_MAX);
    }

    #[test]
    fn only_what_grows_is_bounded_and_only_once() {
        let encode = encoding::encode();
        let bounded = Arc::new(Bounded::of(&encode).unwrap());
        assert!(Bounded::of(&bounded).is_none());
        assert!(Bounded::of(&unicode::reverse()).is_none());
    }

    #[test]
    fn texts_that_are_only_looked_at_count() {
        let viewed: ArrayRef = Arc::new(StringViewArray::from(vec!["a".repeat(1000).as_str(); 10]));
        let given = all_octets(&[ColumnarValue::Array(viewed)], 10).unwrap();
        assert!(given >= 10_000, "{given}");
    }

    #[test]
    fn groups_of_a_pattern_are_counted() {
        let matched = Bounded(regex::regexp_match());
        let arguments = [text("aaaa"), text("((a*))")];
        assert_eq!(matched.foreseen(&arguments, 10).unwrap(), 120);
    }

    #[test]
    fn long_texts_are_not_compared() {
        let levenshtein = Bounded(string::levenshtein());
        assert!(levenshtein.check_work(&[text("abc"), text("abd")], 4096).is_ok());
        let long = "a".repeat(50_000);
        assert!(levenshtein.check_work(&[text(&long), text(&long)], 1).is_err());
    }
}
