//! `sum(x)`: integers of any width add up to 64 bits with a sign, and never wrap.
//!
//! Other types are added up as DataFusion does. Of integers a bound is kept, beyond which no group's sum can be; as
//! long as it fits into 64 bits, so does every sum, and no row is looked at for it. Then sums are kept in 128 bits,
//! where 2^64 rows fit; a result that does not fit into 64 bits is an error.

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array};
use datafusion::arrow::compute::{cast, sum};
use datafusion::arrow::datatypes::{DataType, Decimal128Type, Field, FieldRef, Int64Type};
use datafusion::common::types::{NativeType, logical_float64, logical_int64};
use datafusion::common::{DataFusionError, Result, ScalarValue, exec_datafusion_err};
use datafusion::functions_aggregate::sum::Sum as PlainSum;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDFImpl, Coercion, EmitTo, GroupsAccumulator, ReversedUDAF, Signature,
    TypeSignature, TypeSignatureClass, Volatility,
};
use std::sync::Arc;

/// The function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Sum {
    signature: Signature,
    plain: PlainSum,
}

/// Sums that may be beyond 64 bits.
const WIDE: DataType = DataType::Decimal128(38, 0);

impl Sum {
    pub(crate) fn new() -> Self {
        let exact = |class| TypeSignature::Coercible(vec![Coercion::new_exact(class)]);
        let implicit = |class, sources, target| {
            TypeSignature::Coercible(vec![Coercion::new_implicit(class, sources, target)])
        };
        let integers = TypeSignatureClass::Native(logical_int64());
        let floats = TypeSignatureClass::Native(logical_float64());
        let signatures = vec![
            exact(TypeSignatureClass::Decimal),
            implicit(integers, vec![TypeSignatureClass::Integer], NativeType::Int64),
            implicit(floats, vec![TypeSignatureClass::Float], NativeType::Float64),
            exact(TypeSignatureClass::Duration),
            exact(TypeSignatureClass::Interval),
        ];
        Self { signature: Signature::one_of(signatures, Volatility::Immutable), plain: PlainSum::new() }
    }
}

/// Whether it is a sum of integers, one a row.
fn adds_integers(args: &AccumulatorArgs<'_>) -> bool {
    !args.is_distinct && *args.return_type() == DataType::Int64
}

impl AggregateUDFImpl for Sum {
    fn name(&self) -> &'static str {
        "sum"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.plain.return_type(types)
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        if adds_integers(&args) { Ok(Box::new(OneSum::new(args.name))) } else { self.plain.accumulator(args) }
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        if adds_integers(&args) {
            Ok(Box::new(OneSum::new(args.name)))
        } else {
            self.plain.create_sliding_accumulator(args)
        }
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        self.plain.state_fields(args)
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        self.plain.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        if !adds_integers(&args) {
            return self.plain.create_groups_accumulator(args);
        }
        let name = args.name.to_owned();
        let wide = AccumulatorArgs { return_field: Arc::new(Field::new("wide", WIDE, true)), ..args };
        let wide = self.plain.create_groups_accumulator(wide)?;
        let narrow =
            AccumulatorArgs { return_field: Arc::new(Field::new("sum", DataType::Int64, true)), ..args };
        let narrow = self.plain.create_groups_accumulator(narrow)?;
        Ok(Box::new(GroupSums { name, narrow, wide, bound: Some(0) }))
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

/// What a user is told when a sum does not fit.
fn beyond(name: &str) -> DataFusionError {
    exec_datafusion_err!("{name} is beyond 64 bits; sum floating-point numbers: sum(CAST(x AS DOUBLE))")
}

/// A bound of the sums of some of these, where all are positive and small: only their bits are looked at.
fn small_bound(values: &Int64Array) -> Option<i64> {
    // No number has a bit that is not among these.
    let bits = values.values().iter().fold(0, |bits, value| bits | value);
    let rows = i64::try_from(values.len()).unwrap_or(i64::MAX);
    bits.checked_mul(rows).filter(|bound| *bound >= 0)
}

/// No sum of some of these is further from zero than this; `None` when that is beyond 64 bits.
fn exact_bound(values: &Int64Array) -> Option<i64> {
    let mut values = values.values().iter();
    values.try_fold(0_i64, |sum, value| sum.checked_add(value.checked_abs()?))
}

/// The sum for each group.
struct GroupSums {
    name: String,
    narrow: Box<dyn GroupsAccumulator>,
    wide: Box<dyn GroupsAccumulator>,
    /// No group's sum is further from zero; `None` when that is beyond 64 bits, and sums are the wide ones.
    bound: Option<i64>,
}

impl GroupSums {
    /// Adds these to the bound; sums become wide when it does not hold any longer.
    fn raise_bound(&mut self, values: &Int64Array) -> Result<()> {
        let Some(bound) = self.bound else { return Ok(()) };
        let raised = |more: Option<i64>| more.and_then(|more| bound.checked_add(more));
        self.bound = raised(small_bound(values)).or_else(|| raised(exact_bound(values)));
        if self.bound.is_some() {
            return Ok(());
        }
        let sums = self.narrow.evaluate(EmitTo::All)?;
        let groups: Vec<usize> = (0..sums.len()).collect();
        self.wide.merge_batch(&[cast(&sums, &WIDE)?], &groups, groups.len())
    }

