//! What the functions ask of their arguments, and how they say what is wrong with them.
//!
//! Every check runs while a query is planned; an error is one sentence that names the function, what
//! it was given and what would be right.

pub(crate) use crate::kinds::{is_octets, is_text};
use datafusion::arrow::array::{Array, ArrayRef, AsArray, FixedSizeBinaryArray, new_null_array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{DataFusionError, Result, ScalarValue, internal_err};
use datafusion::logical_expr::{ColumnarValue, ReturnFieldArgs};
use std::sync::Arc;
use tapline_record::address::parse_ip;

/// Octets of an address value.
pub(crate) const ADDRESS_OCTETS: i32 = 16;

/// The type of an address value.
pub(crate) const ADDRESS: DataType = DataType::FixedSizeBinary(ADDRESS_OCTETS);

/// Octets of a MAC address.
pub(crate) const MAC_OCTETS: i32 = 6;

/// The type of a MAC address.
pub(crate) const MAC: DataType = DataType::FixedSizeBinary(MAC_OCTETS);

/// A refusal while planning.
pub(crate) fn refuse<T>(sentence: impl Into<String>) -> Result<T> {
    Err(DataFusionError::Plan(sentence.into()))
}

/// Refuses a first argument that is not an address; a bare NULL is one, and a literal that names one.
pub(crate) fn expect_address(function: &str, args: &ReturnFieldArgs<'_>) -> Result<()> {
    if let Some(text) = text_literal(args.scalar_arguments[0]) {
        let help = "write e.g. '10.0.0.1' or '2001:db8::1'";
        let bad = || refuse(format!("{function}: '{text}' is not an address; {help}"));
        return if parse_ip(text).is_some() { Ok(()) } else { bad() };
    }
    match args.arg_fields[0].data_type() {
        DataType::Null => Ok(()),
        kind if *kind == ADDRESS => Ok(()),
        kind => refuse(format!(
            "{function}: the first argument is {kind}, not an address; give an address column or ip('10.0.0.1')"
        )),
    }
}

/// The result's field: `kind`, and NULL only where an argument can be.
pub(crate) fn nullable_like_arguments(
    function: &str,
    kind: DataType,
    args: &ReturnFieldArgs<'_>,
) -> FieldRef {
    let nullable = args.arg_fields.iter().any(|field| field.is_nullable());
    Arc::new(Field::new(function, kind, nullable))
}

/// The text of a literal; `None` for anything else, NULL too.
pub(crate) fn text_literal(value: Option<&ScalarValue>) -> Option<&str> {
    value.and_then(|value| value.try_as_str().flatten())
}

/// The value of an integer literal; `None` for anything else, NULL and too large ones too.
pub(crate) fn integer_literal(value: Option<&ScalarValue>) -> Option<i64> {
    let value = value.filter(|value| value.data_type().is_integer())?;
    match value.cast_to(&DataType::Int64) {
        Ok(ScalarValue::Int64(number)) => number,
        _ => None,
    }
}

/// The argument as an array; one row when it is a scalar.
pub(crate) fn rows(value: &ColumnarValue) -> Result<ArrayRef> {
    value.to_array(1)
}

/// The argument as addresses; a bare NULL is a NULL address, and so is a text that names none.
pub(crate) fn addresses(value: &ColumnarValue) -> Result<FixedSizeBinaryArray> {
    let array = rows(value)?;
    match array.data_type() {
        kind if is_text(kind) => {
            let text = cast(&array, &DataType::Utf8)?;
            let addresses = text.as_string::<i32>().iter().map(|text| text.and_then(parse_ip));
            Ok(FixedSizeBinaryArray::try_from_sparse_iter_with_size(addresses, ADDRESS_OCTETS)?)
        }
        DataType::Null => Ok(new_null_array(&ADDRESS, array.len()).as_fixed_size_binary().clone()),
        kind if *kind == ADDRESS => Ok(array.as_fixed_size_binary().clone()),
        kind => internal_err!("expected addresses, got {kind}"),
    }
}

/// The address values as numbers in network order; NULL rows hold any number.
pub(crate) fn address_numbers(array: &FixedSizeBinaryArray) -> impl ExactSizeIterator<Item = u128> {
    let (octets, _) = array.value_data().as_chunks::<16>();
    octets.iter().map(|octets| u128::from_be_bytes(*octets))
}
