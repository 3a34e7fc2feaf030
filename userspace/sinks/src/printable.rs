//! Columns as people write them: addresses and times as text, also inside lists and structures.

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, ListArray, RecordBatch, RecordBatchOptions, StringArray, StringBuilder,
    StructArray, TimestampNanosecondArray,
};
use datafusion::arrow::datatypes::{DataType, Field, Fields, Schema, TimeUnit, TimestampNanosecondType};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use std::sync::Arc;
use tapline_record::EventTime;
use tapline_record::address::{self, write_ip, write_mac};
use tapline_record::stream::TIME_ZONE;

/// The batch with addresses and times as text.
///
/// # Errors
/// When a value cannot be written.
pub fn printable(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    map_columns(batch, &|array| with_text(array, Texts::AddressesAndTimes))
}

/// The batch with addresses as text, and everything else as it is.
///
/// # Errors
/// When a value cannot be written.
pub fn with_addresses_as_text(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    map_columns(batch, &|array| with_text(array, Texts::Addresses))
}

/// Values of a column in the same way; those that are neither stay as they are.
pub(crate) fn printed(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    with_text(array, Texts::AddressesAndTimes)
}

/// What becomes text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Texts {
    Addresses,
    AddressesAndTimes,
}

/// The batch with every column that is no plain value as text too.
///
/// # Errors
/// When a value cannot be written.
pub fn flat(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    map_columns(&printable(batch)?, &|array| {
        if !array.data_type().is_nested() {
            return Ok(array.clone());
        }
        as_text(array)
    })
}

/// Values as they are shown.
pub(crate) fn as_text(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(array, &options)?;
    // Of a column without values, there is no other way to know that.
    let nulls = array.logical_nulls();
    let is_valid = |row| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
    let text = |row| is_valid(row).then(|| formatter.value(row).to_string());
    Ok(Arc::new((0..array.len()).map(text).collect::<StringArray>()))
}

/// The batch with each column as it becomes; any of them may be NULL.
pub(crate) fn map_columns(
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

/// The field for columns of another type.
pub(crate) fn retyped(field: &Field, data_type: &DataType) -> Field {
    field.clone().with_data_type(data_type.clone()).with_nullable(true)
}

fn with_text(array: &ArrayRef, texts: Texts) -> Result<ArrayRef, ArrowError> {
    Ok(match array.data_type() {
        DataType::FixedSizeBinary(16) => Arc::new(address::texts(array.as_fixed_size_binary(), write_ip)),
        DataType::FixedSizeBinary(6) => Arc::new(address::texts(array.as_fixed_size_binary(), write_mac)),
        DataType::Timestamp(TimeUnit::Nanosecond, _) if texts == Texts::AddressesAndTimes => times(array)?,
        DataType::List(field) => {
            let list = array.as_list::<i32>();
            let values = with_text(list.values(), texts)?;
            let field = Arc::new(retyped(field, values.data_type()));
            Arc::new(ListArray::new(field, list.offsets().clone(), values, list.nulls().cloned()))
        }
        DataType::Struct(fields) => {
            let structure = array.as_struct();
            let columns = structure.columns().iter().map(|column| with_text(column, texts));
            let columns: Vec<ArrayRef> = columns.collect::<Result<_, _>>()?;
            let fields = fields.iter().zip(&columns);
            let fields: Fields = fields.map(|(field, column)| retyped(field, column.data_type())).collect();
            Arc::new(StructArray::new(fields, columns, structure.nulls().cloned()))
        }
        _ => array.clone(),
    })
}

/// A time as columns have it.
#[must_use]
pub fn time_text(time: EventTime) -> String {
    let array = TimestampNanosecondArray::from(vec![time.0]).with_timezone(TIME_ZONE);
    let text = ArrayFormatter::try_new(&array, &FormatOptions::default());
    text.map_or_else(|_| time.0.to_string(), |formatter| formatter.value(0).to_string())
}

/// Times as text; rows of one window have the same, which is made once.
fn times(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let values = array.as_primitive::<TimestampNanosecondType>().values();
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(array, &options)?;
    let (mut texts, mut last) = (StringBuilder::new(), (0, String::new()));
    for (row, &value) in values.iter().enumerate() {
        if last.1.is_empty() || last.0 != value {
            last = (value, formatter.value(row).to_string());
        }
        texts.append_option(array.is_valid(row).then_some(&last.1));
    }
    Ok(Arc::new(texts.finish()))
}
