//! `quantile(x, q)`: the number that the share `q` of the numbers does not exceed, within 0.78 %.
//!
//! `q` is a literal from 0 to 1. NULL and what is not finite are ignored; without numbers the result
//! is NULL. The partial state is one [`DdSketch`] and does not depend on `q`.

use super::aggregate::{checked, second_literal};
use super::argument::refuse;
use super::ddsketch::DdSketch;
use super::sketch::{
    Groups, Rows, SketchAccumulator, SketchFunction, SketchGroups, binary_states, merge_binary,
};
use datafusion::arrow::array::{ArrayRef, AsArray, Float64Array};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Float64Type};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::function::{AccumulatorArgs, AggregateFunctionSimplification, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, GroupsAccumulator, Signature, Volatility};
use std::sync::Arc;

const NAME: &str = "quantile";

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Quantile {
    signature: Signature,
}

impl Quantile {
    pub(super) fn new() -> Self {
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
            [x, q] if is_number(q) => refuse(format!(
                "quantile: the first argument is {x}, not a number; write e.g. quantile(octets, 0.95)"
            )),
            [_, q] => refuse(format!("quantile: q is {q}, not a number; write e.g. quantile(octets, 0.95)")),
            _ => refuse(format!(
                "quantile: {} arguments were given, two are needed; write e.g. quantile(octets, 0.95)",
                arguments.len()
            )),
        }
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
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
        Ok(Box::new(SketchAccumulator::new(QuantileOf { q: q_of(second_literal(&args))? })))
    }

    fn groups_accumulator_supported(&self, _args: AccumulatorArgs) -> bool {
        true
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(SketchGroups::new(QuantileOf { q: q_of(second_literal(&args))? })))
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
}

impl SketchFunction for QuantileOf {
    type Sketch = DdSketch;

    fn update(
        &mut self,
        arguments: &[ArrayRef],
        rows: &Rows<'_>,
        groups: &mut Groups<DdSketch>,
    ) -> Result<()> {
        let numbers = arguments[0].as_primitive::<Float64Type>().values();
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
        let quantiles: Float64Array = sketches.iter().map(|sketch| sketch.quantile(self.q)).collect();
        Ok(Arc::new(quantiles))
    }
}
