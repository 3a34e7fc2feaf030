//! `cidr(ip, 'prefix')`: whether an address lies in a prefix; NULL for a NULL address.
//!
//! The prefix is a literal of either family, and holds addresses of its own family only: what is written as IPv6 holds
//! no IPv4 address, although columns hold those as mapped ones. Its leading bits are compared, as two words a row: a
//! comparison with its first and last address would compare octet by octet, twice.

use crate::argument::{addresses, expect_address, nullable_like_arguments, refuse, text_literal};
use datafusion::arrow::array::{Array, BooleanArray};
use datafusion::arrow::buffer::BooleanBuffer;
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use std::sync::Arc;
use tapline_record::address::{Address, mapped_v4, parse_prefix};

const NAME: &str = "cidr";

#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Cidr {
    signature: Signature,
}

impl Cidr {
    pub(crate) fn new() -> Self {
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
        Prefix::of(args.scalar_arguments[1])?;
        Ok(nullable_like_arguments(NAME, DataType::Boolean, &args))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [ip, ColumnarValue::Scalar(prefix)] = args.args.as_slice() else {
            return internal_err!("cidr was planned without a literal prefix");
        };
        let prefix = Prefix::of(Some(prefix))?;
        let ips = addresses(ip)?;
        let (octets, _) = ips.value_data().as_chunks::<16>();
        let inside = match prefix {
            Prefix::Of(range) => {
                BooleanBuffer::collect_bool(ips.len(), |row| range.holds(u128::from_ne_bytes(octets[row])))
            }
            Prefix::AroundMapped(range) => BooleanBuffer::collect_bool(ips.len(), |row| {
                let number = u128::from_ne_bytes(octets[row]);
                range.holds(number) && !MAPPED.holds(number)
            }),
            Prefix::Mapped => BooleanBuffer::new_unset(ips.len()),
        };
        Ok(ColumnarValue::Array(Arc::new(BooleanArray::new(inside, ips.nulls().cloned()))))
    }
}

/// Addresses whose leading bits are the same, as numbers in this machine's order of octets.
#[derive(Clone, Copy, Debug)]
struct Range {
    first: u128,
    leading_bits: u128,
}

/// The IPv4 addresses as columns hold them, `::ffff:0:0/96`.
const MAPPED: Range = Range::between(mapped_v4([0; 4]), mapped_v4([u8::MAX; 4]));

impl Range {
    const fn between(first: Address, last: Address) -> Self {
        let (first, last) = (u128::from_ne_bytes(first), u128::from_ne_bytes(last));
        Self { first, leading_bits: !(first ^ last) }
    }

    #[inline]
    const fn holds(self, number: u128) -> bool {
        (number ^ self.first) & self.leading_bits == 0
    }
}

/// A prefix, by what it has to do with IPv4.
#[derive(Clone, Copy, Debug)]
enum Prefix {
    /// An IPv4 prefix, or an IPv6 one that is apart from mapped addresses.
    Of(Range),
    /// An IPv6 prefix that mapped addresses would lie in.
    AroundMapped(Range),
    /// An IPv6 prefix of mapped addresses alone: no IPv6 address lies in it.
    Mapped,
}

impl Prefix {
    /// A literal prefix.
    fn of(prefix: Option<&ScalarValue>) -> Result<Self> {
        let Some(text) = text_literal(prefix) else {
            return refuse(
                "cidr: the second argument is not a literal prefix; write e.g. cidr(src_ip, '10.0.0.0/8')",
            );
        };
        let Some((first, last)) = parse_prefix(text) else {
            return refuse(format!(
                "cidr: '{text}' is not a prefix; write e.g. '10.0.0.0/8' or '2001:db8::/32'"
            ));
        };
        let range = Range::between(first, last);
        Ok(match text.contains(':') {
            true if MAPPED.holds(range.first) => Self::Mapped,
            true if range.holds(MAPPED.first) => Self::AroundMapped(range),
            _ => Self::Of(range),
        })
    }
}
