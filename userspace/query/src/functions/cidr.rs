//! `cidr(ip, 'prefix')`: whether an address lies in a prefix; NULL for a NULL address.
//!
//! The prefix is a literal of either family. Over a column the call becomes a comparison with the
//! first and last address of the prefix while the query is planned, which other rules see through.

use super::argument::{
    ADDRESS_OCTETS, address_numbers, addresses, expect_address, nullable_like_arguments, refuse, text_literal,
};
use datafusion::arrow::array::{Array, BooleanArray};
use datafusion::arrow::buffer::BooleanBuffer;
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility, lit,
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

    fn simplify(&self, args: Vec<Expr>, _context: &SimplifyContext) -> Result<ExprSimplifyResult> {
        let [column @ Expr::Column(_), Expr::Literal(prefix, _)] = args.as_slice() else {
            return Ok(ExprSimplifyResult::Original(args));
        };
        let (first, last) = range_of(Some(prefix))?;
        let comparison = if first == last {
            column.clone().eq(address_literal(first))
        } else {
            let above = column.clone().gt_eq(address_literal(first));
            above.and(column.clone().lt_eq(address_literal(last)))
        };
        Ok(ExprSimplifyResult::Simplified(comparison))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [ip, ColumnarValue::Scalar(prefix)] = args.args.as_slice() else {
            return internal_err!("cidr was planned without a literal prefix");
        };
        let (first, last) = range_of(Some(prefix))?;
        let range = u128::from_be_bytes(first)..=u128::from_be_bytes(last);
        let ips = addresses(ip)?;
        let inside: BooleanBuffer = address_numbers(&ips).map(|number| range.contains(&number)).collect();
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

fn address_literal(address: Address) -> Expr {
    lit(ScalarValue::FixedSizeBinary(ADDRESS_OCTETS, Some(address.to_vec())))
}
