//! Columns of plans, as values that stand together with others.
//!
//! A literal in a SELECT list is a column of a plan; where such columns are united, or looked into by IN, it becomes
//! an address or octets as one in an expression does.

use crate::literals::{Together, text_literal, unify};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, DataFusionError, Result, TableReference};
use datafusion::logical_expr::logical_plan::Projection;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan};
use std::collections::HashMap;
use std::sync::Arc;

/// Makes the values of one column values of one type.
pub(crate) fn unify_column(inputs: &mut [LogicalPlan], column: usize) -> Result<()> {
    let fields = inputs.iter().zip(0..).map(|(input, place)| {
        let table = TableReference::bare(format!("input_{place}"));
        (Some(table), Arc::clone(&input.schema().fields()[column]))
    });
    let schema = DFSchema::new_with_metadata(fields.collect(), HashMap::new())?;
    let columns = schema.iter().map(|pair| Expr::Column(pair.into()));
    let value = |(input, other): (&LogicalPlan, Expr)| literal_in(input, column).cloned().unwrap_or(other);
    let mut values: Vec<Expr> = inputs.iter().zip(columns).map(value).collect();
    if unify(&mut values.iter_mut().collect::<Vec<_>>(), &schema, Together::Chosen)? {
        for (input, value) in inputs.iter_mut().zip(values) {
            *input = with_column(input.clone(), column, value)?;
        }
    }
    Ok(())
}

/// Makes a value and the column of a subquery, in which it is looked for, values of one type.
///
/// # Errors
/// When a literal that must be an address is none.
pub(crate) fn unify_subquery(
    value: &mut Expr,
    subquery: &mut Arc<LogicalPlan>,
    schema: &DFSchema,
) -> Result<bool> {
    if subquery.schema().fields().is_empty() {
        return Ok(false);
    }
    let other = |kind: &DataType| Ok::<_, DataFusionError>(Expr::Literal(kind.try_into()?, None));
    let mut like_value = other(&value.get_type(schema)?)?;
    let mut like_column = other(subquery.schema().field(0).data_type())?;
    let mut column = literal_in(subquery, 0)
        .cloned()
        .unwrap_or_else(|| Expr::Column(subquery.schema().qualified_field(0).into()));
    let changed = unify(&mut [value, &mut like_column], schema, Together::Compared)?;
    if unify(&mut [&mut like_value, &mut column], subquery.schema(), Together::Compared)? {
        *subquery = Arc::new(with_column(LogicalPlan::clone(subquery), 0, column)?);
        return Ok(true);
    }
    Ok(changed)
}

/// The text literal that is a column of a plan.
fn literal_in(plan: &LogicalPlan, column: usize) -> Option<&Expr> {
    let LogicalPlan::Projection(projection) = plan else { return None };
    projection.expr.get(column).filter(|value| text_literal(value).is_some())
}

/// The plan with `value`, which names the column of the plan if any, in the place of a column.
fn with_column(plan: LogicalPlan, column: usize, value: Expr) -> Result<LogicalPlan> {
    if value.try_as_col().is_some() {
        return Ok(plan);
    }
    let mut columns: Vec<Expr> = plan.schema().iter().map(|pair| Expr::Column(pair.into())).collect();
    let own = columns[column].clone();
    let (relation, name) = own.qualified_name();
    let value = value.transform_up(|inner| {
        Ok(if inner.try_as_col().is_some() { Transformed::yes(own.clone()) } else { Transformed::no(inner) })
    })?;
    columns[column] = value.data.alias_qualified(relation, name);
    Ok(LogicalPlan::Projection(Projection::try_new(columns, Arc::new(plan))?))
}
