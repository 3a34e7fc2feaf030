//! tapline's own functions, for addresses that are text.
//!
//! The functions take addresses as the streams hold them. Here they take them as they are printed, and give them so.

use crate::client_types::{client_array, client_type};
use datafusion::arrow::array::{AsArray as _, FixedSizeBinaryArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue, internal_err, plan_err};
use datafusion::logical_expr::{
    AggregateUDF, ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    TypeSignature, Volatility,
};
use std::sync::Arc;
use tapline_functions::{aggregate_functions, scalar_functions};
use tapline_lookup::Tables;
use tapline_record::address::{parse_ip, parse_mac};

/// What a text may have to be, as the streams hold it: octets of an address.
const IP: DataType = DataType::FixedSizeBinary(16);
const MAC: DataType = DataType::FixedSizeBinary(6);

/// The functions; what is looked up is looked up in `tables`.
pub(crate) fn functions(tables: &Arc<Tables>) -> Vec<ScalarUDF> {
    scalar_functions(tables).into_iter().map(|function| OnText::new(function).into()).collect()
}

/// The aggregates that DataFusion does not have.
pub(crate) fn aggregates() -> impl Iterator<Item = AggregateUDF> {
    aggregate_functions().into_iter().filter(|function| function.name() == "quantile")
}

/// A function that takes addresses, and text for them.
#[derive(Debug, PartialEq, Eq, Hash)]
struct OnText {
    function: ScalarUDF,
    signature: Signature,
}

impl OnText {
    fn new(function: ScalarUDF) -> Self {
        // Tables that are looked up may change from one statement to the next.
        Self { function, signature: Signature::variadic_any(Volatility::Stable) }
    }

    /// What the function gives, and of which types it takes its arguments: as they are, or addresses in the place of
    /// text.
    fn taken(
        &self,
        fields: &[FieldRef],
        literals: &[Option<&ScalarValue>],
    ) -> Result<(Vec<FieldRef>, FieldRef)> {
        if let TypeSignature::Any(count) = self.function.signature().type_signature
            && fields.len() != count
        {
            let (name, given) = (self.name(), fields.len());
            return plan_err!("{name} takes {count} arguments, and {given} are given");
        }
        let taken = |fields: Vec<FieldRef>| -> Result<(Vec<FieldRef>, FieldRef)> {
            let args = ReturnFieldArgs { arg_fields: &fields, scalar_arguments: literals };
            let given = self.function.return_field_from_args(args)?;
            Ok((fields, given))
        };
        if let Ok(as_they_are) = taken(fields.to_vec()) {
            return Ok(as_they_are);
        }
        let with_addresses = |kind: &DataType| -> Vec<FieldRef> {
            let pairs = fields.iter().zip(literals);
            pairs.map(|(field, literal)| as_address(field, literal.is_some(), kind)).collect()
        };
        // What is refused of addresses says what is wrong with the others.
        taken(with_addresses(&IP)).or_else(|refused| taken(with_addresses(&MAC)).map_err(|_| refused))
    }
}

/// A column of text as one of addresses.
fn as_address(field: &FieldRef, is_literal: bool, kind: &DataType) -> FieldRef {
    if is_literal || !field.data_type().is_string() {
        return Arc::clone(field);
    }
    Arc::new(Field::new(field.name(), kind.clone(), true))
}

/// Text as octets of addresses; NULL where it is none.
fn read(value: &ColumnarValue, kind: &DataType) -> Result<ColumnarValue> {
    let texts = cast(&value.to_array(1)?, &DataType::Utf8)?;
    let texts = texts.as_string::<i32>().iter();
    let array = if *kind == MAC {
        let octets = texts.map(|text| text.and_then(parse_mac));
        FixedSizeBinaryArray::try_from_sparse_iter_with_size(octets, 6)?
    } else {
        let octets = texts.map(|text| text.and_then(parse_ip));
        FixedSizeBinaryArray::try_from_sparse_iter_with_size(octets, 16)?
    };
    Ok(ColumnarValue::Array(Arc::new(array)))
}

impl ScalarUDFImpl for OnText {
    fn name(&self) -> &str {
        self.function.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        internal_err!("what {} gives depends on its arguments", self.name())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let (_, given) = self.taken(args.arg_fields, args.scalar_arguments)?;
        Ok(Arc::new(Field::new(given.name(), client_type(given.data_type()), given.is_nullable())))
    }

    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let literals: Vec<Option<ScalarValue>> = args.args.iter().map(literal).collect();
        let literals: Vec<Option<&ScalarValue>> = literals.iter().map(Option::as_ref).collect();
        let (fields, given) = self.taken(&args.arg_fields, &literals)?;
        let pairs = args.args.into_iter().zip(args.arg_fields.iter().zip(&fields));
        let values = pairs.map(|(value, (had, wanted))| {
            if had.data_type() == wanted.data_type() { Ok(value) } else { read(&value, wanted.data_type()) }
        });
        args.args = values.collect::<Result<_>>()?;
        (args.arg_fields, args.return_field) = (fields, given);
        let value = self.function.invoke_with_args(args)?;
        Ok(ColumnarValue::Array(client_array(&value.into_array(1)?)?))
    }
}

fn literal(value: &ColumnarValue) -> Option<ScalarValue> {
    match value {
        ColumnarValue::Scalar(literal) => Some(literal.clone()),
        ColumnarValue::Array(_) => None,
    }
}
