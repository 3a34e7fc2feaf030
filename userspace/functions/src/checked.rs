//! Operations with integers of 64 bits that fail where their result does not fit.

use datafusion::arrow::compute::kernels::numeric;
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::error::ArrowError;
use datafusion::common::{DataFusionError, Result, exec_datafusion_err, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, Operator, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::physical_expr_common::datum::apply;

/// One operation with two integers.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Checked {
    pub(crate) operator: Operator,
    signature: Signature,
}

impl Checked {
    pub(crate) fn new(operator: Operator) -> Self {
        let signature = Signature::exact(vec![DataType::Int64; 2], Volatility::Immutable);
        Self { operator, signature }
    }
}

impl ScalarUDFImpl for Checked {
    fn name(&self) -> &'static str {
        match self.operator {
            Operator::Plus => "plus",
            Operator::Minus => "minus",
            _ => "times",
        }
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let sides: Vec<String> = args.iter().map(|side| side.schema_name().to_string()).collect();
        Ok(sides.join(&format!(" {} ", self.operator)))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [left, right] = args.args.as_slice() else { return exec_err!("two numbers are needed") };
        let kernel = match self.operator {
            Operator::Plus => numeric::add,
            Operator::Minus => numeric::sub,
            _ => numeric::mul,
        };
        apply(left, right, kernel).map_err(|error| match error.find_root() {
            DataFusionError::ArrowError(overflow, _)
                if matches!(**overflow, ArrowError::ArithmeticOverflow(_)) =>
            {
                let name = self.operator;
                exec_datafusion_err!(
                    "a number that {name} computes is beyond 64 bits; compute with floating-point numbers: CAST(x AS DOUBLE)"
                )
            }
            _ => error,
        })
    }
}
