//! `text(address)`: an IP or MAC address as it is written; NULL for NULL.
//!
//! Results print addresses this way by themselves; the function is for comparing and joining texts.

use super::argument::{ADDRESS, nullable_like_arguments, refuse, rows};
use datafusion::arrow::array::{Array, ArrayRef, AsArray, FixedSizeBinaryArray, StringArray, new_null_array};
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use std::sync::Arc;
use tapline_record::address::{format_mac, to_ip};

const NAME: &str = "text";
const MAC: DataType = DataType::FixedSizeBinary(6);

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Text {
    signature: Signature,
}

impl Text {
    pub(super) fn new() -> Self {
        Self { signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Text {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        match args.arg_fields[0].data_type() {
            kind if *kind == ADDRESS || *kind == MAC || kind.is_null() => {
                Ok(nullable_like_arguments(NAME, DataType::Utf8, &args))
            }
            kind => refuse(format!(
                "text: the argument is {kind}, not an address; write CAST(… AS VARCHAR) for other values"
            )),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let values = rows(&args.args[0])?;
        let texts: ArrayRef = match values.data_type() {
            DataType::Null => new_null_array(&DataType::Utf8, values.len()),
            kind if *kind == ADDRESS => {
                Arc::new(each_row(values.as_fixed_size_binary(), |octets| to_ip(octets).to_string()))
            }
            kind if *kind == MAC => Arc::new(each_row(values.as_fixed_size_binary(), format_mac)),
            kind => return internal_err!("expected addresses, got {kind}"),
        };
        Ok(ColumnarValue::Array(texts))
    }
}

/// Formats the rows of a column of `N` octets a value.
fn each_row<const N: usize>(values: &FixedSizeBinaryArray, format: fn([u8; N]) -> String) -> StringArray {
    values.iter().map(|octets| octets.and_then(|octets| octets.try_into().ok()).map(format)).collect()
}
