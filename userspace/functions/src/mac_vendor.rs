//! `mac_vendor(mac)`: who made the network card, or what makes such addresses up; NULL for NULL, and where it is unknown.

use crate::argument::{MAC, MAC_OCTETS, is_text, refuse, text_literal};
use crate::lookup::{SharedTables, of_key};
use datafusion::arrow::array::{Array, ArrayRef, AsArray, FixedSizeBinaryArray, new_null_array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use std::sync::Arc;
use tapline_record::address::parse_mac;

const NAME: &str = "mac_vendor";

#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct MacVendor {
    tables: SharedTables,
    signature: Signature,
}

impl MacVendor {
    pub(crate) fn new(tables: SharedTables) -> Self {
        // The registry is read once.
        Self { tables, signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for MacVendor {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8View)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let kind = args.arg_fields[0].data_type();
        match text_literal(args.scalar_arguments[0]) {
            Some(text) if parse_mac(text).is_none() => refuse(format!(
                "mac_vendor: '{text}' is not a MAC address; write e.g. mac_vendor('00:11:22:33:44:55')"
            )),
            None if *kind != MAC && !is_text(kind) && !kind.is_null() => refuse(format!(
                "mac_vendor: the argument is {kind}, not a MAC address; write e.g. mac_vendor(src_mac)"
            )),
            _ => {
                // The registry is read here, and not by the worker that gets the first batch.
                let _ = self.tables.0.vendors();
                Ok(Arc::new(Field::new(NAME, DataType::Utf8View, true)))
            }
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        of_key(&args.args[0], |values| Ok(self.tables.0.vendors().names(&macs(values)?)?))
    }
}

/// Values as MAC addresses; NULL where a text is none.
fn macs(values: &ArrayRef) -> Result<FixedSizeBinaryArray> {
    Ok(match values.data_type() {
        kind if *kind == MAC => values.as_fixed_size_binary().clone(),
        kind if is_text(kind) => {
            let texts = cast(values, &DataType::Utf8)?;
            let macs = texts.as_string::<i32>().iter().map(|text| text.and_then(parse_mac));
            FixedSizeBinaryArray::try_from_sparse_iter_with_size(macs, MAC_OCTETS)?
        }
        _ => new_null_array(&MAC, values.len()).as_fixed_size_binary().clone(),
    })
}
