//! `cidr(ip, 'prefix')`: whether an address lies in a prefix; NULL for a NULL address.
//!
//! The prefix is a literal of either family. Its leading bits are compared, as two words a row: a comparison
//! with its first and last address would compare octet by octet, twice.

use super::argument::{addresses, expect_address, nullable_like_arguments, refuse, text_literal};
use datafusion::arrow::array::{Array, BooleanArray};
use datafusion::arrow::buffer::BooleanBuffer;
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use std::sync::Arc;
use tapline_record::address::{Address, parse_prefix};

const NAME: &str = "cidr";

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Cidr {
    signature: Signature,
}

impl Cidr {
    pub(super) fn new() -> Self {
        Self { signature: Signature::any(2, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Cidr {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        expect_address(NAME, &args)?;
        range_of(args.scalar_arguments[1])?;
        Ok(nullable_like_arguments(NAME, DataType::Boolean, &args))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [ip, ColumnarValue::Scalar(prefix)] = args.args.as_slice() else {
            return internal_err!("cidr was planned without a literal prefix");
        };
        let (first, last) = range_of(Some(prefix))?;
        let (first, last) = (u128::from_ne_bytes(first), u128::from_ne_bytes(last));
        let leading_bits = !(first ^ last);
        let ips = addresses(ip)?;
        let (octets, _) = ips.value_data().as_chunks::<16>();
        let inside = |row: usize| (u128::from_ne_bytes(octets[row]) ^ first) & leading_bits == 0;
        let inside = BooleanBuffer::collect_bool(ips.len(), inside);
        Ok(ColumnarValue::Array(Arc::new(BooleanArray::new(inside, ips.nulls().cloned()))))
    }
}

/// First and last address of a literal prefix.
fn range_of(prefix: Option<&ScalarValue>) -> Result<(Address, Address)> {
    let Some(text) = text_literal(prefix) else {
        return refuse(
            "cidr: the second argument is not a literal prefix; write e.g. cidr(src_ip, '10.0.0.0/8')",
        );
    };
    match parse_prefix(text) {
        Some(range) => Ok(range),
        None => refuse(format!("cidr: '{text}' is not a prefix; write e.g. '10.0.0.0/8' or '2001:db8::/32'")),
    }
}
