//! LIMIT and OFFSET of a stream of rows.
//!
//! Rows are counted where results are written, so a plan of lower halves comes back without its limits.

use crate::error::SqlError;
use crate::refusal::Refusal;
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode as _, TreeNodeRecursion};
use datafusion::logical_expr::logical_plan::{FetchType, SkipType};
use datafusion::logical_expr::{Limit, LogicalPlan};
use std::sync::Arc;

/// Takes LIMIT and OFFSET off a plan whose other nodes stream.
pub(crate) fn peel_limit(plan: LogicalPlan) -> Result<(LogicalPlan, usize, Option<usize>), Refusal> {
    let (mut skip, mut fetch, mut unclear) = (0, None, false);
    let peeled = plan.transform_down(|node| match node {
        LogicalPlan::Limit(limit) if fetch.is_none() && skip == 0 => {
            unclear = !read_limit(&limit, &mut skip, &mut fetch)?;
            let input = Arc::unwrap_or_clone(limit.input);
            Ok(Transformed::new(input, true, TreeNodeRecursion::Stop))
        }
        LogicalPlan::Projection(_) | LogicalPlan::SubqueryAlias(_) => Ok(Transformed::no(node)),
        other => Ok(Transformed::new(other, false, TreeNodeRecursion::Stop)),
    })?;
    if unclear {
        let help = "write LIMIT 10";
        return Err(Refusal::Because(SqlError::new("LIMIT and OFFSET must be numbers", help)));
    }
    Ok((peeled.data, skip, fetch))
}

/// Takes off what the optimiser put below UNION ALL: limits that allow as many rows as are wanted in all.
pub(crate) fn without_wider_limits(plan: LogicalPlan, wanted: Option<usize>) -> Result<LogicalPlan> {
    let Some(wanted) = wanted else { return Ok(plan) };
    let bare = plan.transform_down(|node| match node {
        LogicalPlan::Limit(limit) => {
            let (mut skip, mut fetch) = (0, None);
            let is_wider = read_limit(&limit, &mut skip, &mut fetch)? && skip == 0;
            if is_wider && fetch.is_some_and(|fetch| fetch >= wanted) {
                return Ok(Transformed::yes(Arc::unwrap_or_clone(limit.input)));
            }
            Ok(Transformed::new(LogicalPlan::Limit(limit), false, TreeNodeRecursion::Stop))
        }
        LogicalPlan::Projection(_) | LogicalPlan::SubqueryAlias(_) | LogicalPlan::Union(_) => {
            Ok(Transformed::no(node))
        }
        other => Ok(Transformed::new(other, false, TreeNodeRecursion::Jump)),
    })?;
    Ok(bare.data)
}

fn read_limit(limit: &Limit, skip: &mut usize, fetch: &mut Option<usize>) -> Result<bool> {
    match (limit.get_skip_type()?, limit.get_fetch_type()?) {
        (SkipType::Literal(rows), FetchType::Literal(limit)) => {
            (*skip, *fetch) = (rows, limit);
            Ok(true)
        }
        _ => Ok(false),
    }
}
