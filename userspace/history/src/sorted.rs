//! Rows of a file in their order, and how such files are written.

use crate::layout::Layout;
use datafusion::arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use datafusion::arrow::compute::{concat_batches, take_record_batch};
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::row::{RowConverter, SortField};
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;
use std::sync::Arc;
use tapline_sinks::{ROWS_PER_GROUP, parquet_properties};

/// The rows of these batches, ordered by these columns.
pub(crate) fn sorted(
    schema: &SchemaRef,
    batches: &[RecordBatch],
    order: &[usize],
) -> Result<RecordBatch, ArrowError> {
    let all = concat_batches(schema, batches)?;
    if order.is_empty() {
        return Ok(all);
    }
    let columns: Vec<ArrayRef> = order.iter().map(|place| Arc::clone(all.column(*place))).collect();
    let fields = columns.iter().map(|column| SortField::new(column.data_type().clone())).collect();
    let keys = RowConverter::new(fields)?.convert_columns(&columns)?;
    let rows = u32::try_from(all.num_rows()).map_err(|error| ArrowError::ComputeError(error.to_string()))?;
    let mut places: Vec<u32> = (0..rows).collect();
    places.sort_unstable_by_key(|place| keys.row(*place as usize));
    take_record_batch(&all, &UInt32Array::from(places))
}

/// How a file of these columns is written: texts that are keys, such as addresses, can be looked for.
pub(crate) fn properties(schema: &Schema) -> WriterProperties {
    let properties = parquet_properties();
    let Some(layout) = Layout::read(schema) else { return properties };
    let texts = layout.keys().map(|place| schema.field(place)).filter(|key| key.data_type().is_string());
    let looked_for = texts.fold(properties.into_builder(), |builder, key| {
        let column = ColumnPath::from(vec![key.name().clone()]);
        builder.set_column_bloom_filter_max_ndv(column, ROWS_PER_GROUP as u64)
    });
    looked_for.build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::{AsArray as _, Int32Array, StringArray};
    use datafusion::arrow::datatypes::Int32Type;

    #[test]
    fn equal_keys_stand_together() {
        let batch = |keys: Vec<Option<&str>>, numbers: Vec<i32>| {
            let columns: Vec<(&str, ArrayRef)> = vec![
                ("number", Arc::new(Int32Array::from(numbers))),
                ("key", Arc::new(StringArray::from(keys))),
            ];
            RecordBatch::try_from_iter_with_nullable(
                columns.into_iter().map(|(name, column)| (name, column, true)),
            )
        };
        let one = batch(vec![Some("b"), Some("a"), None], vec![1, 3, 6]).unwrap();
        let other = batch(vec![Some("a"), Some("b")], vec![2, 0]).unwrap();
        let numbers = |order: &[usize]| {
            let rows = sorted(&one.schema(), &[one.clone(), other.clone()], order).unwrap();
            rows.column(0).as_primitive::<Int32Type>().values().to_vec()
        };
        assert_eq!(numbers(&[1, 0]), [6, 2, 3, 0, 1]);
        assert_eq!(numbers(&[]), [1, 3, 6, 2, 0]);
    }
}
