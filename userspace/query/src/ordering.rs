//! Makes ORDER BY total, so that LIMIT gives the same rows in every run.

use datafusion::common::Result;
use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::{Expr, LogicalPlan, SortExpr};

/// Breaks the ties of every ORDER BY on the remaining columns, ascending.
pub(crate) fn break_ties(plan: LogicalPlan) -> Result<LogicalPlan> {
    let broken = plan.transform_up_with_subqueries(|node| {
        let LogicalPlan::Sort(mut sort) = node else { return Ok(Transformed::no(node)) };
        let schema = sort.input.schema();
        let comparable = schema.iter().filter(|(_, field)| !field.data_type().is_nested());
        let columns: Vec<Expr> = comparable.map(|pair| Expr::Column(pair.into())).collect();
        let missing = |column: &Expr| !sort.expr.iter().any(|sorted| sorted.expr == *column);
        let ties: Vec<_> = columns.into_iter().filter(missing).collect();
        sort.expr.extend(ties.into_iter().map(|column| SortExpr::new(column, true, false)));
        Ok(Transformed::yes(LogicalPlan::Sort(sort)))
    })?;
    Ok(broken.data)
}
