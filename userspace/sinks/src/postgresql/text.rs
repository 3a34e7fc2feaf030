//! Rows as `COPY` takes them as text: a line a row, values with tabs between them, `\N` for NULL.

use crate::json::texts;
use crate::printable::{as_text, printed};
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray as _, Float64Array, Int64Array, RecordBatch, StringArray, UInt64Array,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Float64Type, Int64Type, UInt64Type};
use datafusion::arrow::error::ArrowError;
use std::fmt;
use std::io::Write as _;

/// Appends the rows of a batch.
pub(super) fn append_rows(text: &mut Vec<u8>, batch: &RecordBatch) -> Result<(), ArrowError> {
    let columns = batch.columns().iter().map(Values::of).collect::<Result<Vec<_>, _>>()?;
    for row in 0..batch.num_rows() {
        for (place, column) in columns.iter().enumerate() {
            if place > 0 {
                text.push(b'\t');
            }
            column.append(row, text);
        }
        text.push(b'\n');
    }
    Ok(())
}

/// A column in one of few types, which are quickly written.
enum Values {
    Signed(Int64Array),
    Unsigned(UInt64Array),
    Float(Float64Array),
    Text(StringArray),
}

impl Values {
    fn of(array: &ArrayRef) -> Result<Self, ArrowError> {
        let text = |array: ArrayRef| Self::Text(array.as_string::<i32>().clone());
        Ok(match array.data_type() {
            DataType::Dictionary(_, values) => return Self::of(&cast(array, values)?),
            DataType::UInt64 => Self::Unsigned(array.as_primitive::<UInt64Type>().clone()),
            DataType::Float64 => Self::Float(array.as_primitive::<Float64Type>().clone()),
            number if number.is_integer() => {
                Self::Signed(cast(array, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
            }
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => text(cast(array, &DataType::Utf8)?),
            nested if nested.is_nested() => Self::Text(without_zeros(&texts(array)?)),
            DataType::FixedSizeBinary(6 | 16) | DataType::Timestamp(..) => {
                let printed = printed(array)?;
                text(if *printed.data_type() == DataType::Utf8 { printed } else { as_text(&printed)? })
            }
            DataType::Binary
            | DataType::LargeBinary
            | DataType::BinaryView
            | DataType::FixedSizeBinary(_) => Self::Text(digits(&cast(array, &DataType::Binary)?)),
            _ => text(as_text(array)?),
        })
    }

    fn append(&self, row: usize, text: &mut Vec<u8>) {
        // Writing into memory cannot fail.
        let _ = match self {
            Self::Signed(values) if values.is_valid(row) => write!(text, "{}", values.value(row)),
            Self::Unsigned(values) if values.is_valid(row) => write!(text, "{}", values.value(row)),
            Self::Float(values) if values.is_valid(row) => write!(text, "{}", values.value(row)),
            Self::Text(values) if values.is_valid(row) => {
                append_text(values.value(row), text);
                Ok(())
            }
            _ => text.write_all(b"\\N"),
        };
    }
}

/// A text in which nothing ends a value, and which has no zero: PostgreSQL's texts cannot.
fn append_text(value: &str, text: &mut Vec<u8>) {
    let is_plain = |octet: u8| !matches!(octet, b'\\' | b'\n' | b'\r' | b'\t' | 0);
    if value.bytes().all(is_plain) {
        text.extend_from_slice(value.as_bytes());
        return;
    }
    for octet in value.bytes() {
        match octet {
            b'\\' => text.extend_from_slice(b"\\\\"),
            b'\n' => text.extend_from_slice(b"\\n"),
            b'\r' => text.extend_from_slice(b"\\r"),
            b'\t' => text.extend_from_slice(b"\\t"),
            0 => text.extend_from_slice(char::REPLACEMENT_CHARACTER.to_string().as_bytes()),
            octet => text.push(octet),
        }
    }
}

/// Octets as PostgreSQL writes them: `\x00ff`.
fn digits(array: &ArrayRef) -> StringArray {
    let text = |octets: &[u8]| {
        octets.iter().fold("\\x".to_owned(), |mut text, octet| {
            // Writing into memory cannot fail.
            let _ = fmt::Write::write_fmt(&mut text, format_args!("{octet:02x}"));
            text
        })
    };
    array.as_binary::<i32>().iter().map(|octets| octets.map(text)).collect()
}

/// JSON without zeros in its texts, which `jsonb` cannot hold.
fn without_zeros(texts: &StringArray) -> StringArray {
    // Two backslashes are one of the text itself, whatever stands behind them.
    let text = |text: &str| {
        let parts = text.split("\\\\").map(|part| part.replace("\\u0000", "\\ufffd"));
        parts.collect::<Vec<_>>().join("\\\\")
    };
    texts.iter().map(|value| value.map(text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::{
        BinaryArray, BooleanArray, FixedSizeBinaryArray, ListArray, NullArray, TimestampNanosecondArray,
        UInt16Array,
    };
    use datafusion::arrow::datatypes::{Field, Int32Type, Schema};
    use std::sync::Arc;

    fn lines(columns: Vec<ArrayRef>) -> String {
        let fields = columns.iter().map(|column| Field::new("c", column.data_type().clone(), true));
        let schema = Schema::new(fields.collect::<Vec<_>>());
        let mut text = vec![];
        append_rows(&mut text, &RecordBatch::try_new(Arc::new(schema), columns).unwrap()).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn values_are_written_as_copy_reads_them() {
        let address = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 0, 2, 7];
        let columns: Vec<ArrayRef> = vec![
            Arc::new(FixedSizeBinaryArray::try_from_iter([address].into_iter()).unwrap()),
            Arc::new(FixedSizeBinaryArray::try_from_iter([[1_u8, 2, 3, 4, 5, 255]].into_iter()).unwrap()),
            Arc::new(UInt16Array::from(vec![65_535])),
            Arc::new(UInt64Array::from(vec![u64::MAX])),
            Arc::new(Int64Array::from(vec![None])),
            Arc::new(Float64Array::from(vec![0.25])),
            Arc::new(BooleanArray::from(vec![true])),
            Arc::new(TimestampNanosecondArray::from(vec![1_500_000_000]).with_timezone("UTC")),
            Arc::new(BinaryArray::from_vec(vec![[0_u8, 255].as_slice()])),
            Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(vec![Some(vec![Some(1), None])])),
        ];
        let expected = "192.0.2.7\t01:02:03:04:05:ff\t65535\t18446744073709551615\t\\N\t0.25\ttrue\t1970-01-01T00:00:01.500Z\t\\\\x00ff\t[1,null]\n";
        assert_eq!(lines(columns), expected);
    }

    #[test]
    fn nothing_in_a_text_ends_it() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["a\tb\nc\rd\\N", "\\.", "x\0y", "ü"]));
        assert_eq!(lines(vec![texts]), "a\\tb\\nc\\rd\\\\N\n\\\\.\nx\u{fffd}y\nü\n");
        let json = StringArray::from(vec![r#"["a\u0000","\\u0000","\\\u0000"]"#]);
        assert_eq!(without_zeros(&json).value(0), r#"["a\ufffd","\\u0000","\\\ufffd"]"#);
    }

    #[test]
    fn numbers_that_are_none_and_columns_without_values_are_written() {
        let numbers = Float64Array::from(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY]);
        let columns: Vec<ArrayRef> = vec![Arc::new(numbers), Arc::new(NullArray::new(3))];
        assert_eq!(lines(columns), "NaN\t\\N\ninf\t\\N\n-inf\t\\N\n");
    }
}
