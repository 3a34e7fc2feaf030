//! Columns of files that differ, as one table: by name.

use datafusion::arrow::array::{Array as _, ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use datafusion::arrow::compute::{CastOptions, can_cast_types, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use std::sync::Arc;
use tapline_sinks::flat;

/// Digits of the widest numbers.
const DECIMAL_DIGITS: u8 = 38;

/// The columns of all schemas by name, those of the first one first; any may be NULL. `None` where there is no schema.
pub(crate) fn union(schemas: impl Iterator<Item = SchemaRef>) -> Option<SchemaRef> {
    let (mut fields, mut is_any): (Vec<Field>, bool) = (vec![], false);
    for schema in schemas {
        is_any = true;
        for field in schema.fields() {
            match fields.iter_mut().find(|known| known.name() == field.name()) {
                Some(known) => known.set_data_type(common(known.data_type(), field.data_type())),
                None => fields.push(Field::new(field.name(), field.data_type().clone(), true)),
            }
        }
    }
    is_any.then(|| Arc::new(Schema::new(fields)))
}

/// A type that holds values of both.
fn common(one: &DataType, other: &DataType) -> DataType {
    if one == other {
        return one.clone();
    }
    match (one, other) {
        (one, other) if one.is_integer() && other.is_integer() => DataType::Int64,
        (DataType::Decimal128(_, scale), other) | (other, DataType::Decimal128(_, scale))
            if other.is_integer() =>
        {
            DataType::Decimal128(DECIMAL_DIGITS, *scale)
        }
        (one, other) if one.is_numeric() && other.is_numeric() => DataType::Float64,
        _ => DataType::Utf8,
    }
}

/// A batch in other columns, by name; what it does not have is NULL.
pub(crate) fn adapt(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let rows = batch.num_rows();
    let column = |field: &Arc<Field>| match batch.column_by_name(field.name()) {
        Some(column) => converted(column, field.data_type()),
        None => Ok(new_null_array(field.data_type(), rows)),
    };
    let columns = schema.fields().iter().map(column).collect::<Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
}

fn converted(column: &ArrayRef, data_type: &DataType) -> Result<ArrayRef, ArrowError> {
    if column.data_type() == data_type {
        return Ok(Arc::clone(column));
    }
    // A NULL in the place of a number that does not fit would be a wrong answer.
    let options = CastOptions { safe: false, ..CastOptions::default() };
    if can_cast_types(column.data_type(), data_type) {
        return cast_with_options(column, data_type, &options);
    }
    let field = Field::new("value", column.data_type().clone(), true);
    let values = RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![Arc::clone(column)])?;
    cast_with_options(flat(&values)?.column(0), data_type, &options)
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::{AsArray as _, Int64Array, StringArray};

    fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
        RecordBatch::try_from_iter(columns).unwrap()
    }

    #[test]
    fn files_of_other_columns_are_one_table() {
        let old = batch(vec![
            ("host", Arc::new(StringArray::from(vec!["a"]))),
            ("n", Arc::new(Int64Array::from(vec![7]))),
        ]);
        let new = batch(vec![
            ("n", Arc::new(StringArray::from(vec!["many"]))),
            ("more", Arc::new(Int64Array::from(vec![1]))),
        ]);
        let schema = union([new.schema(), old.schema()].into_iter()).unwrap();
        let shown: Vec<_> =
            schema.fields().iter().map(|field| format!("{} {}", field.name(), field.data_type())).collect();
        assert_eq!(shown, ["n Utf8", "more Int64", "host Utf8"]);
        let adapted = adapt(&old, &schema).unwrap();
        assert_eq!(adapted.column(0).as_string::<i32>().value(0), "7");
        assert_eq!((adapted.column(1).null_count(), adapted.column(2).null_count()), (1, 0));
        let none = Arc::new(Schema::empty());
        assert_eq!(adapt(&old, &none).unwrap().num_rows(), 1, "rows are counted without a column, too");
        assert!(union(std::iter::empty()).is_none());
    }

    #[test]
    fn numbers_stay_numbers() {
        let wide = DataType::Decimal128(20, 0);
        assert_eq!(common(&DataType::Int32, &DataType::Int64), DataType::Int64);
        assert_eq!(common(&DataType::Int64, &wide), DataType::Decimal128(38, 0));
        assert_eq!(common(&wide, &DataType::Int64), DataType::Decimal128(38, 0));
        assert_eq!(common(&DataType::Int64, &DataType::Float64), DataType::Float64);
        assert_eq!(common(&DataType::Boolean, &DataType::Int64), DataType::Utf8);
    }
}