    /// The sums of groups, which must fit.
    fn take(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        let is_wide = self.bound.is_none();
        if matches!(emit, EmitTo::All) {
            self.bound = Some(0);
        }
        if !is_wide {
            return self.narrow.evaluate(emit);
        }
        let sums = self.wide.evaluate(emit)?;
        let sums = sums.as_primitive::<Decimal128Type>();
        let narrow =
            sums.try_unary::<_, Int64Type, _>(|sum| i64::try_from(sum).map_err(|_| beyond(&self.name)));
        Ok(Arc::new(narrow?))
    }
}

impl GroupsAccumulator for GroupSums {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        kept: Option<&BooleanArray>,
        total: usize,
    ) -> Result<()> {
        self.raise_bound(values[0].as_primitive())?;
        if self.bound.is_some() {
            return self.narrow.update_batch(values, groups, kept, total);
        }
        self.wide.update_batch(&[cast(&values[0], &WIDE)?], groups, kept, total)
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], total: usize) -> Result<()> {
        self.update_batch(states, groups, None, total)
    }

    fn evaluate(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        self.take(emit)
    }

    fn state(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.take(emit)?])
    }

    fn convert_to_state(&self, values: &[ArrayRef], kept: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        self.narrow.convert_to_state(values, kept)
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.name.capacity() + self.narrow.size() + self.wide.size()
    }
}

/// The sum of all rows, or of those in a frame that slides over them.
#[derive(Debug)]
struct OneSum {
    name: String,
    sum: i128,
    /// Numbers in it; without any, it is NULL.
    numbers: usize,
}

impl OneSum {
    fn new(name: &str) -> Self {
        Self { name: name.to_owned(), sum: 0, numbers: 0 }
    }
}

/// The sum of these, whatever it is.
fn exact_sum(values: &Int64Array) -> i128 {
    match small_bound(values) {
        Some(_) => sum(values).map_or(0, i128::from),
        None => values.iter().flatten().map(i128::from).sum(),
    }
}

impl Accumulator for OneSum {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = values[0].as_primitive::<Int64Type>();
        self.sum += exact_sum(values);
        self.numbers += values.len() - values.null_count();
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = values[0].as_primitive::<Int64Type>();
        self.sum -= exact_sum(values);
        self.numbers -= values.len() - values.null_count();
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let sum = i64::try_from(self.sum).map_err(|_| beyond(&self.name))?;
        Ok(ScalarValue::Int64((self.numbers > 0).then_some(sum)))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.name.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(values: &[Option<i64>]) -> ArrayRef {
        Arc::new(values.iter().copied().collect::<Int64Array>())
    }

    /// The function's accumulator for groups of integers.
    fn group_sums() -> Box<dyn GroupsAccumulator> {
        let field = Arc::new(Field::new("x", DataType::Int64, true));
        let args = AccumulatorArgs {
            return_field: field.clone(),
            schema: &datafusion::arrow::datatypes::Schema::empty(),
            ignore_nulls: false,
            order_bys: &[],
            is_reversed: false,
            name: "sum(x)",
            is_distinct: false,
            exprs: &[],
            expr_fields: &[field],
        };
        Sum::new().create_groups_accumulator(args).unwrap()
    }

    #[test]
    fn sums_on_the_way_may_be_beyond_what_the_result_is() {
        let mut sums = group_sums();
        sums.update_batch(&[column(&[Some(i64::MAX), Some(5), None])], &[0, 1, 2], None, 3).unwrap();
        sums.update_batch(&[column(&[Some(i64::MAX), Some(-7)])], &[0, 1], None, 3).unwrap();
        sums.update_batch(&[column(&[Some(-i64::MAX), Some(1)])], &[0, 3], None, 4).unwrap();
        assert_eq!(&sums.evaluate(EmitTo::All).unwrap(), &column(&[Some(i64::MAX), Some(-2), None, Some(1)]));
        sums.merge_batch(&[column(&[Some(3), Some(4)])], &[0, 0], 1).unwrap();
        assert_eq!(&sums.evaluate(EmitTo::All).unwrap(), &column(&[Some(7)]), "it begins anew");
    }

    #[test]
    fn a_sum_beyond_64_bits_is_an_error_in_each_accumulator() {
        for far in [i64::MAX, i64::MIN] {
            let values = [column(&[Some(far), Some(far), Some(1), Some(1)])];
            let mut sums = group_sums();
            sums.update_batch(&values, &[1, 1, 0, 0], None, 2).unwrap();
            assert!(sums.evaluate(EmitTo::All).unwrap_err().to_string().contains("sum(x) is beyond 64 bits"));
            let mut sums = group_sums();
            sums.merge_batch(&values, &[0; 4], 1).unwrap();
            assert!(sums.state(EmitTo::All).is_err());
            let mut one = OneSum::new("sum(x)");
            one.update_batch(&values).unwrap();
            assert!(one.evaluate().is_err());
            one.retract_batch(&[column(&[Some(far), None])]).unwrap();
            one.retract_batch(&[column(&[Some(1), Some(1)])]).unwrap();
            assert_eq!(one.evaluate().unwrap(), ScalarValue::Int64(Some(far)));
        }
        assert_eq!(OneSum::new("sum(x)").evaluate().unwrap(), ScalarValue::Int64(None));
    }
}
