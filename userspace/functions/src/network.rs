//! `network(ip, v4_bits, v6_bits)`: the address with all but the leading bits of its family cleared.
//!
//! The numbers of bits are literals, 0 to 32 and 0 to 128. NULL for a NULL address.

use crate::argument::{
    ADDRESS, ADDRESS_OCTETS, address_numbers, addresses, expect_address, integer_literal,
    nullable_like_arguments, refuse,
};
use datafusion::arrow::array::{Array, FixedSizeBinaryArray};
use datafusion::arrow::buffer::Buffer;
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use std::sync::Arc;
use tapline_record::address::{mapped_v4, network};

const NAME: &str = "network";
const V4_BITS_MAX: u8 = 32;
const V6_BITS_MAX: u8 = 128;

#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Network {
    signature: Signature,
}

impl Network {
    pub(crate) fn new() -> Self {
        Self { signature: Signature::any(3, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Network {
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
        expect_address(NAME, &args)?;
        Masks::from_literals(args.scalar_arguments[1], args.scalar_arguments[2])?;
        Ok(nullable_like_arguments(NAME, ADDRESS, &args))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [ip, ColumnarValue::Scalar(v4_bits), ColumnarValue::Scalar(v6_bits)] = args.args.as_slice()
        else {
            return internal_err!("network was planned without literal numbers of bits");
        };
        let masks = Masks::from_literals(Some(v4_bits), Some(v6_bits))?;
        let ips = addresses(ip)?;
        let octets: Vec<[u8; 16]> =
            address_numbers(&ips).map(|number| masks.apply(number).to_be_bytes()).collect();
        let networks = Buffer::from_vec(octets.into_flattened());
        let networks = FixedSizeBinaryArray::try_new(ADDRESS_OCTETS, networks, ips.nulls().cloned())?;
        Ok(ColumnarValue::Array(Arc::new(networks)))
    }
}

/// The bits that stay, by family.
struct Masks {
    v4: u128,
    v6: u128,
}

impl Masks {
    fn from_literals(v4_bits: Option<&ScalarValue>, v6_bits: Option<&ScalarValue>) -> Result<Self> {
        let v4_bits = bits_of("v4_bits", v4_bits, V4_BITS_MAX)?;
        let v6_bits = bits_of("v6_bits", v6_bits, V6_BITS_MAX)?;
        Ok(Self {
            v4: u128::from_be_bytes(network(mapped_v4([u8::MAX; 4]), v4_bits, V6_BITS_MAX)),
            v6: u128::from_be_bytes(network([u8::MAX; 16], V4_BITS_MAX, v6_bits)),
        })
    }

    fn apply(&self, address: u128) -> u128 {
        let is_v4 = address >> 32 == 0xffff;
        address & if is_v4 { self.v4 } else { self.v6 }
    }
}

fn bits_of(name: &str, value: Option<&ScalarValue>, most: u8) -> Result<u8> {
    let bits = integer_literal(value).and_then(|bits| u8::try_from(bits).ok());
    if let Some(bits) = bits.filter(|bits| *bits <= most) {
        return Ok(bits);
    }
    let given = value.map_or_else(|| "not a literal".to_owned(), ToString::to_string);
    refuse(format!(
        "network: {name} is {given}; write a number from 0 to {most}, e.g. network(src_ip, 24, 48)"
    ))
}
