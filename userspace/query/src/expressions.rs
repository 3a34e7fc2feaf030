//! How SQL's operators and its forms of their own become expressions.
//!
//! Operators must be converted before DataFusion checks their types. The forms (`EXTRACT`, `SUBSTRING`, `t[1]`) are
//! calls of functions, [borrowed](crate::borrowed) ones as those that are called by their names.

use crate::borrowed::Borrowed;
use crate::contexts::convert;
use datafusion::common::{DFSchema, Result, plan_err};
use datafusion::functions::{core, datetime, unicode};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr, RawFieldAccessExpr};
use datafusion::logical_expr::{BinaryExpr, Expr, GetFieldAccess, Operator, ScalarUDF, lit};
use datafusion::sql::sqlparser::ast::BinaryOperator;
use std::sync::Arc;
use tapline_functions::array_element;

/// Plans what the default planners do otherwise; stands before them.
#[derive(Debug)]
pub(crate) struct Expressions;

impl ExprPlanner for Expressions {
    fn plan_binary_op(&self, raw: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let Some(op) = operator(&raw.op) else { return Ok(PlannerResult::Original(raw)) };
        let [left, right] = [raw.left, raw.right].map(|operand| match operand {
            // Its type is that of its first result, which may be a literal.
            Expr::Case(_) => convert(operand, schema).map(|converted| converted.data),
            other => Ok(other),
        });
        let expression = Expr::BinaryExpr(BinaryExpr::new(Box::new(left?), op, Box::new(right?)));
        Ok(PlannerResult::Planned(convert(expression, schema)?.data))
    }

    fn plan_field_access(
        &self,
        raw: RawFieldAccessExpr,
        _schema: &DFSchema,
    ) -> Result<PlannerResult<RawFieldAccessExpr>> {
        Ok(PlannerResult::Planned(match raw.field_access {
            GetFieldAccess::NamedStructField { name } => core::get_field().call(vec![raw.expr, lit(name)]),
            GetFieldAccess::ListIndex { key } => array_element(vec![raw.expr, *key]),
            GetFieldAccess::ListRange { .. } => {
                return plan_err!("a part of a list cannot be taken; write [1] for its first element");
            }
        }))
    }

    fn plan_extract(&self, args: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        Ok(borrowed(datetime::date_part(), args))
    }

    fn plan_position(&self, args: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        Ok(borrowed(unicode::strpos(), args))
    }

    fn plan_substring(&self, args: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        Ok(borrowed(unicode::substr(), args))
    }

    fn plan_overlay(&self, args: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        Ok(borrowed(core::overlay(), args))
    }
}

fn borrowed(function: Arc<ScalarUDF>, arguments: Vec<Expr>) -> PlannerResult<Vec<Expr>> {
    let function = Arc::new(Borrowed::new(function).into());
    PlannerResult::Planned(Expr::ScalarFunction(ScalarFunction::new_udf(function, arguments)))
}

/// The operators whose operands are converted.
fn operator(op: &BinaryOperator) -> Option<Operator> {
    Some(match op {
        BinaryOperator::Eq => Operator::Eq,
        BinaryOperator::NotEq => Operator::NotEq,
        BinaryOperator::Lt => Operator::Lt,
        BinaryOperator::LtEq => Operator::LtEq,
        BinaryOperator::Gt => Operator::Gt,
        BinaryOperator::GtEq => Operator::GtEq,
        BinaryOperator::Spaceship => Operator::IsNotDistinctFrom,
        BinaryOperator::StringConcat => Operator::StringConcat,
        BinaryOperator::PGRegexMatch => Operator::RegexMatch,
        BinaryOperator::PGRegexIMatch => Operator::RegexIMatch,
        BinaryOperator::PGRegexNotMatch => Operator::RegexNotMatch,
        BinaryOperator::PGRegexNotIMatch => Operator::RegexNotIMatch,
        BinaryOperator::PGLikeMatch => Operator::LikeMatch,
        BinaryOperator::PGILikeMatch => Operator::ILikeMatch,
        BinaryOperator::PGNotLikeMatch => Operator::NotLikeMatch,
        BinaryOperator::PGNotILikeMatch => Operator::NotILikeMatch,
        _ => return None,
    })
}
