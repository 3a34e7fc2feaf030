//! `date_part(part, duration)` and `extract(part FROM duration)`: how long a duration is in a unit.
//!
//! `epoch` gives seconds with their fraction; every other part gives the whole units in all of the duration, as a
//! 64-bit number. Durations are differences of times, such as `max(ts) - min(ts)`.

use crate::argument::{nullable_like_arguments, refuse, rows, text_literal};
use datafusion::arrow::array::{ArrayRef, AsArray, Float64Array, Int64Array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, DurationNanosecondType, FieldRef, TimeUnit};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use std::sync::Arc;

const NAME: &str = "date_part";
const NANOSECONDS: DataType = DataType::Duration(TimeUnit::Nanosecond);
const NANOSECONDS_PER_SECOND: i64 = 1_000_000_000;

/// Names of units, and their nanoseconds.
const UNITS: [(&[&str], i64); 8] = [
    (&["week", "weeks", "w"], 604_800 * NANOSECONDS_PER_SECOND),
    (&["day", "days", "d"], 86_400 * NANOSECONDS_PER_SECOND),
    (&["hour", "hours", "hr", "hrs", "h"], 3600 * NANOSECONDS_PER_SECOND),
    (&["minute", "minutes", "min", "mins", "m"], 60 * NANOSECONDS_PER_SECOND),
    (&["second", "seconds", "sec", "secs", "s"], NANOSECONDS_PER_SECOND),
    (&["millisecond", "milliseconds", "msec", "msecs", "ms", "msecond", "mseconds"], 1_000_000),
    (&["microsecond", "microseconds", "usec", "usecs", "us", "usecond", "useconds"], 1_000),
    (&["nanosecond", "nanoseconds", "nsec", "nsecs", "ns", "nsecond", "nseconds"], 1),
];

#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct DurationPart {
    signature: Signature,
}

impl DurationPart {
    pub(crate) fn new() -> Self {
        Self { signature: Signature::any(2, Volatility::Immutable) }
    }
}

/// What is asked of a duration.
enum Part {
    /// Seconds with their fraction.
    Epoch,
    /// Whole units of so many nanoseconds.
    Units(i64),
}

impl ScalarUDFImpl for DurationPart {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let kind = match part_of(args.scalar_arguments[0])? {
            Part::Epoch => DataType::Float64,
            Part::Units(_) => DataType::Int64,
        };
        Ok(nullable_like_arguments(NAME, kind, &args))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let part = match &args.args[0] {
            ColumnarValue::Scalar(part) => part_of(Some(part))?,
            ColumnarValue::Array(_) => part_of(None)?,
        };
        let durations = cast(&rows(&args.args[1])?, &NANOSECONDS)?;
        let durations = durations.as_primitive::<DurationNanosecondType>();
        let parts: ArrayRef = match part {
            Part::Epoch => Arc::new(durations.unary::<_, _>(seconds) as Float64Array),
            Part::Units(unit) => Arc::new(durations.unary::<_, _>(|duration| duration / unit) as Int64Array),
        };
        Ok(ColumnarValue::Array(parts))
    }
}

fn seconds(nanoseconds: i64) -> f64 {
    let whole = nanoseconds / NANOSECONDS_PER_SECOND;
    let fraction = nanoseconds % NANOSECONDS_PER_SECOND;
    whole as f64 + fraction as f64 / NANOSECONDS_PER_SECOND as f64
}

fn part_of(literal: Option<&ScalarValue>) -> Result<Part> {
    let Some(text) = text_literal(literal) else {
        return refuse(
            "date_part: the first argument is not a literal; write e.g. date_part('epoch', end_time - start_time)",
        );
    };
    let wanted = text.trim_matches(['\'', '"']).to_ascii_lowercase();
    if wanted == "epoch" {
        return Ok(Part::Epoch);
    }
    match UNITS.iter().find(|(names, _)| names.contains(&wanted.as_str())) {
        Some((_, unit)) => Ok(Part::Units(*unit)),
        None => refuse(format!(
            "date_part: a duration has no '{wanted}'; write epoch for its seconds with their fraction, or one of \
             week, day, hour, minute, second, millisecond, microsecond and nanosecond"
        )),
    }
}
