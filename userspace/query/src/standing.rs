//! Keeps what is looked up from being computed once and for all while a query is planned.
//!
//! DataFusion computes calls of literals when it simplifies expressions, and literals come together with calls when it
//! merges projections or moves conditions. So calls in which no column is named are exchanged before each of its passes,
//! for others that it does not compute.

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};
use std::sync::Arc;
use tapline_functions::standing;

/// The first rule of each pass.
#[derive(Debug)]
pub(crate) struct StandingLookups;

impl OptimizerRule for StandingLookups {
    fn name(&self) -> &str {
        "standing_lookups"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        plan.map_expressions(|expression| expression.transform_up(|part| Ok(stand(part))))
    }
}

/// The call that stands in the place of another one.
pub(crate) fn stand(mut expression: Expr) -> Transformed<Expr> {
    if let Expr::ScalarFunction(call) = &mut expression
        && !call.args.iter().any(Expr::any_column_refs)
        && let Some(standing) = standing(&call.func)
    {
        call.func = Arc::new(standing);
        return Transformed::yes(expression);
    }
    Transformed::no(expression)
}

#[cfg(test)]
mod tests;
