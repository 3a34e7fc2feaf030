//! Columns as people write them: addresses as text, also inside lists and structures.

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeBinaryArray, ListArray, RecordBatch, RecordBatchOptions, StringArray,
    StructArray,
};
use datafusion::arrow::datatypes::{DataType, Field, Fields, Schema};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use std::sync::Arc;
use tapline_record::address::{format_mac, to_ip};

/// The batch with addresses as text.
pub(crate) fn printable(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    map_columns(batch, &|array| Ok(with_text_addresses(array)))
}

/// The batch with every column that is no plain value as text too.
pub(crate) fn flat(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    map_columns(&printable(batch)?, &|array| {
        if !array.data_type().is_nested() {
            return Ok(array.clone());
        }
        let options = FormatOptions::default();
        let formatter = ArrayFormatter::try_new(array, &options)?;
        let text = |row| array.is_valid(row).then(|| formatter.value(row).to_string());
        Ok(Arc::new((0..array.len()).map(text).collect::<StringArray>()))
    })
}

fn map_columns(
    batch: &RecordBatch,
    map: &dyn Fn(&ArrayRef) -> Result<ArrayRef, ArrowError>,
) -> Result<RecordBatch, ArrowError> {
    let columns: Vec<ArrayRef> = batch.columns().iter().map(map).collect::<Result<_, _>>()?;
    let schema = batch.schema();
    let fields = schema.fields().iter().zip(&columns);
    let fields: Fields = fields.map(|(field, column)| retyped(field, column.data_type())).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)
}

fn retyped(field: &Field, data_type: &DataType) -> Field {
    field.clone().with_data_type(data_type.clone()).with_nullable(true)
}

fn with_text_addresses(array: &ArrayRef) -> ArrayRef {
    match array.data_type() {
        DataType::FixedSizeBinary(16) => {
            text_of(array.as_fixed_size_binary(), |octets: [u8; 16]| to_ip(octets).to_string())
        }
        DataType::FixedSizeBinary(6) => text_of(array.as_fixed_size_binary(), format_mac),
        DataType::List(field) => {
            let list = array.as_list::<i32>();
            let values = with_text_addresses(list.values());
            let field = Arc::new(retyped(field, values.data_type()));
            Arc::new(ListArray::new(field, list.offsets().clone(), values, list.nulls().cloned()))
        }
        DataType::Struct(fields) => {
            let structure = array.as_struct();
            let columns: Vec<ArrayRef> = structure.columns().iter().map(with_text_addresses).collect();
            let fields = fields.iter().zip(&columns);
            let fields: Fields = fields.map(|(field, column)| retyped(field, column.data_type())).collect();
            Arc::new(StructArray::new(fields, columns, structure.nulls().cloned()))
        }
        _ => array.clone(),
    }
}

fn text_of<const N: usize>(array: &FixedSizeBinaryArray, text: impl Fn([u8; N]) -> String) -> ArrayRef {
    let rows = array.iter().map(|octets| octets.and_then(|octets| octets.try_into().ok()).map(&text));
    Arc::new(rows.collect::<StringArray>())
}
