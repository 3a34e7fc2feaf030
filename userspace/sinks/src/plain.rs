//! Columns in types that every engine reads: DuckDB, ClickHouse and Spark alike.
//!
//! Addresses are text; numbers have a sign, of 32 or 64 bits; times are UTC in microseconds, since Spark reads no
//! nanoseconds. A number of 64 bits without a sign stays one of 64 bits with a sign as long as its values fit, which
//! those of counters do; where one does not, the column has twenty decimal digits instead. What no engine has a type
//! for is text.

use crate::json::with_own_names;
use crate::printable::{as_text, map_columns, retyped, with_addresses_as_text};
use datafusion::arrow::array::{Array, ArrayRef, AsArray as _, ListArray, RecordBatch, StructArray};
use datafusion::arrow::compute::{cast, max};
use datafusion::arrow::datatypes::{DataType, Field, Fields, TimeUnit, UInt64Type};
use datafusion::arrow::error::ArrowError;
use std::sync::Arc;

/// Digits of the greatest number of 64 bits without a sign.
const UINT64_DIGITS: u8 = 20;

/// The batch in such types, each column with a name of its own.
///
/// # Errors
/// When a value cannot be converted.
pub fn plain(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    with_own_names(&map_columns(&with_addresses_as_text(batch)?, &plain_array)?)
}

fn plain_array(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let target = match array.data_type() {
        DataType::List(field) => return plain_list(array, field),
        DataType::Struct(fields) => return plain_struct(array, fields),
        DataType::LargeList(field) | DataType::FixedSizeList(field, _) => {
            let list = cast(array, &DataType::List(Arc::clone(field)))?;
            return plain_list(&list, field);
        }
        DataType::Dictionary(_, values) => return plain_array(&cast(array, values)?),
        DataType::UInt64 => of_uint64(array),
        other => match plain_type(other) {
            Some(target) => target,
            None => return as_text(array),
        },
    };
    if target == *array.data_type() { Ok(Arc::clone(array)) } else { cast(array, &target) }
}

/// The type for values of this one; `None` where they become text.
fn plain_type(data_type: &DataType) -> Option<DataType> {
    Some(match data_type {
        DataType::Boolean
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::Float32
        | DataType::Float64
        | DataType::Utf8
        | DataType::Binary
        | DataType::Date32
        | DataType::Decimal128(..) => data_type.clone(),
        DataType::UInt8 | DataType::UInt16 => DataType::Int32,
        DataType::UInt32 => DataType::Int64,
        DataType::Float16 => DataType::Float32,
        DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => DataType::Binary,
        DataType::Date64 => DataType::Date32,
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
        DataType::Time32(_) | DataType::Time64(_) => DataType::Time64(TimeUnit::Microsecond),
        DataType::Decimal32(digits, scale) | DataType::Decimal64(digits, scale) => {
            DataType::Decimal128(*digits, *scale)
        }
        _ => return None,
    })
}

fn of_uint64(array: &ArrayRef) -> DataType {
    let greatest = max(array.as_primitive::<UInt64Type>());
    if greatest.is_some_and(|greatest| i64::try_from(greatest).is_err()) {
        DataType::Decimal128(UINT64_DIGITS, 0)
    } else {
        DataType::Int64
    }
}

fn plain_list(array: &ArrayRef, field: &Field) -> Result<ArrayRef, ArrowError> {
    let list = array.as_list::<i32>();
    let values = plain_array(list.values())?;
    let field = Arc::new(retyped(field, values.data_type()));
    Ok(Arc::new(ListArray::try_new(field, list.offsets().clone(), values, list.nulls().cloned())?))
}

fn plain_struct(array: &ArrayRef, fields: &Fields) -> Result<ArrayRef, ArrowError> {
    let structure = array.as_struct();
    let columns = structure.columns().iter().map(plain_array).collect::<Result<Vec<_>, _>>()?;
    let fields = fields.iter().zip(&columns);
    let fields: Fields = fields.map(|(field, column)| retyped(field, column.data_type())).collect();
    Ok(Arc::new(StructArray::try_new(fields, columns, structure.nulls().cloned())?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::{
        DurationSecondArray, FixedSizeBinaryArray, StringViewArray, TimestampNanosecondArray, UInt16Array,
        UInt64Array,
    };
    use datafusion::arrow::datatypes::Schema;
    use datafusion::arrow::util::pretty::pretty_format_batches;

    fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
        let fields = columns.iter().map(|(name, column)| Field::new(*name, column.data_type().clone(), true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        RecordBatch::try_new(schema, columns.into_iter().map(|(_, column)| column).collect()).unwrap()
    }

    fn types(batch: &RecordBatch) -> Vec<String> {
        batch.schema().fields().iter().map(|field| field.data_type().to_string()).collect()
    }

    #[test]
    fn every_type_becomes_one_that_all_engines_read() {
        let address = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 0, 2, 7];
        let address: ArrayRef = Arc::new(FixedSizeBinaryArray::try_from_iter([address].into_iter()).unwrap());
        let list = ListArray::new(
            Arc::new(Field::new_list_field(DataType::FixedSizeBinary(16), true)),
            datafusion::arrow::buffer::OffsetBuffer::new(vec![0, 1].into()),
            Arc::clone(&address),
            None,
        );
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("address", address),
            ("port", Arc::new(UInt16Array::from(vec![65_535]))),
            ("n", Arc::new(UInt64Array::from(vec![7]))),
            ("n", Arc::new(UInt64Array::from(vec![u64::MAX]))),
            ("at", Arc::new(TimestampNanosecondArray::from(vec![1_500]).with_timezone("UTC"))),
            ("name", Arc::new(StringViewArray::from(vec!["a name that is longer than a view"]))),
            ("lasts", Arc::new(DurationSecondArray::from(vec![90]))),
            ("list", Arc::new(list)),
        ];
        let plain = plain(&batch(columns)).unwrap();
        let kinds = types(&plain);
        let expected =
            ["Utf8", "Int32", "Int64", "Decimal128(20, 0)", "Timestamp(µs, \"UTC\")", "Utf8", "Utf8"];
        assert_eq!(kinds[..7], expected);
        assert!(kinds[7].starts_with("List(") && kinds[7].contains("Utf8"), "{}", kinds[7]);
        let shown = pretty_format_batches(&[plain]).unwrap().to_string();
        for part in ["192.0.2.7", "18446744073709551615", "1970-01-01T00:00:00.000001Z", "n_2"] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
    }
}
