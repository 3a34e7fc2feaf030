//! Splits a plan at every lowest aggregate.
//!
//! What is below and including such an aggregate becomes a lower half; in its place the upper half
//! reads a partial table. A stream that is still read above the split is an error, never a silent
//! scan.

use crate::catalog::reads_stream;
use crate::error::SqlError;
use crate::identity::Identity;
use crate::lower::LowerHalf;
use crate::partial::{PartialSlot, PartialTable};
use crate::refusal::Refusal;
use crate::window::Window;
use crate::window_functions::{misplaced_window, names_window, window_of};
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::logical_plan::{Aggregate, Union};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, col};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A plan in two halves.
pub(crate) struct Split {
    pub(crate) lowers: Vec<LowerHalf>,
    pub(crate) slots: Vec<PartialSlot>,
    pub(crate) upper: LogicalPlan,
    pub(crate) window: Option<Window>,
}

/// Splits an optimised plan; one without aggregates over a stream comes back with no lower half. What runs per batch is
/// compiled for the node that this identity names, if one does.
pub(crate) fn split(plan: LogicalPlan, identity: Option<&Identity>) -> Result<Split, Refusal> {
    let mut split = Split { lowers: vec![], slots: vec![], upper: plan.clone(), window: None };
    let mut refusal = None;
    let mut windows = vec![];
    split.upper = plan
        .transform_up_with_subqueries(|node| {
            let LogicalPlan::Aggregate(aggregate) = &node else { return Ok(Transformed::no(node)) };
            if refusal.is_some() || !reads_stream(&aggregate.input)? {
                return Ok(Transformed::no(node));
            }
            let lower = LowerHalf::of_aggregate(aggregate, identity);
            match lower.and_then(|lower| Ok((lower, window_in(aggregate)?))) {
                Ok((lower, window)) => {
                    windows.push(window);
                    Ok(Transformed::yes(split.push(lower, &node)?))
                }
                Err(reason) => {
                    refusal = Some(reason);
                    Ok(Transformed::no(node))
                }
            }
        })?
        .data;
    if let Some(refusal) = refusal {
        return Err(refusal);
    }
    split.upper = split.upper.transform_up_with_subqueries(recompute_schema)?.data;
    split.window = one_window(&windows)?;
    if matches!(split.window, Some(Window::Rows { .. })) && !read_the_same_rows(&split.lowers)? {
        return Err(Refusal::Because(SqlError::new(
            "tumble_rows over several streams, or several WHERE, would pair windows of different times",
            "take a window of time, tumble('60 seconds'), or one query for each",
        )));
    }
    check_upper(&split.upper)?;
    Ok(split)
}

impl Split {
    /// Puts a partial table in the place of the lower half's plan, with the same column names.
    pub(crate) fn push(&mut self, lower: LowerHalf, replaced: &LogicalPlan) -> Result<LogicalPlan> {
        let name = format!("partial_{}", self.lowers.len());
        let slot = PartialSlot::default();
        let table = PartialTable::new(lower.output_schema(), slot.clone());
        let columns = replaced.schema().iter().enumerate().map(|(position, (qualifier, field))| {
            col(format!("{name}.c{position}")).alias_qualified(qualifier.cloned(), field.name())
        });
        let columns: Vec<Expr> = columns.collect();
        self.lowers.push(lower);
        self.slots.push(slot);
        LogicalPlanBuilder::scan(name, provider_as_source(Arc::new(table)), None)?.project(columns)?.build()
    }
}

/// The node with the schema that its inputs have now: what a partial table gives may be NULL.
fn recompute_schema(node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let node = match node {
        LogicalPlan::Union(union) => LogicalPlan::Union(Union::try_new(union.inputs)?),
        other => other.recompute_schema()?,
    };
    Ok(Transformed::yes(node))
}

/// Whether all lower halves see the same rows of one stream, in the same order.
fn read_the_same_rows(lowers: &[LowerHalf]) -> Result<bool> {
    let mut conditions = vec![];
    for lower in lowers {
        // One that reads nothing of this node reads something elsewhere.
        let stream = match lower.branches.as_slice() {
            [] => None,
            [branch] => Some(branch.stream.id),
            _ => return Ok(false),
        };
        conditions.push((stream, conditions_of(&lower.plan)?));
    }
    Ok(conditions.windows(2).all(|pair| pair[0] == pair[1]))
}

/// The conditions of all filters, in any order.
fn conditions_of(plan: &LogicalPlan) -> Result<BTreeSet<String>> {
    let mut conditions = BTreeSet::new();
    plan.apply(|node| {
        if let LogicalPlan::Filter(filter) = node {
            conditions.extend(split_conjunction(&filter.predicate).into_iter().map(ToString::to_string));
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(conditions)
}

/// Whether `plan` has an aggregate anywhere.
pub(crate) fn has_aggregate(plan: &LogicalPlan) -> Result<bool> {
    plan.exists(|node| Ok(matches!(node, LogicalPlan::Aggregate(_))))
}

/// The window in the GROUP BY of a lowest aggregate.
fn window_in(aggregate: &Aggregate) -> Result<Option<Window>, Refusal> {
    let mut windows = aggregate.group_expr.iter().filter_map(window_of);
    let window = windows
        .next()
        .transpose()
        .map_err(|message| Refusal::Because(SqlError { message, help: None, place: None }))?;
    match windows.next() {
        None => Ok(window),
        Some(_) => Err(Refusal::Because(SqlError::new(
            "a GROUP BY can have one window",
            "keep one of tumble, hop and tumble_rows",
        ))),
    }
}

/// The one window of all lower halves.
fn one_window(windows: &[Option<Window>]) -> Result<Option<Window>, Refusal> {
    let Some((first, rest)) = windows.split_first() else { return Ok(None) };
    let Some(other) = rest.iter().find(|other| *other != first) else { return Ok(*first) };
    let name = |window: &Option<Window>| window.map_or("no window".to_owned(), |window| window.to_string());
    Err(Refusal::Because(SqlError::new(
        format!("the parts of the query have different windows, {} and {}", name(first), name(other)),
        "give every GROUP BY that reads a stream the same window",
    )))
}

/// Nothing above the split may read a stream or name a window.
fn check_upper(upper: &LogicalPlan) -> Result<(), Refusal> {
    if reads_stream(upper)? {
        return Err(Refusal::Because(SqlError::new(
            "part of the query reads a stream without an aggregate, which would have to keep every row",
            "aggregate every stream that is joined, united or asked in a subquery",
        )));
    }
    if names_window(upper)? { Err(Refusal::Because(misplaced_window())) } else { Ok(()) }
}
