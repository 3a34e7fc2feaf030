//! `list[n]`: an element of a list, counted from 1, or from -1 at its end; NULL where there is none.

use crate::argument::refuse;
use datafusion::arrow::array::{Array, AsArray, Int64Array, UInt64Array};
use datafusion::arrow::compute::{cast, take};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use std::sync::Arc;

#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct ArrayElement {
    signature: Signature,
}

impl ArrayElement {
    pub(crate) fn new() -> Self {
        Self { signature: Signature::any(2, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for ArrayElement {
    fn name(&self) -> &str {
        "array_element"
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        Ok(match args {
            [list, Expr::Literal(number, _)] => format!("{}[{number}]", list.schema_name()),
            [list, number] => format!("{}[{}]", list.schema_name(), number.schema_name()),
            _ => self.name().to_owned(),
        })
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        match arguments {
            [DataType::List(element), place] if place.is_integer() || place.is_null() => {
                Ok(element.data_type().clone())
            }
            [DataType::List(_), place] => refuse(format!(
                "an element of a list is named by its number, not by {place}; write [1] for the first"
            )),
            [other, _] => refuse(format!(
                "{other} is no list and has no elements; [1] is for lists such as those of top_k"
            )),
            _ => refuse("an element of a list is named by its number; write [1] for the first"),
        }
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let types: Vec<DataType> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        Ok(Arc::new(Field::new(self.name(), self.return_type(&types)?, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let (lists, places) = (arrays[0].as_list::<i32>(), cast(&arrays[1], &DataType::Int64)?);
        let places: &Int64Array = places.as_primitive::<Int64Type>();
        let position = |row: usize| {
            let is_there = lists.is_valid(row) && places.is_valid(row);
            let (first, length) = (i64::from(lists.value_offsets()[row]), i64::from(lists.value_length(row)));
            let place = is_there.then(|| places.value(row))?;
            let place = if place < 0 { length.checked_add(place)? } else { place - 1 };
            u64::try_from(first + place).ok().filter(|_| (0..length).contains(&place))
        };
        let positions: UInt64Array = (0..lists.len()).map(position).collect();
        Ok(ColumnarValue::Array(take(lists.values(), &positions, None)?))
    }
}
