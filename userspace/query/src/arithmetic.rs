//! Arithmetic with integers: 64 bits with a sign, and never a wrapped number.
//!
//! Columns have the width of their field, aggregates one of their own. While SQL is planned, whatever is added,
//! subtracted, multiplied or divided becomes 64 bits wide first, so that `dst_port - src_port` may be negative and
//! `sum(ttl) - 1` is an integer. Once a plan is optimised, its operations become functions that fail where the
//! result does not fit.

use crate::walk::walk_mut;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, DataFusionError, Result};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator, cast};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{self, BinaryOperator, VisitorMut};
use std::ops::ControlFlow;
use tapline_functions::{checked_operation, checked_operator};

/// Widens integers while SQL is turned into a plan.
#[derive(Debug)]
pub(crate) struct WideIntegers;

impl ExprPlanner for WideIntegers {
    fn plan_binary_op(
        &self,
        mut raw: RawBinaryExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawBinaryExpr>> {
        let computes = matches!(
            raw.op,
            BinaryOperator::Plus
                | BinaryOperator::Minus
                | BinaryOperator::Multiply
                | BinaryOperator::Divide
                | BinaryOperator::Modulo
        );
        let is_integer = |side: &Expr| side.get_type(schema).is_ok_and(|data_type| data_type.is_integer());
        if computes && is_integer(&raw.left) && is_integer(&raw.right) {
            raw.left = widened(raw.left, schema)?;
            raw.right = widened(raw.right, schema)?;
        }
        Ok(PlannerResult::Original(raw))
    }
}

fn widened(expression: Expr, schema: &DFSchema) -> Result<Expr> {
    let is_wide = expression.get_type(schema)? == DataType::Int64;
    Ok(if is_wide { expression } else { cast(expression, DataType::Int64) })
}

/// Whether a statement was refused because a number without a sign is negated.
pub(crate) fn negates_unsigned(error: &DataFusionError) -> bool {
    matches!(error.find_root(), DataFusionError::Plan(text) if text.starts_with("Unary operator '-'"))
}

/// Writes `0 - x` for `-x`, which makes a number with a sign of every integer.
pub(crate) fn subtract_from_zero(statement: &mut Statement) {
    if let Statement::Statement(statement) = statement {
        let _ = walk_mut(statement, &mut Negations);
    }
}

struct Negations;

impl VisitorMut for Negations {
    type Break = ();

    fn post_visit_expr(&mut self, expression: &mut ast::Expr) -> ControlFlow<()> {
        if let ast::Expr::UnaryOp { op: ast::UnaryOperator::Minus, expr } = expression
            && !matches!(**expr, ast::Expr::Value(_))
        {
            let zero = ast::Expr::value(ast::Value::Number("0".to_owned(), false));
            let right = Box::new(ast::Expr::Nested(expr.clone()));
            let difference = ast::Expr::BinaryOp { left: Box::new(zero), op: BinaryOperator::Minus, right };
            *expression = ast::Expr::Nested(Box::new(difference));
        }
        ControlFlow::Continue(())
    }
}

/// Makes every addition, subtraction and multiplication of integers in an optimised plan fail where it would wrap.
pub(crate) fn check_overflow(plan: LogicalPlan) -> Result<LogicalPlan> {
    let checked = plan.transform_up_with_subqueries(|node| {
        let mut schema = DFSchema::empty();
        for input in node.inputs() {
            schema.merge(input.schema());
        }
        if let LogicalPlan::TableScan(scan) = &node {
            schema.merge(&scan.projected_schema);
        }
        let names = NamePreserver::new(&node);
        node.map_expressions(|expression| {
            let name = names.save(&expression);
            let checked = expression.transform_up(|inner| Ok(check(inner, &schema)))?;
            Ok(checked.update_data(|expression| name.restore(expression)))
        })
    })?;
    Ok(checked.data)
}

fn check(expression: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = &expression else {
        return Transformed::no(expression);
    };
    let may_wrap = matches!(op, Operator::Plus | Operator::Minus | Operator::Multiply);
    // The type of what is checked already is known; asking for it walks all that is below, names included.
    let is_wide = |side: &Expr| {
        is_checked(side) || side.get_type(schema).is_ok_and(|data_type| data_type == DataType::Int64)
    };
    if !may_wrap || !is_wide(left) || !is_wide(right) {
        return Transformed::no(expression);
    }
    Transformed::yes(checked_operation(*op, left.as_ref().clone(), right.as_ref().clone()))
}

fn is_checked(expression: &Expr) -> bool {
    matches!(expression, Expr::ScalarFunction(call) if checked_operator(&call.func).is_some())
}
