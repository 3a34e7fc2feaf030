//! Every table against the same model: one number a key, none left out, the cap, the keys back.

use super::{FOLDED, GroupTable, direct::DirectGroups, group_table, packed::packed_table, rows::RowGroups};
use datafusion::arrow::array::{
    ArrayRef, BooleanArray, FixedSizeBinaryArray, Int32Array, StringArray, UInt8Array, UInt16Array,
    UInt32Array, UInt64Array,
};
use datafusion::arrow::compute::concat;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::util::display::array_value_to_string;
use std::collections::HashMap;
use std::sync::Arc;

const ROWS: usize = 3000;

/// A column of `rows` values, every seventh NULL, every other address mapped, drawn from `distinct` values.
fn column(data_type: &DataType, rows: usize, distinct: usize, salt: usize) -> ArrayRef {
    let value = |row: usize| (row.wrapping_mul(2_654_435_761).wrapping_add(salt) >> 7) % distinct;
    let valid = |row: usize| !(row + salt).is_multiple_of(7);
    let values = (0..rows).map(|row| valid(row).then(|| value(row)));
    match data_type {
        DataType::UInt8 => Arc::new(values.map(|v| v.map(|v| (v % 256) as u8)).collect::<UInt8Array>()),
        DataType::UInt16 => Arc::new(values.map(|v| v.map(|v| (v % 65536) as u16)).collect::<UInt16Array>()),
        DataType::Int32 => Arc::new(values.map(|v| v.map(|v| 5 - v as i32)).collect::<Int32Array>()),
        DataType::UInt32 => {
            // Some are large, some private, and whatever stands under NULL is large, too.
            let large = |value: usize| value as u32 + [0, 0, 0, 4_200_000_000, 0, 3_000_000_000][value % 6];
            let values: Vec<_> = (0..rows)
                .map(|row| if valid(row) { large(value(row)) } else { u32::MAX - row as u32 })
                .collect();
            let nulls = (0..rows).map(valid).collect::<Vec<_>>();
            Arc::new(UInt32Array::new(values.into(), Some(nulls.into())))
        }
        DataType::UInt64 => Arc::new(values.map(|v| v.map(|v| v as u64 * 3)).collect::<UInt64Array>()),
        DataType::Boolean => Arc::new(values.map(|v| v.map(|v| v % 2 == 0)).collect::<BooleanArray>()),
        DataType::Utf8 => Arc::new(values.map(|v| v.map(|v| format!("text {v}"))).collect::<StringArray>()),
        DataType::FixedSizeBinary(width) => {
            let width = *width as usize;
            let octets = values.map(|v| v.map(|v| address(v, width)));
            Arc::new(
                FixedSizeBinaryArray::try_from_sparse_iter_with_size(octets, width as i32)
                    .expect("one width"),
            )
        }
        other => unreachable!("{other}"),
    }
}

/// So many octets; of 16, the mapped form of an IPv4 address where `value` is even.
fn address(value: usize, width: usize) -> Vec<u8> {
    let mut octets = value.to_be_bytes().repeat(2);
    if value.is_multiple_of(2) {
        octets[..12].copy_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]);
    }
    octets[16 - width..].to_vec()
}

fn schema(types: &[DataType]) -> SchemaRef {
    let field =
        |(number, data_type): (usize, &DataType)| Field::new(format!("k{number}"), data_type.clone(), true);
    Arc::new(Schema::new(types.iter().enumerate().map(field).collect::<Vec<_>>()))
}

fn row_text(keys: &[ArrayRef], row: usize) -> String {
    let value = |key: &ArrayRef| {
        if key.is_null(row) { "NULL".to_owned() } else { array_value_to_string(key, row).unwrap() }
    };
    keys.iter().map(value).collect::<Vec<_>>().join("|")
}

