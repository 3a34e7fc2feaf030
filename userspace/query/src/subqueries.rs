//! Subqueries whose result is one value.
//!
//! Optimisation turns them into joins, so their columns need names of their own, and what they are compared with must
//! be known when they are: when the window has ended. A row of a stream is gone by then.

use crate::catalog::reads_stream;
use crate::error::SqlError;
use crate::refusal::Refusal;
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::logical_plan::Subquery;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use std::sync::Arc;

/// Gives the column of each such subquery a name that no other column has.
pub(crate) fn name_subqueries(plan: LogicalPlan) -> Result<LogicalPlan> {
    let mut number = 0;
    let named = plan.transform_up_with_subqueries(|node| {
        let names = NamePreserver::new_for_projection();
        let keeps_names = matches!(node, LogicalPlan::Projection(_) | LogicalPlan::Aggregate(_));
        node.map_expressions(|expression| {
            let name = names.save(&expression);
            let named = expression.transform_up(|inner| match inner {
                Expr::ScalarSubquery(subquery) => {
                    number += 1;
                    named(subquery, number).map(|subquery| Transformed::yes(Expr::ScalarSubquery(subquery)))
                }
                other => Ok(Transformed::no(other)),
            })?;
            Ok(if keeps_names && named.transformed {
                named.update_data(|one| name.restore(one))
            } else {
                named
            })
        })
    })?;
    Ok(named.data)
}

fn named(subquery: Subquery, number: usize) -> Result<Subquery> {
    let columns: Vec<Expr> =
        subquery.subquery.schema().iter().map(|column| Expr::Column(column.into())).collect();
    let columns = columns.into_iter().map(|column| column.alias(format!("subquery_{number}")));
    let plan = LogicalPlanBuilder::from(subquery.subquery.as_ref().clone()).project(columns)?.build()?;
    Ok(Subquery { subquery: Arc::new(plan), ..subquery })
}

/// Refuses a row of a stream that is compared, or computed with, a subquery over a stream.
pub(crate) fn check_subqueries(plan: &LogicalPlan) -> Result<(), Refusal> {
    let mut is_wrong = false;
    plan.apply_with_subqueries(|node| {
        let mut asks = false;
        node.apply_subqueries(|subquery| {
            asks |= reads_stream(subquery)?;
            Ok(TreeNodeRecursion::Jump)
        })?;
        for input in node.inputs() {
            is_wrong |= asks && reads_stream(input)? && !is_grouped(input)?;
        }
        Ok(if is_wrong { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    if !is_wrong {
        return Ok(());
    }
    Err(Refusal::Because(SqlError::new(
        "a row cannot be compared with the answer of a subquery: it is known when the window ends, and the row is \
            gone by then",
        "compare groups with it, as in GROUP BY src_ip HAVING avg(octets) > (SELECT avg(octets) FROM packets); or ask \
            for that answer first, and write it here",
    )))
}

/// Whether what the plan gives is known when a window ends, and not before.
fn is_grouped(plan: &LogicalPlan) -> Result<bool> {
    plan.exists(|node| Ok(matches!(node, LogicalPlan::Aggregate(_) | LogicalPlan::Distinct(_))))
}
