//! What the aggregates share: checks of a call while it is planned, and their literals.

use crate::argument::refuse;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::function::{AccumulatorArgs, AggregateFunctionSimplification};
use datafusion::physical_expr::expressions::Literal;

/// Checks a call in the optimiser, where its literals are folded: `check` sees the second argument when
/// it is a literal. The call stays as it is.
pub(crate) fn checked(
    function: &'static str,
    check: fn(Option<&ScalarValue>) -> Result<()>,
) -> AggregateFunctionSimplification {
    Box::new(move |call: AggregateFunction, _context| {
        if call.params.distinct {
            return refuse(format!("{function}: DISTINCT has no meaning here; write it without"));
        }
        let literal = match call.params.args.get(1) {
            Some(Expr::Literal(value, _)) => Some(value),
            _ => None,
        };
        check(literal)?;
        Ok(Expr::AggregateFunction(call))
    })
}

/// The second argument of a planned call, when it is a literal.
pub(crate) fn second_literal<'a>(args: &'a AccumulatorArgs<'_>) -> Option<&'a ScalarValue> {
    let literal = args.exprs.get(1)?.downcast_ref::<Literal>()?;
    Some(literal.value())
}
