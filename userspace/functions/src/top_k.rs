//! `top_k(x, k)`: the `k` most frequent values with their counts, most frequent first, then by value.
//!
//! `k` is a literal from 1 to 1000. Of the n values of a group, NULL left out, every value that makes up
//! more than n / (kept + 1) is found, and no count is too high or further too low than that; kept is
//! eight times `k` and at least 512. A group with no more than twice `kept` different values is exact.
//! Without values the result is NULL. The partial state holds values as they are, their counts and the
//! shortfall of the counts.
//!
//! The list is shorter than `k` when fewer values stand out.

use crate::aggregate::{checked, second_literal};
use crate::argument::{integer_literal, refuse};
use crate::frequent::Frequent;
use crate::keys::{FixedKeys, KeyKind, OctetKeys, OwnedOf, by_key_kind, key_type};
use crate::sketch::{Groups, Rows, SketchAccumulator, SketchFunction, SketchGroups};
use datafusion::arrow::array::{Array, ArrayRef, AsArray, ListArray, StructArray, UInt64Array};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields, UInt64Type};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err};
use datafusion::logical_expr::function::{AccumulatorArgs, AggregateFunctionSimplification, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, GroupsAccumulator, Signature, Volatility};
use std::sync::Arc;

const NAME: &str = "top_k";
const K_MAX: i64 = 1000;
/// Values that are kept for each that is asked for, so that the last ones are right too.
const KEPT_PER_VALUE: usize = 8;
const KEPT_MIN: usize = 512;

#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct TopK {
    signature: Signature,
}

impl TopK {
    pub(crate) fn new() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl AggregateUDFImpl for TopK {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        let [x, k] = arguments else {
            return refuse(format!(
                "top_k: {} arguments were given, two are needed; write e.g. top_k(dst_port, 10)",
                arguments.len()
            ));
        };
        match key_type(x) {
            Some(x) if k.is_integer() => Ok(vec![x, k.clone()]),
            Some(_) => {
                refuse(format!("top_k: k is {k}, not a whole number; write a number from 1 to {K_MAX}"))
            }
            None => {
                refuse(format!("top_k: {x} values cannot be ranked; give a number, text, time or address"))
            }
        }
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::List(entry_field(&arguments[0])))
    }

    fn simplify(&self) -> Option<AggregateFunctionSimplification> {
        Some(checked(NAME, |k| k_of(k).map(drop)))
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let counts = Field::new(format_state_name(args.name, "counts"), args.return_type().clone(), true);
        let shortfall = Field::new(format_state_name(args.name, "shortfall"), DataType::UInt64, true);
        Ok(vec![Arc::new(counts), Arc::new(shortfall)])
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        ranking(
            &args,
            |function| Box::new(SketchAccumulator::new(function)) as Box<dyn Accumulator>,
            |function| Box::new(SketchAccumulator::new(function)),
        )
    }

    fn groups_accumulator_supported(&self, _args: AccumulatorArgs) -> bool {
        true
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        ranking(
            &args,
            |function| Box::new(SketchGroups::new(function)) as Box<dyn GroupsAccumulator>,
            |function| Box::new(SketchGroups::new(function)),
        )
    }
}

/// What a planned call ranks, by the kind of its keys.
fn ranking<R>(
    args: &AccumulatorArgs<'_>,
    fixed: impl FnOnce(Ranking<FixedKeys>) -> R,
    octets: impl FnOnce(Ranking<OctetKeys>) -> R,
) -> Result<R> {
    let k = k_of(second_literal(args))?;
    let kind = args.expr_fields[0].data_type();
    by_key_kind(
        kind,
        |keys| fixed(Ranking { keys, kind: kind.clone(), k }),
        |keys| octets(Ranking { keys, kind: kind.clone(), k }),
    )
}

fn k_of(value: Option<&ScalarValue>) -> Result<usize> {
    if let Some(k) = integer_literal(value).filter(|k| (1..=K_MAX).contains(k)) {
        return Ok(k as usize);
    }
    let given = value.map_or_else(|| "not a literal".to_owned(), ToString::to_string);
    refuse(format!("top_k: k is {given}; write a number from 1 to {K_MAX}, e.g. top_k(dst_port, 10)"))
}

/// A value and its count.
fn entry_fields(kind: &DataType) -> Fields {
    Fields::from(vec![Field::new("value", kind.clone(), true), Field::new("count", DataType::UInt64, false)])
}

fn entry_field(kind: &DataType) -> FieldRef {
    Arc::new(Field::new_list_field(DataType::Struct(entry_fields(kind)), true))
}

