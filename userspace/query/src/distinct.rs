//! DISTINCT inside aggregates.
//!
//! `count(DISTINCT x)` would need a set of values in one state. Instead its stream is grouped by the
//! keys and x first, which can be split, and counted above. Every distinct argument, and all
//! aggregates that are not distinct, get a part of their own; the parts are joined on the keys.

use crate::split::has_aggregate;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, NullEquality, Result};
use datafusion::logical_expr::logical_plan::Aggregate;
use datafusion::logical_expr::{Expr, JoinType, LogicalPlan, LogicalPlanBuilder, col, when};
use std::sync::Arc;

/// Aggregates of one DISTINCT argument, or all that are not distinct, with their positions.
struct Class {
    distinct: Option<Vec<Expr>>,
    members: Vec<(usize, Expr)>,
}

/// Parts every lowest aggregate by the arguments of its DISTINCTs.
pub(crate) fn expand_distinct(plan: LogicalPlan) -> Result<LogicalPlan> {
    let expanded = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Aggregate(aggregate) if is_expandable(&aggregate)? => {
            Ok(Transformed::yes(expand(&aggregate)?))
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(expanded.data)
}

fn is_expandable(aggregate: &Aggregate) -> Result<bool> {
    let has_sets = aggregate.group_expr.iter().any(|key| matches!(key, Expr::GroupingSet(_)));
    let mut distinct = aggregate.aggr_expr.iter().filter_map(distinct_arguments).peekable();
    // A literal tells the aggregate how to work, as in quantile(x, 0.5); it is no value of a row.
    let all = distinct.peek().is_some()
        && distinct.all(|arguments| !arguments.iter().any(|argument| matches!(argument, Expr::Literal(..))));
    Ok(!has_sets && all && !has_aggregate(&aggregate.input)?)
}

fn distinct_arguments(expression: &Expr) -> Option<&[Expr]> {
    match expression {
        Expr::Alias(alias) => distinct_arguments(&alias.expr),
        Expr::AggregateFunction(function) => {
            Some(&function.params.args[..]).filter(|_| function.params.distinct)
        }
        _ => None,
    }
}

fn expand(aggregate: &Aggregate) -> Result<LogicalPlan> {
    let aggregate = &with_keys_once(aggregate)?;
    let classes = classes_of(aggregate)?;
    let mut parts = classes.iter().enumerate().map(|(number, class)| part(aggregate, class, number));
    let first = parts.next().unwrap_or_else(|| Ok(LogicalPlan::Aggregate(aggregate.clone())))?;
    let joined = parts.enumerate().try_fold(LogicalPlanBuilder::from(first), |left, (number, right)| {
        join_on_keys(left, right?, aggregate.group_expr.len(), number + 1)
    })?;
    joined.project(original_columns(aggregate, &classes))?.build()
}

/// The same aggregate, whose keys are as many as its columns of keys: a key that is named twice has one.
fn with_keys_once(aggregate: &Aggregate) -> Result<Aggregate> {
    let mut keys: Vec<Expr> = vec![];
    for key in &aggregate.group_expr {
        if !keys.contains(key) {
            keys.push(key.clone());
        }
    }
    Aggregate::try_new(Arc::clone(&aggregate.input), keys, aggregate.aggr_expr.clone())
}

fn classes_of(aggregate: &Aggregate) -> Result<Vec<Class>> {
    let mut classes: Vec<Class> = vec![];
    for (position, expression) in aggregate.aggr_expr.iter().enumerate() {
        let member = without_filter(expression.clone())?;
        let distinct = match &member {
            Expr::AggregateFunction(function) if function.params.distinct => {
                Some(function.params.args.clone())
            }
            _ => None,
        };
        match classes.iter_mut().find(|class| class.distinct == distinct) {
            Some(class) => class.members.push((position, member)),
            None => classes.push(Class { distinct, members: vec![(position, member)] }),
        }
    }
    Ok(classes)
}

/// `f(DISTINCT x) FILTER (WHERE p)` as `f(DISTINCT CASE WHEN p THEN x END)`: these ignore NULL.
///
/// `min` and `max` do not care for DISTINCT at all.
fn without_filter(expression: Expr) -> Result<Expr> {
    let mut function = match expression {
        Expr::Alias(alias) => return without_filter(*alias.expr),
        Expr::AggregateFunction(function) => function,
        other => return Ok(other),
    };
    if matches!(function.func.name(), "min" | "max") {
        function.params.distinct = false;
    }
    if function.params.distinct
        && let Some(filter) = function.params.filter.take()
    {
        let condition = |argument: &Expr| when((*filter).clone(), argument.clone()).end();
        function.params.args = function.params.args.iter().map(condition).collect::<Result<_>>()?;
    }
    Ok(Expr::AggregateFunction(function))
}

/// The aggregate of one class, its columns named by position.
fn part(aggregate: &Aggregate, class: &Class, number: usize) -> Result<LogicalPlan> {
    let members = class.members.iter().map(|(_, member)| member.clone()).collect();
    let node = match &class.distinct {
        None => Aggregate::try_new(Arc::clone(&aggregate.input), aggregate.group_expr.clone(), members)?,
        Some(arguments) => two_levels(aggregate, arguments, members)?,
    };
    let names: Vec<Expr> =
        columns_of(&node).zip(0..).map(|(column, n)| column.alias(format!("c{n}"))).collect();
    LogicalPlanBuilder::from(LogicalPlan::Aggregate(node)).project(names)?.alias(part_name(number))?.build()
}

/// Groups by keys and arguments first, so that each value comes once to the aggregates above.
fn two_levels(aggregate: &Aggregate, arguments: &[Expr], members: Vec<Expr>) -> Result<Aggregate> {
    let keys = aggregate.group_expr.len();
    let values: Vec<Expr> = [&aggregate.group_expr, arguments].concat();
    let names = |n: usize| format!("value_{n}");
    let values = values.into_iter().enumerate().map(|(n, value)| value.alias(names(n))).collect();
    let lowest = Aggregate::try_new(Arc::clone(&aggregate.input), values, vec![])?;
    let groups = (0..keys).map(|n| col(names(n))).collect();
    let members = members.into_iter().map(|member| match member {
        Expr::AggregateFunction(mut function) => {
            function.params.distinct = false;
            function.params.args = (keys..keys + arguments.len()).map(|n| col(names(n))).collect();
            Expr::AggregateFunction(function)
        }
        other => other,
    });
    Aggregate::try_new(Arc::new(LogicalPlan::Aggregate(lowest)), groups, members.collect())
}

fn columns_of(aggregate: &Aggregate) -> impl Iterator<Item = Expr> {
    aggregate.schema.iter().map(|(qualifier, field)| Expr::Column(Column::from((qualifier, field))))
}

fn join_on_keys(
    left: LogicalPlanBuilder,
    right: LogicalPlan,
    keys: usize,
    number: usize,
) -> Result<LogicalPlanBuilder> {
    if keys == 0 {
        return left.cross_join(right);
    }
    let of = |part: usize| -> Vec<Column> { (0..keys).map(|key| column(part, key)).collect() };
    left.join_detailed(right, JoinType::Inner, (of(0), of(number)), None, NullEquality::NullEqualsNull)
}

/// The columns of the aggregate that was expanded, from the parts.
fn original_columns(aggregate: &Aggregate, classes: &[Class]) -> Vec<Expr> {
    let keys = aggregate.group_expr.len();
    let place = |position: usize| match position.checked_sub(keys) {
        None => column(0, position),
        Some(member) => {
            let mut places = classes.iter().enumerate().filter_map(|(part, class)| {
                let place = class.members.iter().position(|(position, _)| *position == member)?;
                Some(column(part, keys + place))
            });
            places.next().expect("invariant: every aggregate is in a class")
        }
    };
    let columns = aggregate.schema.iter().enumerate();
    columns
        .map(|(position, (qualifier, field))| {
            col(place(position)).alias_qualified(qualifier.cloned(), field.name())
        })
        .collect()
}

fn part_name(number: usize) -> String {
    format!("distinct_{number}")
}

fn column(part: usize, position: usize) -> Column {
    Column::new(Some(part_name(part)), format!("c{position}"))
}
