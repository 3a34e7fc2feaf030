//! `tumble`, `hop` and `tumble_rows` as SQL functions.
//!
//! They are never evaluated: planning takes them out of the lowest GROUP BY, and their value, the
//! start of the window, comes back as a constant column. They are volatile so that the optimiser
//! neither folds nor moves them.

use crate::error::SqlError;
use crate::refusal::Refusal;
use crate::window::Window;
use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use tapline_record::stream::TIME_ZONE;

/// The three window functions.
pub(crate) fn window_functions() -> impl Iterator<Item = ScalarUDF> {
    ["tumble", "hop", "tumble_rows"].map(|name| ScalarUDF::from(WindowFunction::new(name))).into_iter()
}

/// The window that `expression` says, `None` when it is no window function.
///
/// # Errors
/// A sentence when the arguments are wrong.
pub(crate) fn window_of(expression: &Expr) -> Option<Result<Window, String>> {
    match expression {
        Expr::Alias(alias) => window_of(&alias.expr),
        Expr::Cast(cast) => window_of(&cast.expr),
        Expr::ScalarFunction(call) => parse_call(call),
        _ => None,
    }
}

/// A window that some expression of the plan says.
pub(crate) fn named_window(plan: &LogicalPlan) -> Result<Option<Window>, Refusal> {
    let mut found = None;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expression| {
            expression.apply(|inner| {
                found = found.take().or_else(|| window_of(inner));
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    found.transpose().map_err(|message| Refusal::Because(SqlError { message, help: None, place: None }))
}

/// Whether some expression of a plan, or of what is below it, is a window or computes with one.
pub(crate) fn names_window(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expression| {
            found |= expression.exists(|inner| Ok(window_of(inner).is_some()))?;
            Ok(TreeNodeRecursion::Continue)
        })
    })?;
    Ok(found)
}

/// A window function where no stream is grouped.
pub(crate) fn misplaced_window() -> SqlError {
    SqlError::new(
        "tumble, hop and tumble_rows belong into the GROUP BY that reads the stream",
        "write SELECT … FROM packets GROUP BY …, tumble('60 seconds'); the window is there for every part of the query",
    )
}

fn parse_call(call: &ScalarFunction) -> Option<Result<Window, String>> {
    let arguments: Vec<&Expr> = call.args.iter().map(unwrap_cast).collect();
    let texts: Vec<Option<String>> = arguments.iter().map(|argument| interval_text(argument)).collect();
    match (call.func.name(), &texts[..], &arguments[..]) {
        ("tumble", [Some(size)], _) => Some(Window::tumble(size)),
        ("tumble", ..) => {
            Some(Err("tumble takes one literal interval; write tumble('60 seconds')".to_owned()))
        }
        ("hop", [Some(slide), Some(size)], _) => Some(Window::hop(slide, size)),
        ("hop", ..) => Some(Err(
            "hop takes two literal intervals, slide and size; write hop('10 seconds', '60 seconds')"
                .to_owned(),
        )),
        ("tumble_rows", _, [Expr::Literal(ScalarValue::Int64(Some(count)), _)]) => Some(Window::rows(*count)),
        ("tumble_rows", ..) => {
            Some(Err("tumble_rows takes one literal number of rows; write tumble_rows(1000)".to_owned()))
        }
        _ => None,
    }
}

fn unwrap_cast(expression: &Expr) -> &Expr {
    match expression {
        Expr::Cast(cast) => unwrap_cast(&cast.expr),
        other => other,
    }
}

/// The text of an interval literal: `'60 seconds'` or `INTERVAL '60 seconds'`.
fn interval_text(expression: &Expr) -> Option<String> {
    match expression {
        Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(interval)), _) if interval.months == 0 => {
            let days = i64::from(interval.days).checked_mul(86_400_000_000_000)?;
            Some(format!("{} ns", days.checked_add(interval.nanoseconds)?))
        }
        Expr::Literal(text, _) => text.try_as_str().flatten().map(str::to_owned),
        _ => None,
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct WindowFunction {
    name: &'static str,
    signature: Signature,
}

impl WindowFunction {
    fn new(name: &'static str) -> Self {
        Self { name, signature: Signature::variadic_any(Volatility::Volatile) }
    }
}

impl ScalarUDFImpl for WindowFunction {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Timestamp(TimeUnit::Nanosecond, Some(TIME_ZONE.into())))
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        plan_err!("{} belongs into the GROUP BY that reads the stream", self.name)
    }
}
