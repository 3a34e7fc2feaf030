//! Addresses written as text: `src_ip = '10.0.0.1'`, `src_ip IN (…)`, `src_mac = 'aa:…'`.
//!
//! A text literal that is compared with an address column becomes a literal of the column's type;
//! one that is no address is refused. Everything else stays as it is.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result, ScalarValue, plan_err};
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{Between, BinaryExpr, Case, Expr, ExprSchemable, LogicalPlan};
use tapline_record::address;

/// What stands before the text of a literal that is no address, in the error's message.
pub(crate) const NOT_AN_ADDRESS: &str = "not an address: '";

/// Converts comparisons while SQL is turned into a plan, before their types are checked.
#[derive(Debug)]
pub(crate) struct AddressComparisons;

impl ExprPlanner for AddressComparisons {
    fn plan_binary_op(
        &self,
        mut raw: RawBinaryExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawBinaryExpr>> {
        convert_pair(&mut raw.left, &mut raw.right, schema)?;
        Ok(PlannerResult::Original(raw))
    }
}

/// Converts the literals of IN, BETWEEN and CASE, which that hook does not see.
///
/// # Errors
/// When a literal that must be an address is none.
pub(crate) fn convert_addresses(plan: LogicalPlan) -> Result<LogicalPlan> {
    let converted = plan.transform_up_with_subqueries(|node| {
        let mut schema = DFSchema::empty();
        for input in node.inputs() {
            schema.merge(input.schema());
        }
        if let LogicalPlan::TableScan(scan) = &node {
            schema.merge(&scan.projected_schema);
        }
        node.map_expressions(|expression| expression.transform_up(|inner| convert(inner, &schema)))
    })?;
    converted.data.recompute_schema()
}

fn convert(mut expression: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let changed = match &mut expression {
        Expr::BinaryExpr(BinaryExpr { left, right, .. }) => convert_pair(left, right, schema)?,
        Expr::InList(InList { expr, list, .. }) => convert_list(expr, list.iter_mut(), schema)?,
        Expr::Between(Between { expr, low, high, .. }) => {
            convert_list(expr, [&mut **low, &mut **high].into_iter(), schema)?
        }
        Expr::Case(Case { expr: Some(base), when_then_expr, .. }) => {
            convert_list(base, when_then_expr.iter_mut().map(|(when, _)| &mut **when), schema)?
        }
        _ => false,
    };
    Ok(if changed { Transformed::yes(expression) } else { Transformed::no(expression) })
}

fn convert_pair(left: &mut Expr, right: &mut Expr, schema: &DFSchema) -> Result<bool> {
    Ok(convert_list(left, [&mut *right].into_iter(), schema)?
        || convert_list(right, [left].into_iter(), schema)?)
}

/// Converts the text literals among `others` to the type of `column`; says whether there was one.
fn convert_list<'a>(
    column: &Expr,
    others: impl Iterator<Item = &'a mut Expr>,
    schema: &DFSchema,
) -> Result<bool> {
    let Ok(DataType::FixedSizeBinary(width)) = column.get_type(schema) else {
        return Ok(false);
    };
    let mut changed = false;
    for other in others {
        if let Expr::Literal(literal, metadata) = other
            && let Some(Some(text)) = literal.try_as_str()
        {
            *other = Expr::Literal(address_literal(width, text)?, metadata.clone());
            changed = true;
        }
    }
    Ok(changed)
}

fn address_literal(width: i32, text: &str) -> Result<ScalarValue> {
    let octets = match width {
        16 => address::parse_ip(text).map(Vec::from),
        6 => address::parse_mac(text).map(Vec::from),
        _ => None,
    };
    if octets.is_none() {
        return plan_err!("{NOT_AN_ADDRESS}{text}'");
    }
    Ok(ScalarValue::FixedSizeBinary(width, octets))
}
