//! `ip('text')` and `mac('text')`: the address that a text names.
//!
//! A literal is checked and folded while the query is planned. In a column, text that is no address
//! gives NULL. An address stays what it is.

use crate::argument::{
    ADDRESS, ADDRESS_OCTETS, MAC, MAC_OCTETS, is_text, nullable_like_arguments, refuse, rows, text_literal,
};
use datafusion::arrow::array::{ArrayRef, AsArray, FixedSizeBinaryArray, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use std::sync::Arc;
use tapline_record::address::{parse_ip, parse_mac};

/// `ip` or `mac`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Named {
    name: &'static str,
    kind: DataType,
    example: &'static str,
    signature: Signature,
}

impl Named {
    pub(crate) fn ip() -> Self {
        Self::new("ip", ADDRESS, "ip('10.0.0.1') or ip('2001:db8::1')")
    }

    pub(crate) fn mac() -> Self {
        Self::new("mac", MAC, "mac('00:11:22:33:44:55')")
    }

    fn new(name: &'static str, kind: DataType, example: &'static str) -> Self {
        Self { name, kind, example, signature: Signature::any(1, Volatility::Immutable) }
    }

    fn parse(&self, text: &str) -> Option<Vec<u8>> {
        if self.kind == MAC { parse_mac(text).map(Vec::from) } else { parse_ip(text).map(Vec::from) }
    }

    fn parse_rows(&self, text: &StringArray) -> Result<ArrayRef> {
        let addresses = text.iter().map(|text| text.and_then(|text| self.parse(text)));
        let octets = if self.kind == MAC { MAC_OCTETS } else { ADDRESS_OCTETS };
        Ok(Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(addresses, octets)?))
    }
}

impl ScalarUDFImpl for Named {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(self.kind.clone())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let (name, example) = (self.name, self.example);
        let like_arguments = || nullable_like_arguments(name, self.kind.clone(), &args);
        match (args.arg_fields[0].data_type(), text_literal(args.scalar_arguments[0])) {
            (_, Some(text)) if self.parse(text).is_none() => {
                refuse(format!("{name}: '{text}' is not an address; write e.g. {example}"))
            }
            (_, Some(_)) => Ok(like_arguments()),
            (kind, None) if is_text(kind) || matches!(kind, DataType::Null) => {
                Ok(Arc::new(Field::new(name, self.kind.clone(), true)))
            }
            (kind, None) if *kind == self.kind => Ok(like_arguments()),
            (kind, None) => refuse(format!("{name}: the argument is {kind}, not text; write e.g. {example}")),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let values = rows(&args.args[0])?;
        if *values.data_type() == self.kind {
            return Ok(ColumnarValue::Array(values));
        }
        let text = cast(&values, &DataType::Utf8)?;
        Ok(ColumnarValue::Array(self.parse_rows(text.as_string::<i32>())?))
    }
}
