//! `text(x)` and `hex(x)`: addresses and octets as people write them; NULL for NULL.
//!
//! Results print addresses this way by themselves; `text` is for comparing and joining texts. Octets are shown as
//! [`octets`](crate::octets) has it. `hex` writes octets, of addresses too, and numbers in hexadecimal.
//! `characters`, which SQL cannot name, is what patterns look at.

use crate::argument::{ADDRESS, MAC, is_octets, is_text, nullable_like_arguments, refuse, rows};
use crate::octets::{each_row, octets, write_characters, write_hex, write_printable};
use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, FieldRef, Int64Type, UInt64Type};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use std::sync::Arc;
use tapline_record::address::{self, write_ip, write_mac};

/// One of the functions.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Written {
    form: Form,
    signature: Signature,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Form {
    Text,
    Hex,
    Characters,
}

impl Written {
    pub(crate) fn text() -> Self {
        Self::new(Form::Text)
    }

    pub(crate) fn hex() -> Self {
        Self::new(Form::Hex)
    }

    pub(crate) fn characters() -> Self {
        Self::new(Form::Characters)
    }

    fn new(form: Form) -> Self {
        Self { form, signature: Signature::any(1, Volatility::Immutable) }
    }

    fn takes(&self, kind: &DataType) -> bool {
        let is_address = *kind == ADDRESS || *kind == MAC;
        match self.form {
            _ if is_octets(kind) || is_text(kind) || kind.is_null() => true,
            Form::Text => is_address,
            Form::Hex => is_address || kind.is_integer(),
            Form::Characters => false,
        }
    }
}

impl ScalarUDFImpl for Written {
    fn name(&self) -> &str {
        match self.form {
            Form::Text => "text",
            Form::Hex => "hex",
            Form::Characters => "characters",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let (name, kind) = (self.name(), args.arg_fields[0].data_type());
        if self.takes(kind) {
            return Ok(nullable_like_arguments(name, DataType::Utf8, &args));
        }
        refuse(match self.form {
            Form::Text => format!(
                "text: the argument is {kind}, not an address; write CAST(… AS VARCHAR) for other values"
            ),
            _ => format!(
                "{name}: the argument is {kind}, neither octets nor a whole number; write e.g. hex(payload)"
            ),
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let values = rows(&args.args[0])?;
        let kind = values.data_type();
        let texts: ArrayRef = match self.form {
            Form::Text if *kind == ADDRESS => {
                Arc::new(address::texts(values.as_fixed_size_binary(), write_ip))
            }
            Form::Text if *kind == MAC => Arc::new(address::texts(values.as_fixed_size_binary(), write_mac)),
            Form::Text if is_text(kind) => cast(&values, &DataType::Utf8)?,
            Form::Text => Arc::new(each_row(&octets(&values)?, write_printable)),
            Form::Hex if kind.is_integer() => Arc::new(hex_numbers(&values)?),
            Form::Hex => Arc::new(each_row(&octets(&values)?, write_hex)),
            Form::Characters => Arc::new(each_row(&octets(&values)?, write_characters)),
        };
        Ok(ColumnarValue::Array(texts))
    }
}

/// Whole numbers in hexadecimal; negative ones as their 64 bits are.
fn hex_numbers(values: &ArrayRef) -> Result<StringArray> {
    if values.data_type().is_signed_integer() {
        let numbers = cast(values, &DataType::Int64)?;
        let numbers = numbers.as_primitive::<Int64Type>().iter();
        return Ok(numbers.map(|number| number.map(|number| format!("{number:x}"))).collect());
    }
    let numbers = cast(values, &DataType::UInt64)?;
    let numbers = numbers.as_primitive::<UInt64Type>().iter();
    Ok(numbers.map(|number| number.map(|number| format!("{number:x}"))).collect())
}
