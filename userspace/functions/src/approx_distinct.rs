//! `approx_distinct(x)`: how many different values there were, with a standard error of 0.81 %.
//!
//! Takes the place of DataFusion's function of that name, for values of every type: its states for
//! narrow integers take kilobytes a group, and a damaged state makes it panic. The hash has a fixed
//! seed, so that the states of several sensors merge; NULL is not counted.

use crate::aggregate::checked;
use crate::argument::refuse;
use crate::hash::StableHash;
use crate::hyperloglog::HyperLogLog;
use crate::keys::{KeyKind, by_key_kind, key_type};
use crate::sketch::{
    Groups, Rows, SketchAccumulator, SketchFunction, SketchGroups, binary_states, merge_binary,
};
use datafusion::arrow::array::{ArrayRef, UInt64Array};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::function::{AccumulatorArgs, AggregateFunctionSimplification, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, GroupsAccumulator, Signature, Volatility};
use std::sync::Arc;

const NAME: &str = "approx_distinct";
/// The seed of every sensor.
const SEED: u64 = 0;

#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct ApproxDistinct {
    signature: Signature,
}

impl ApproxDistinct {
    pub(crate) fn new() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl AggregateUDFImpl for ApproxDistinct {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        let [x] = arguments else {
            return refuse(format!(
                "approx_distinct: {} arguments were given, one is needed; write e.g. approx_distinct(src_ip)",
                arguments.len()
            ));
        };
        key_type(x).map_or_else(
            || {
                refuse(format!(
                    "approx_distinct: {x} values cannot be counted; give a number, text, time or address"
                ))
            },
            |kind| Ok(vec![kind]),
        )
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::UInt64)
    }

    fn is_nullable(&self) -> bool {
        false
    }

    fn default_value(&self, _kind: &DataType) -> Result<ScalarValue> {
        Ok(ScalarValue::UInt64(Some(0)))
    }

    fn simplify(&self) -> Option<AggregateFunctionSimplification> {
        Some(checked(NAME, |_| Ok(())))
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let name = format_state_name(args.name, "hyperloglog");
        Ok(vec![Arc::new(Field::new(name, DataType::Binary, true))])
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        by_key_kind(
            args.expr_fields[0].data_type(),
            |keys| Box::new(SketchAccumulator::new(DistinctKeys { keys })) as Box<dyn Accumulator>,
            |keys| Box::new(SketchAccumulator::new(DistinctKeys { keys })),
        )
    }

    fn groups_accumulator_supported(&self, _args: AccumulatorArgs) -> bool {
        true
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        by_key_kind(
            args.expr_fields[0].data_type(),
            |keys| Box::new(SketchGroups::new(DistinctKeys { keys })) as Box<dyn GroupsAccumulator>,
            |keys| Box::new(SketchGroups::new(DistinctKeys { keys })),
        )
    }
}

#[derive(Clone, Debug)]
struct DistinctKeys<K> {
    keys: K,
}

impl<K: KeyKind<Key: StableHash>> SketchFunction for DistinctKeys<K> {
    type Sketch = HyperLogLog;

    fn update(
        &mut self,
        arguments: &[ArrayRef],
        rows: &Rows<'_>,
        groups: &mut Groups<HyperLogLog>,
    ) -> Result<()> {
        self.keys.for_each(&arguments[0], rows, |key, _, group| {
            let hash = key.stable_hash(SEED);
            groups.change(group, |sketch| sketch.add(hash));
        })
    }

    fn merge(
        &mut self,
        states: &[ArrayRef],
        targets: &[usize],
        groups: &mut Groups<HyperLogLog>,
    ) -> Result<()> {
        merge_binary(states, targets, groups, HyperLogLog::merge)
    }

    fn state(&self, sketches: &[HyperLogLog]) -> Result<Vec<ArrayRef>> {
        Ok(vec![Arc::new(binary_states(sketches, HyperLogLog::write))])
    }

    fn evaluate(&self, sketches: &[HyperLogLog]) -> Result<ArrayRef> {
        Ok(Arc::new(UInt64Array::from_iter_values(sketches.iter().map(HyperLogLog::estimate))))
    }
}
