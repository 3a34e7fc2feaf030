//! `ip('text')`: the address that a text names.
//!
//! A literal is checked and folded while the query is planned. In a column, text that is no address
//! gives NULL. An address stays what it is.

use super::argument::{
    ADDRESS, ADDRESS_OCTETS, is_text, nullable_like_arguments, refuse, rows, text_literal,
};
use datafusion::arrow::array::{ArrayRef, AsArray, FixedSizeBinaryArray, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use std::sync::Arc;
use tapline_record::address::parse_ip;

const NAME: &str = "ip";

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Ip {
    signature: Signature,
}

impl Ip {
    pub(super) fn new() -> Self {
        Self { signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Ip {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(ADDRESS)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let field = &args.arg_fields[0];
        let literal = text_literal(args.scalar_arguments[0]);
        match (field.data_type(), literal) {
            (_, Some(text)) if parse_ip(text).is_none() => refuse(format!(
                "ip: '{text}' is not an address; write e.g. ip('10.0.0.1') or ip('2001:db8::1')"
            )),
            (_, Some(_)) => Ok(nullable_like_arguments(NAME, ADDRESS, &args)),
            (kind, None) if is_text(kind) || matches!(kind, DataType::Null) => {
                Ok(Arc::new(Field::new(NAME, ADDRESS, true)))
            }
            (kind, None) if *kind == ADDRESS => Ok(nullable_like_arguments(NAME, ADDRESS, &args)),
            (kind, None) => {
                refuse(format!("ip: the argument is {kind}, not text; write e.g. ip('10.0.0.1')"))
            }
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let values = rows(&args.args[0])?;
        if *values.data_type() == ADDRESS {
            return Ok(ColumnarValue::Array(values));
        }
        let text = cast(&values, &DataType::Utf8)?;
        Ok(ColumnarValue::Array(parse_rows(text.as_string::<i32>())?))
    }
}

fn parse_rows(text: &StringArray) -> Result<ArrayRef> {
    let addresses = text.iter().map(|text| text.and_then(parse_ip));
    Ok(Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(addresses, ADDRESS_OCTETS)?))
}
