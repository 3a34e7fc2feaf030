//! The accumulators: partial states, in any partition and order of merging, equal one pass.

use crate::aggregate_functions;
use datafusion::arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, FixedSizeBinaryArray, Float64Array, StringArray, UInt16Array,
    UInt64Array,
};
use datafusion::arrow::compute::concat;
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};
use datafusion::physical_expr::aggregate::{AggregateExprBuilder, AggregateFunctionExpr};
use datafusion::physical_expr::expressions::{Column, Literal};
use datafusion::physical_plan::PhysicalExpr;
use proptest::prelude::*;
use std::sync::Arc;
use tapline_record::address::mapped_v4;

const GROUPS: usize = 5;
const PARTS: usize = 4;

/// A call of one of the functions over one type of values.
struct Call {
    name: &'static str,
    kind: DataType,
    literal: Option<ScalarValue>,
    /// The column of some numbers.
    column: fn(&[Option<u16>]) -> ArrayRef,
}

fn calls() -> Vec<Call> {
    let call = |name, kind, literal: Option<ScalarValue>, column| Call { name, kind, literal, column };
    let (q, k) = (ScalarValue::from(0.9), ScalarValue::from(3_i64));
    let address = DataType::FixedSizeBinary(16);
    vec![
        call("quantile", DataType::Float64, Some(q), floats),
        call("approx_distinct", DataType::UInt16, None, numbers),
        call("approx_distinct", address.clone(), None, addresses),
        call("approx_distinct", DataType::Utf8, None, texts),
        call("top_k", DataType::UInt16, Some(k.clone()), numbers),
        call("top_k", address, Some(k.clone()), addresses),
        call("top_k", DataType::Utf8, Some(k), texts),
    ]
}

fn numbers(values: &[Option<u16>]) -> ArrayRef {
    Arc::new(UInt16Array::from(values.to_vec()))
}

fn floats(values: &[Option<u16>]) -> ArrayRef {
    let signed = |value: u16| (f64::from(value) - 400.0) * f64::from(value).powi(3);
    Arc::new(values.iter().map(|value| value.map(signed)).collect::<Float64Array>())
}

fn addresses(values: &[Option<u16>]) -> ArrayRef {
    let address = |value: u16| mapped_v4([10, 0, (value >> 8) as u8, value as u8]);
    let addresses = values.iter().map(|value| value.map(address));
    Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(addresses, 16).unwrap())
}

fn texts(values: &[Option<u16>]) -> ArrayRef {
    Arc::new(values.iter().map(|value| value.map(|value| format!("host {value}"))).collect::<StringArray>())
}

impl Call {
    fn planned(&self) -> AggregateFunctionExpr {
        let function =
            aggregate_functions().into_iter().find(|function| function.name() == self.name).unwrap();
        let mut arguments: Vec<Arc<dyn PhysicalExpr>> = vec![Arc::new(Column::new("x", 0))];
        arguments.extend(self.literal.iter().map(|value| Arc::new(Literal::new(value.clone())) as _));
        let schema = Schema::new(vec![Field::new("x", self.kind.clone(), true)]);
        let builder = AggregateExprBuilder::new(Arc::new(function), arguments);
        builder.schema(Arc::new(schema)).alias("a").build().unwrap()
    }

    fn groups(&self) -> Box<dyn GroupsAccumulator> {
        self.planned().create_groups_accumulator().unwrap()
    }

    fn arguments(&self, rows: &[Row]) -> Vec<ArrayRef> {
        let values: Vec<Option<u16>> = rows.iter().map(|row| row.value).collect();
        let literal = self.literal.iter().map(|value| value.to_array_of_size(rows.len()).unwrap());
        std::iter::once((self.column)(&values)).chain(literal).collect()
    }

    fn update(&self, accumulator: &mut dyn GroupsAccumulator, rows: &[Row]) {
        let (groups, filter) = (groups_of(rows), filter_of(rows));
        accumulator.update_batch(&self.arguments(rows), &groups, Some(&filter), GROUPS).unwrap();
    }

    /// The states of a part: rows on their own for the first, one a group for the others.
    fn states(&self, part: usize, rows: &[Row]) -> (Vec<ArrayRef>, Vec<usize>) {
        let mut accumulator = self.groups();
        if part == 0 {
            let filter = filter_of(rows);
            let states = accumulator.convert_to_state(&self.arguments(rows), Some(&filter)).unwrap();
            return (states, groups_of(rows));
        }
        rows.chunks(7).for_each(|rows| self.update(&mut *accumulator, rows));
        self.update(&mut *accumulator, &[]);
        (accumulator.state(EmitTo::All).unwrap(), (0..GROUPS).collect())
    }
}

#[derive(Clone, Copy, Debug)]
struct Row {
    value: Option<u16>,
    group: usize,
    passes: Option<bool>,
    part: usize,
}

fn groups_of(rows: &[Row]) -> Vec<usize> {
    rows.iter().map(|row| row.group).collect()
}