#[derive(Clone, Debug)]
struct Ranking<K> {
    keys: K,
    kind: DataType,
    k: usize,
}

impl<K: KeyKind> Ranking<K> {
    fn kept(&self) -> usize {
        (self.k * KEPT_PER_VALUE).max(KEPT_MIN)
    }

    /// One list a sketch, of its `most` most frequent values.
    fn lists(
        &self,
        sketches: &[Frequent<K::Key>],
        most: usize,
        nulls: Option<NullBuffer>,
    ) -> Result<ListArray> {
        let ranked = sketches.iter().map(|sketch| {
            let mut ranked = sketch.ranked();
            ranked.truncate(most);
            ranked
        });
        let ranked: Vec<Vec<(&OwnedOf<K>, u64)>> = ranked.collect();
        let offsets = OffsetBuffer::from_lengths(ranked.iter().map(Vec::len));
        let (keys, counts): (Vec<_>, Vec<_>) = ranked.into_iter().flatten().unzip();
        let columns: Vec<ArrayRef> =
            vec![self.keys.values(keys.into_iter())?, Arc::new(UInt64Array::from(counts))];
        let entries = StructArray::try_new(entry_fields(&self.kind), columns, None)?;
        Ok(ListArray::try_new(entry_field(&self.kind), offsets, Arc::new(entries), nulls)?)
    }
}

impl<K: KeyKind> SketchFunction for Ranking<K> {
    type Sketch = Frequent<K::Key>;

    fn update(
        &mut self,
        arguments: &[ArrayRef],
        rows: &Rows<'_>,
        groups: &mut Groups<Self::Sketch>,
    ) -> Result<()> {
        let kept = self.kept();
        self.keys.for_each(&arguments[0], rows, |key, _, group| {
            groups.change(group, |sketch| sketch.add(key, 1, kept));
        })
    }

    fn merge(
        &mut self,
        states: &[ArrayRef],
        targets: &[usize],
        groups: &mut Groups<Self::Sketch>,
    ) -> Result<()> {
        let state = State::of(states, &self.kind)
            .ok_or_else(|| exec_datafusion_err!("top_k: a partial state is damaged"))?;
        let owners = state.owners(targets);
        let kept = self.kept();
        self.keys.for_each(&state.values, &Rows::new(&state.values, &owners, None), |key, row, group| {
            groups.change(group, |sketch| sketch.add(key, state.counts.value(row), kept));
        })?;
        for (shortfall, group) in state.shortfalls.values().iter().zip(targets) {
            groups.change(*group, |sketch| sketch.add_shortfall(*shortfall));
        }
        Ok(())
    }

    fn state(&self, sketches: &[Self::Sketch]) -> Result<Vec<ArrayRef>> {
        let counts = self.lists(sketches, usize::MAX, None)?;
        let shortfalls = UInt64Array::from_iter_values(sketches.iter().map(Frequent::shortfall));
        Ok(vec![Arc::new(counts), Arc::new(shortfalls)])
    }

    fn evaluate(&self, sketches: &[Self::Sketch]) -> Result<ArrayRef> {
        let seen: NullBuffer = sketches.iter().map(Frequent::has_counted).collect();
        Ok(Arc::new(self.lists(sketches, self.k, Some(seen))?))
    }
}

/// Partial states, one a row.
struct State<'a> {
    lists: &'a ListArray,
    /// The values of all lists.
    values: ArrayRef,
    counts: UInt64Array,
    shortfalls: &'a UInt64Array,
}

impl<'a> State<'a> {
    /// `None` when the columns are not states over values of `kind`.
    fn of(states: &'a [ArrayRef], kind: &DataType) -> Option<Self> {
        let [lists, shortfalls] = states else { return None };
        let lists = lists.as_list_opt::<i32>().filter(|lists| lists.null_count() == 0)?;
        let shortfalls = shortfalls.as_primitive_opt::<UInt64Type>().filter(|all| all.null_count() == 0)?;
        let (first, end) = (*lists.offsets().first()?, *lists.offsets().last()?);
        let entries = lists.values().slice(first as usize, (end - first) as usize);
        let [values, counts] = entries.as_struct_opt()?.columns() else { return None };
        let counts = counts.as_primitive_opt::<UInt64Type>()?.clone();
        (values.data_type() == kind).then(|| Self { lists, values: values.clone(), counts, shortfalls })
    }

    /// The group of every value.
    fn owners(&self, targets: &[usize]) -> Vec<usize> {
        let lengths = self.lists.offsets().lengths();
        lengths.zip(targets).flat_map(|(length, group)| std::iter::repeat_n(*group, length)).collect()
    }
}
