//! Columns in the types that clients of PostgreSQL's protocol have.
//!
//! Addresses are text, as everywhere at the edge; PostgreSQL has no unsigned integers, so that they are the next wider
//! signed ones; what is nested is text. Times stay what they are: UTC, to the nanosecond, of which the protocol gives
//! microseconds.

use datafusion::arrow::array::{Array, ArrayRef, AsArray as _, RecordBatch, RecordBatchOptions, StringArray};
use datafusion::arrow::compute::{CastOptions, cast, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use std::sync::Arc;
use tapline_record::address::{texts, write_ip, write_mac};
use tapline_sinks::{printable, with_own_names};

/// Octets of addresses.
const IP: i32 = 16;
const MAC: i32 = 6;

/// The type that clients have for another.
pub(crate) fn client_type(of: &DataType) -> DataType {
    match of {
        DataType::FixedSizeBinary(IP | MAC) | DataType::Null | DataType::LargeUtf8 | DataType::Utf8View => {
            DataType::Utf8
        }
        nested if nested.is_nested() => DataType::Utf8,
        DataType::Int8 | DataType::UInt8 => DataType::Int16,
        DataType::UInt16 => DataType::Int32,
        DataType::UInt32 | DataType::UInt64 => DataType::Int64,
        DataType::Float16 => DataType::Float32,
        DataType::FixedSizeBinary(_) | DataType::LargeBinary | DataType::BinaryView => DataType::Binary,
        DataType::Dictionary(_, values) => client_type(values),
        other => other.clone(),
    }
}

/// Columns in these types, each with a name of its own.
///
/// # Errors
/// When there is no column.
pub fn client_schema(schema: &SchemaRef) -> Result<SchemaRef, ArrowError> {
    let named = with_own_names(&RecordBatch::new_empty(Arc::clone(schema)))?.schema();
    let fields = named.fields().iter();
    let fields: Vec<Field> =
        fields.map(|field| Field::new(field.name(), client_type(field.data_type()), true)).collect();
    Ok(Arc::new(Schema::new(fields)))
}

/// These columns of a batch, by their places, in such types.
///
/// # Errors
/// When a number is too large for its type.
pub fn client_rows(
    batch: &RecordBatch,
    columns: &[usize],
    schema: &SchemaRef,
) -> Result<RecordBatch, ArrowError> {
    let arrays = columns.iter().filter_map(|&column| batch.columns().get(column));
    let arrays = arrays.map(client_array).collect::<Result<Vec<_>, _>>()?;
    // Whoever counts rows asks for no column.
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), arrays, &options)
}

/// A column in the type that clients have.
///
/// # Errors
/// When a number is too large for it.
pub(crate) fn client_array(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let to = client_type(array.data_type());
    match array.data_type() {
        from if *from == to => Ok(Arc::clone(array)),
        DataType::FixedSizeBinary(IP) => Ok(Arc::new(texts(array.as_fixed_size_binary(), write_ip))),
        DataType::FixedSizeBinary(MAC) => Ok(Arc::new(texts(array.as_fixed_size_binary(), write_mac))),
        nested if nested.is_nested() => nested_texts(array),
        DataType::Dictionary(_, values) => client_array(&cast(array, values)?),
        // A number that is not there would be a wrong answer, as would be a NULL.
        _ => cast_with_options(array, &to, &CastOptions { safe: false, ..CastOptions::default() }),
    }
}

/// Lists and structures as text, addresses and times in them as everywhere.
fn nested_texts(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let field = Field::new("nested", array.data_type().clone(), true);
    let batch = RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![Arc::clone(array)])?;
    let printed = printable(&batch)?;
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(printed.column(0), &options)?;
    let text = |row| array.is_valid(row).then(|| formatter.value(row).to_string());
    Ok(Arc::new((0..array.len()).map(text).collect::<StringArray>()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::{FixedSizeBinaryArray, UInt16Array, UInt64Array};
    use datafusion::arrow::util::display::array_value_to_string;

    #[test]
    fn what_clients_do_not_have_becomes_what_they_have() {
        let address = FixedSizeBinaryArray::try_from_iter([[0_u8; 16]].iter()).unwrap();
        let arrays: [(ArrayRef, DataType, &str); 3] = [
            (Arc::new(address), DataType::Utf8, "::"),
            (Arc::new(UInt16Array::from(vec![u16::MAX])), DataType::Int32, "65535"),
            (Arc::new(UInt64Array::from(vec![1 << 62])), DataType::Int64, "4611686018427387904"),
        ];
        for (array, kind, text) in arrays {
            let made = client_array(&array).unwrap();
            assert_eq!((made.data_type(), client_type(array.data_type())), (&kind, kind.clone()));
            assert_eq!(array_value_to_string(&made, 0).unwrap(), text);
        }
    }

    #[test]
    fn a_number_that_does_not_fit_is_said() {
        let array: ArrayRef = Arc::new(UInt64Array::from(vec![u64::MAX]));
        let said = client_array(&array).unwrap_err().to_string();
        assert!(said.contains("18446744073709551615"), "{said}");
    }
}
