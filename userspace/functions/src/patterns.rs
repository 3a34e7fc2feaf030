//! Regular expressions that stand in a column.
//!
//! Each of a batch is made into a program before it is tried, which takes megabytes where it repeats much, and all are
//! kept until the batch has ended. So there may be few of them; one that is a literal is one.

use crate::argument::nullable_like_arguments;
use datafusion::arrow::array::AsArray as _;
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use std::collections::HashSet;

/// Different patterns in a batch of rows, each with different flags.
const PATTERNS_MAX: usize = 32;

/// Functions whose second argument is a pattern, and where its flags are.
const MATCHING: [(&str, usize); 5] = [
    ("regexp_count", 3),
    ("regexp_instr", 4),
    ("regexp_like", 2),
    ("regexp_match", 2),
    ("regexp_replace", 3),
];

/// Whether a function has a pattern.
pub(crate) fn is_matching(name: &str) -> bool {
    MATCHING.iter().any(|(known, _)| *known == name)
}

/// Refuses a call with too many patterns.
pub(crate) fn check_patterns(name: &str, arguments: &[ColumnarValue]) -> Result<()> {
    let Some((_, flags)) = MATCHING.into_iter().find(|(known, _)| *known == name) else { return Ok(()) };
    let of = |place: usize| arguments.get(place).map_or(Ok(1), different);
    check(name, of(1)?.saturating_mul(of(flags)?))
}

fn check(name: &str, patterns: usize) -> Result<()> {
    if patterns <= PATTERNS_MAX {
        return Ok(());
    }
    exec_err!(
        "{name} has more than {PATTERNS_MAX} different patterns at once; write the pattern as a literal"
    )
}

/// How many different texts a value has, once there are too many at least so many.
fn different(value: &ColumnarValue) -> Result<usize> {
    let ColumnarValue::Array(column) = value else { return Ok(1) };
    let texts = cast(column, &DataType::Utf8)?;
    let mut known: HashSet<&str> = HashSet::new();
    for text in texts.as_string::<i32>().iter().flatten() {
        known.insert(text);
        if known.len() > PATTERNS_MAX {
            break;
        }
    }
    Ok(known.len().max(1))
}

/// What stands behind `~` and SIMILAR TO, if there is not too much of it. Its argument is what it gives.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Pattern(Signature);

impl Pattern {
    pub(crate) fn new() -> Self {
        Self(Signature::any(1, Volatility::Immutable))
    }
}

impl ScalarUDFImpl for Pattern {
    fn name(&self) -> &'static str {
        "pattern"
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        Ok(args.iter().map(|pattern| pattern.schema_name().to_string()).collect())
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(arguments.first().cloned().unwrap_or(DataType::Null))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let kinds: Vec<DataType> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        Ok(nullable_like_arguments(self.name(), self.return_type(&kinds)?, &args))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(pattern) = args.args.into_iter().next() else { return exec_err!("a pattern is missing") };
        check("what is matched", different(&pattern)?)?;
        Ok(pattern)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::StringArray;
    use datafusion::common::ScalarValue;
    use std::sync::Arc;

    fn column(patterns: usize) -> ColumnarValue {
        let texts = (0..100).map(|row| format!("a{}", row % patterns));
        ColumnarValue::Array(Arc::new(texts.map(Some).collect::<StringArray>()))
    }

    #[test]
    fn few_patterns_are_matched() {
        let literal = ColumnarValue::Scalar(ScalarValue::from("a"));
        let is_fine = |name: &str, arguments: &[ColumnarValue]| check_patterns(name, arguments).is_ok();
        assert!(is_fine("regexp_like", &[column(100), literal.clone()]));
        assert!(is_fine("regexp_like", &[literal.clone(), column(PATTERNS_MAX)]));
        assert!(!is_fine("regexp_like", &[literal.clone(), column(PATTERNS_MAX + 1)]));
        assert!(!is_fine("regexp_like", &[literal.clone(), column(10), column(10)]));
        assert!(is_fine("regexp_replace", &[literal.clone(), literal.clone(), column(100)]));
        assert!(!is_fine("regexp_replace", &[literal.clone(), column(20), literal.clone(), column(2)]));
        assert!(is_fine("strpos", &[literal, column(100)]));
    }
}
