//! Arithmetic with integers: 64 bits with a sign, and never a wrapped number.
//!
//! Columns have the width of their field, aggregates one of their own. While SQL is planned, whatever is added,
//! subtracted, multiplied or divided becomes 64 bits wide first, so that `dst_port - src_port` may be negative and
//! `sum(ttl) - 1` is an integer. Once a plan is optimised, its operations become functions that fail where the
//! result does not fit.

use datafusion::arrow::compute::kernels::numeric;
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::error::ArrowError;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, DataFusionError, Result, exec_datafusion_err, exec_err};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, LogicalPlan, Operator, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility, cast,
};
use datafusion::physical_expr_common::datum::apply;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{self, BinaryOperator, VisitMut, VisitorMut};
use std::ops::ControlFlow;

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
        let _ = statement.visit(&mut Negations);
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
    let function = ScalarUDF::from(Checked::new(*op));
    Transformed::yes(function.call(vec![left.as_ref().clone(), right.as_ref().clone()]))
}

fn is_checked(expression: &Expr) -> bool {
    matches!(expression, Expr::ScalarFunction(call) if checked_operator(&call.func).is_some())
}

/// The operator in whose place a function stands that fails where the result does not fit.
pub(crate) fn checked_operator(function: &ScalarUDF) -> Option<Operator> {
    function.inner().downcast_ref::<Checked>().map(|checked| checked.operator)
}

/// One operation with two integers.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Checked {
    operator: Operator,
    signature: Signature,
}

impl Checked {
    fn new(operator: Operator) -> Self {
        let signature = Signature::exact(vec![DataType::Int64; 2], Volatility::Immutable);
        Self { operator, signature }
    }
}

impl ScalarUDFImpl for Checked {
    fn name(&self) -> &'static str {
        match self.operator {
            Operator::Plus => "plus",
            Operator::Minus => "minus",
            _ => "times",
        }
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let sides: Vec<String> = args.iter().map(|side| side.schema_name().to_string()).collect();
        Ok(sides.join(&format!(" {} ", self.operator)))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [left, right] = args.args.as_slice() else { return exec_err!("two numbers are needed") };
        let kernel = match self.operator {
            Operator::Plus => numeric::add,
            Operator::Minus => numeric::sub,
            _ => numeric::mul,
        };
        apply(left, right, kernel).map_err(|error| match error.find_root() {
            DataFusionError::ArrowError(overflow, _)
                if matches!(**overflow, ArrowError::ArithmeticOverflow(_)) =>
            {
                let name = self.operator;
                exec_datafusion_err!(
                    "a number that {name} computes is beyond 64 bits; compute with floating-point numbers: CAST(x AS DOUBLE)"
                )
            }
            _ => error,
        })
    }
}
