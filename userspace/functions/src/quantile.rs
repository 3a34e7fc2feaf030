//! `quantile(x, q)`: the number, or the duration, that the share `q` of them does not exceed, within 0.78 %.
//!
//! `q` is a literal from 0 to 1. A duration is a difference of times; it is counted in nanoseconds. NULL and what is not finite are ignored; without numbers the result
//! is NULL. The partial state is one [`DdSketch`] and does not depend on `q`.

use crate::aggregate::{checked, second_literal};
use crate::argument::refuse;
use crate::ddsketch::DdSketch;
use crate::sketch::{
    Groups, Rows, SketchAccumulator, SketchFunction, SketchGroups, binary_states, merge_binary,
};
use datafusion::arrow::array::{ArrayRef, AsArray, DurationNanosecondArray, Float64Array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Float64Type, TimeUnit};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::function::{AccumulatorArgs, AggregateFunctionSimplification, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, GroupsAccumulator, Signature, Volatility};
use std::sync::Arc;

const NAME: &str = "quantile";
const NANOSECONDS: DataType = DataType::Duration(TimeUnit::Nanosecond);

#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Quantile {
    signature: Signature,
}

impl Quantile {
    pub(crate) fn new() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl AggregateUDFImpl for Quantile {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        match arguments {
            [x, q] if is_number(x) && is_number(q) => Ok(vec![DataType::Float64; 2]),
            [DataType::Duration(_), q] if is_number(q) => Ok(vec![NANOSECONDS, DataType::Float64]),
            [x, q] if is_number(q) => refuse(format!(
                "quantile: the first argument is {x}, neither a number nor a duration; \
                 write e.g. quantile(octets, 0.95) or quantile(end_time - start_time, 0.95)"
            )),
            [_, q] => refuse(format!("quantile: q is {q}, not a number; write e.g. quantile(octets, 0.95)")),
            _ => refuse(format!(
                "quantile: {} arguments were given, two are needed; write e.g. quantile(octets, 0.95)",
                arguments.len()
            )),
        }
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(match arguments {
            [NANOSECONDS, ..] => NANOSECONDS,
            _ => DataType::Float64,
        })
    }

    fn simplify(&self) -> Option<AggregateFunctionSimplification> {
        Some(checked(NAME, |q| q_of(q).map(drop)))
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let name = format_state_name(args.name, "ddsketch");
        Ok(vec![Arc::new(Field::new(name, DataType::Binary, true))])
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(SketchAccumulator::new(QuantileOf::planned(&args)?)))
    }

    fn groups_accumulator_supported(&self, _args: AccumulatorArgs) -> bool {
        true
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(SketchGroups::new(QuantileOf::planned(&args)?)))
    }
}

/// Numbers, and a bare NULL in the place of one.
fn is_number(kind: &DataType) -> bool {
    kind.is_numeric() || kind.is_null()
}

fn q_of(value: Option<&ScalarValue>) -> Result<f64> {
    match value {
        Some(ScalarValue::Float64(Some(q))) if (0.0..=1.0).contains(q) => Ok(*q),
        Some(value) => refuse(format!("quantile: q is {value}; write a number from 0 to 1, e.g. 0.95")),
        None => refuse("quantile: q is not a literal; write a number from 0 to 1, e.g. 0.95"),
    }
}

#[derive(Clone, Debug)]
struct QuantileOf {
    q: f64,
    of_durations: bool,
}

impl QuantileOf {
    fn planned(args: &AccumulatorArgs<'_>) -> Result<Self> {
        Ok(Self { q: q_of(second_literal(args))?, of_durations: *args.return_type() == NANOSECONDS })
    }
}

impl SketchFunction for QuantileOf {
    type Sketch = DdSketch;

    fn update(
        &mut self,
        arguments: &[ArrayRef],
        rows: &Rows<'_>,
        groups: &mut Groups<DdSketch>,
    ) -> Result<()> {
        let numbers = numbers(&arguments[0])?;
        let numbers = numbers.as_primitive::<Float64Type>().values();
        let mut count_run = |(number, group, length): (f64, usize, u64)| {
            if length > 0 {
                groups.change(group, |sketch| sketch.add(number, length));
            }
        };
        // Equal numbers in a row, as lengths of packets often are, cost one step.
        let mut run = (0.0, 0, 0);
        rows.for_each(|row, group| {
            let number = numbers[row];
            if number.to_bits() == f64::to_bits(run.0) && group == run.1 {
                run.2 += 1;
            } else {
                count_run(std::mem::replace(&mut run, (number, group, 1)));
            }
        });
        count_run(run);
        Ok(())
    }

    fn merge(&mut self, states: &[ArrayRef], targets: &[usize], groups: &mut Groups<DdSketch>) -> Result<()> {
        merge_binary(states, targets, groups, DdSketch::merge)
    }

    fn state(&self, sketches: &[DdSketch]) -> Result<Vec<ArrayRef>> {
        Ok(vec![Arc::new(binary_states(sketches, DdSketch::write))])
    }

    fn evaluate(&self, sketches: &[DdSketch]) -> Result<ArrayRef> {
        let quantiles = sketches.iter().map(|sketch| sketch.quantile(self.q));
        if self.of_durations {
            let nanoseconds = quantiles.map(|quantile| quantile.map(|quantile| quantile.round() as i64));
            return Ok(Arc::new(nanoseconds.collect::<DurationNanosecondArray>()));
        }
        Ok(Arc::new(quantiles.collect::<Float64Array>()))
    }
}

/// The values as numbers, durations by their nanoseconds.
fn numbers(values: &ArrayRef) -> Result<ArrayRef> {
    if *values.data_type() != NANOSECONDS {
        return Ok(Arc::clone(values));
    }
    Ok(cast(&cast(values, &DataType::Int64)?, &DataType::Float64)?)
}