/// Interns two batches: each key has one number, and comes back in its place.
fn check(mut table: Box<dyn GroupTable>, types: &[DataType], distinct: usize, groups_max: usize) {
    for round in 0..2 {
        let mut model: HashMap<String, usize> = HashMap::new();
        for batch in 0..2 {
            let keys: Vec<ArrayRef> = types
                .iter()
                .enumerate()
                .map(|(number, data_type)| {
                    column(data_type, ROWS, distinct, batch * 11 + number * 13 + round)
                })
                .collect();
            let mut groups = vec![];
            table.intern(&keys, ROWS, &mut groups).unwrap();
            for (row, &group) in groups.iter().enumerate() {
                let text = row_text(&keys, row);
                let known = model.entry(text.clone()).or_insert(group);
                assert_eq!(group, *known, "{types:?} row {row}: {text}");
            }
        }
        let seen = model.len();
        model.retain(|_, group| *group != FOLDED);
        assert_eq!((table.len(), model.len()), (seen.min(groups_max), seen.min(groups_max)), "{types:?}");
        let keys = table.take_keys().unwrap();
        let texts: HashMap<String, usize> =
            (0..model.len()).map(|row| (row_text(&keys, row), row + 1)).collect();
        assert_eq!(texts, model, "{types:?}");
        assert_eq!(table.len(), 0);
    }
}

#[test]
fn every_table_numbers_groups() {
    use DataType::{Boolean, FixedSizeBinary, Int32, UInt8, UInt16, UInt32, UInt64, Utf8};
    let keys: [&[DataType]; 16] = [
        &[UInt8],
        &[UInt16],
        &[UInt64],
        &[FixedSizeBinary(16)],
        &[UInt16, UInt8],
        &[FixedSizeBinary(16), FixedSizeBinary(16), UInt16, UInt16, UInt8],
        &[Int32, Boolean, UInt8],
        &[Int32, Int32],
        &[UInt32, UInt32],
        &[UInt8, UInt32, UInt8],
        &[UInt32, UInt32, UInt32],
        &[FixedSizeBinary(16), Int32],
        &[FixedSizeBinary(6), UInt16],
        &[FixedSizeBinary(16), FixedSizeBinary(16), FixedSizeBinary(16), UInt64],
        &[Utf8, UInt8],
        &[FixedSizeBinary(16), FixedSizeBinary(16), FixedSizeBinary(16), FixedSizeBinary(16), UInt64],
    ];
    for types in keys {
        for (distinct, groups_max) in [(10, 1000), (10_000, 100_000), (10_000, 50), (3, 1)] {
            check(group_table(&schema(types), groups_max).unwrap(), types, distinct, groups_max);
            check(Box::new(RowGroups::new(&schema(types), groups_max).unwrap()), types, distinct, groups_max);
        }
    }
}

#[test]
fn each_key_goes_to_the_fastest_table() {
    let fits = |types: &[DataType]| {
        let schema = schema(types);
        (DirectGroups::new(&schema, 9).is_some(), packed_table(&schema, 9).is_some())
    };
    assert_eq!(fits(&[DataType::UInt16]), (true, true));
    assert_eq!(fits(&[DataType::UInt16, DataType::UInt8]), (false, true));
    assert_eq!(fits(&[DataType::Utf8]), (false, false));
    assert_eq!(fits(&[DataType::FixedSizeBinary(0), DataType::UInt8]), (false, false));
    assert_eq!(fits(&vec![DataType::FixedSizeBinary(16); 4]), (false, false));
}

#[test]
fn large_numbers_end_the_narrow_keys() {
    let types = [DataType::UInt32, DataType::UInt32];
    let mut table = packed_table(&schema(&types), 1000).unwrap();
    for first in [0_u32, 4_000_000_000, 4_200_000_000, 7] {
        let numbers: ArrayRef = Arc::new((first..first + 100).collect::<UInt32Array>());
        let mut groups = vec![];
        for _ in 0..2 {
            table.intern(&[numbers.clone(), numbers.clone()], 100, &mut groups).unwrap();
            assert_eq!(groups, (1..=100).collect::<Vec<_>>());
        }
        assert_eq!(table.take_keys().unwrap(), [numbers.clone(), numbers]);
    }
}

#[test]
fn slices_are_read_from_their_start() {
    let whole = column(&DataType::FixedSizeBinary(16), 100, 50, 1);
    let copy = concat(&[&whole.slice(37, 20)]).unwrap();
    let table = || packed_table(&schema(&[DataType::FixedSizeBinary(16), DataType::UInt8]), 1000).unwrap();
    let numbers = |key: ArrayRef| {
        let mut groups = vec![];
        let second = column(&DataType::UInt8, 100, 9, 2).slice(5, 20);
        table().intern(&[key, second], 20, &mut groups).unwrap();
        groups
    };
    assert_eq!(numbers(whole.slice(37, 20)), numbers(copy));
}