fn filter_of(rows: &[Row]) -> BooleanArray {
    // A NULL hides a value that would pass.
    let passes = rows.iter().map(|row| row.passes != Some(false)).collect();
    let known = rows.iter().map(|row| row.passes.is_some()).collect();
    BooleanArray::new(passes, Some(known))
}

fn passing(rows: &[Row]) -> Vec<Row> {
    rows.iter().filter(|row| row.passes == Some(true)).copied().collect()
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let value = prop::option::weighted(0.9, prop_oneof![0..12_u16, 0..900_u16]);
    let passes = prop_oneof![8 => Just(Some(true)), 1 => Just(Some(false)), 1 => Just(None)];
    // The last group stays empty.
    let row = (value, 0..GROUPS - 1, passes, 0..PARTS);
    let row = row.prop_map(|(value, group, passes, part)| Row { value, group, passes, part });
    prop::collection::vec(row, 0..400)
}

proptest! {
    #[test]
    fn merging_equals_one_pass(rows in rows()) {
        for call in calls() {
            let mut whole = call.groups();
            call.update(&mut *whole, &passing(&rows));
            let want = whole.evaluate(EmitTo::All).unwrap();
            let in_part = |part| rows.iter().filter(|row| row.part == part).copied().collect::<Vec<_>>();
            let states: Vec<_> = (0..PARTS).map(|part| call.states(part, &in_part(part))).collect();
            for rotation in 0..PARTS {
                let mut merged = call.groups();
                for part in 0..PARTS {
                    let (states, groups) = &states[(part + rotation) % PARTS];
                    merged.merge_batch(states, groups, GROUPS).unwrap();
                }
                // Through one more tier, and in two portions.
                let states = merged.state(EmitTo::All).unwrap();
                merged.merge_batch(&states, &(0..GROUPS).collect::<Vec<_>>(), GROUPS).unwrap();
                let first = merged.evaluate(EmitTo::First(2)).unwrap();
                let rest = merged.evaluate(EmitTo::All).unwrap();
                prop_assert_eq!(&concat(&[&first, &rest]).unwrap(), &want, "{} of {}", call.name, call.kind);
            }
        }
    }

    #[test]
    fn one_group_equals_many(rows in rows()) {
        for call in calls() {
            let used = passing(&rows);
            let mut groups = call.groups();
            call.update(&mut *groups, &used.iter().map(|row| Row { group: 0, ..*row }).collect::<Vec<_>>());
            let want = ScalarValue::try_from_array(&groups.evaluate(EmitTo::First(1)).unwrap(), 0).unwrap();
            let mut merged = call.planned().create_accumulator().unwrap();
            for rows in used.chunks(50) {
                let mut part = call.planned().create_accumulator().unwrap();
                part.update_batch(&call.arguments(rows)).unwrap();
                let states = part.state().unwrap();
                merged.merge_batch(&states.iter().map(|s| s.to_array().unwrap()).collect::<Vec<_>>()).unwrap();
            }
            // Evaluating leaves the state as it is.
            prop_assert_eq!(&merged.evaluate().unwrap(), &want, "{} of {}", call.name, call.kind);
            prop_assert_eq!(&merged.evaluate().unwrap(), &want);
        }
    }
}

#[test]
fn size_follows_what_is_held() {
    for call in calls() {
        let mut accumulator = call.groups();
        let empty = accumulator.size();
        let row = |number: u16| Row {
            value: Some(number),
            group: usize::from(number) % GROUPS,
            passes: Some(true),
            part: 0,
        };
        let rows: Vec<Row> = (0..4_000).map(row).collect();
        call.update(&mut *accumulator, &rows);
        assert!(accumulator.size() > empty + 4_000, "{} of {}", call.name, call.kind);
        accumulator.state(EmitTo::All).unwrap();
        assert_eq!(accumulator.size(), empty, "{} of {}", call.name, call.kind);
    }
}

#[test]
fn states_of_another_shape_are_errors() {
    let wrong: [ArrayRef; 3] = [
        Arc::new(BinaryArray::from_vec(vec![&[99, 1, 2, 3]])),
        Arc::new(UInt64Array::from(vec![7])),
        Arc::new(StringArray::from(vec!["state"])),
    ];
    for call in calls() {
        let columns = call.states(1, &[]).0.len();
        for state in &wrong {
            let states = vec![state.clone(); columns];
            assert!(call.groups().merge_batch(&states, &[0], 1).is_err(), "{} of {}", call.name, call.kind);
        }
        let other = Call { kind: DataType::Boolean, ..call }.groups().merge_batch(&wrong[..1], &[0], 1);
        assert!(other.is_err());
    }
}

#[test]
fn types_of_states_are_declared() {
    for call in calls() {
        let fields = call.planned().state_fields().unwrap();
        let states = call.states(1, &[]).0;
        let declared: Vec<&DataType> = fields.iter().map(|field| field.data_type()).collect();
        assert_eq!(declared, states.iter().map(Array::data_type).collect::<Vec<_>>(), "{}", call.name);
        let result = call.groups().evaluate(EmitTo::All).unwrap();
        assert_eq!(call.planned().field().data_type(), result.data_type(), "{}", call.name);
    }
}
