//! DataFusion's simplifier of expressions, kept from what it gets wrong.
//!
//! Takes a node of a plan, gives it simplified. While DataFusion's rule looks at the node, each part of an expression
//! that it would join wrongly with its neighbours is the argument of a function, which gives what it is given. Behind
//! it, the part is simplified as ever; afterwards the function is gone.
//!
//! What goes wrong: two lists beside each other become one, as if no value were NULL and every item a literal. Of
//! `x IN (1) AND x IN (2)` comes FALSE and of `x NOT IN (1) OR x NOT IN (2)` TRUE, though both are NULL where `x` is;
//! of `53 IN (src_port) AND 53 IN (dst_port)` comes FALSE. `x ^ y ^ x` becomes `y` and `x ~ '.*'` becomes FALSE, also
//! where `x` is NULL, and `-x` is taken for the complement of `x`. DataFusion knows of most (its issues 24246, 24665).

use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, LogicalPlan, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility,
};
use datafusion::optimizer::simplify_expressions::SimplifyExpressions;
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

/// Stands where DataFusion's rule of the same name would.
#[derive(Debug, Default)]
pub(crate) struct Simplify(SimplifyExpressions);

impl OptimizerRule for Simplify {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.0.apply_order()
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        // An aggregate is called by the text of its condition, with the function in it.
        let (preserver, mut names) = (NamePreserver::new(&plan), vec![]);
        let keep_named = |expression: Expr| {
            names.push(preserver.save(&expression));
            keep(expression, false).map(Transformed::yes)
        };
        let plan = plan.map_expressions(keep_named)?.data;
        let mut names = names.into_iter();
        let give_back_named = |expression| {
            let given = give_back(without_name(expression))?;
            Ok(given.update_data(|given| match names.next() {
                Some(name) => name.restore(given),
                None => given,
            }))
        };
        self.0.rewrite(plan, config)?.transform_data(|plan| plan.map_expressions(give_back_named))
    }
}

/// Puts the function around every part that its neighbours must not see.
fn keep(expression: Expr, is_in_or: bool) -> Result<Expr> {
    let is_any_text =
        matches!(&expression, Expr::Literal(value, _) if value.try_as_str() == Some(Some(".*")));
    let is_kept = may_become_list(&expression, is_in_or) || matches!(expression, Expr::Negative(_));
    let is_or = matches!(&expression, Expr::BinaryExpr(BinaryExpr { op: Operator::Or, .. }));
    let mut expression = expression.map_children(|part| keep(part, is_or).map(Transformed::yes))?.data;
    if let Expr::Negative(operand)
    | Expr::BinaryExpr(BinaryExpr { left: operand, op: Operator::BitwiseXor, .. }) = &mut expression
    {
        **operand = Kept::call(std::mem::take(&mut **operand), Volatility::Immutable);
    }
    Ok(match (is_any_text, is_kept) {
        // A call of a literal is computed while expressions are simplified, unless it may give something else each time.
        (true, _) => Kept::call(expression, Volatility::Volatile),
        (false, true) => Kept::call(expression, Volatility::Immutable),
        (false, false) => expression,
    })
}

/// Whether a list may come of a condition. Lists that are only put together by OR are none of them: that is done right.
fn may_become_list(condition: &Expr, is_in_or: bool) -> bool {
    match condition {
        Expr::InList(list) => list.negated || !is_in_or,
        Expr::BinaryExpr(BinaryExpr { op: Operator::Or, .. }) => !is_in_or,
        // `'^(aa|bb)$'` becomes a list.
        Expr::BinaryExpr(BinaryExpr { op, .. }) => {
            matches!(op, Operator::RegexMatch | Operator::RegexNotMatch)
        }
        Expr::ScalarFunction(call) => call.name() == "regexp_like",
        other => matches!(other, Expr::Not(_)),
    }
}

/// An expression without the name that it was given with the function in it.
fn without_name(expression: Expr) -> Expr {
    match expression {
        Expr::Alias(named) if named.name.contains(KEPT) => *named.expr,
        other => other,
    }
}

/// Gives each part its place again.
fn give_back(expression: Expr) -> Result<Transformed<Expr>> {
    expression.transform_up(|part| {
        Ok(match part {
            Expr::ScalarFunction(mut call) if call.func.inner().downcast_ref::<Kept>().is_some() => {
                Transformed::yes(call.args.swap_remove(0))
            }
            other => Transformed::no(other),
        })
    })
}

/// What the function is called.
const KEPT: &str = "kept";

/// Gives its argument. No SQL can call it: no session knows it.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Kept {
    signature: Signature,
}

impl Kept {
    fn call(part: Expr, volatility: Volatility) -> Expr {
        let function = Self { signature: Signature::any(1, volatility) };
        ScalarUDF::from(function).call(vec![part])
    }
}

impl ScalarUDFImpl for Kept {
    fn name(&self) -> &'static str {
        KEPT
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        Ok(args[0].schema_name().to_string())
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(types[0].clone())
    }

    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(args.args.swap_remove(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
    use datafusion::arrow::util::pretty::pretty_format_batches;
    use datafusion::execution::SessionStateBuilder;
    use datafusion::prelude::SessionContext;
    use std::sync::Arc;

    const VALUES: [Option<i64>; 5] = [None, Some(1), Some(2), Some(3), Some(5)];
    const NAMES: [Option<&str>; 5] = [None, Some("aa"), Some("bb"), Some("cc"), Some("ee")];

    /// All pairs of values in `x` and `y`, a name for each `x`, and in `z` what is never NULL.
    fn pairs() -> RecordBatch {
        let each = |value: fn(usize, usize) -> Option<i64>| -> ArrayRef {
            Arc::new((0..25).map(|row| value(row / 5, row % 5)).collect::<Int64Array>())
        };
        let names: ArrayRef = Arc::new((0..25).map(|row| NAMES[row / 5]).collect::<StringArray>());
        let columns = [
            ("x", each(|x, _| VALUES[x]), true),
            ("y", each(|_, y| VALUES[y]), true),
            ("z", each(|_, y| VALUES[y.max(1)]), false),
            ("name", names, true),
        ];
        RecordBatch::try_from_iter_with_nullable(columns).unwrap()
    }

    /// What an expression gives for each pair when plans are rewritten by these rules.
    fn answers(rules: Vec<Arc<dyn OptimizerRule + Send + Sync>>, expression: &str) -> String {
        let state = SessionStateBuilder::new().with_default_features().with_optimizer_rules(rules).build();
        let session = SessionContext::new_with_state(state);
        session.register_batch("t", pairs()).unwrap();
        let sql = format!("SELECT x, y, {expression} AS answer FROM t");
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let batches = runtime.block_on(async { session.sql(&sql).await?.collect().await });
        pretty_format_batches(&batches.unwrap_or_else(|error| panic!("{sql}: {error}"))).unwrap().to_string()
    }

    #[test]
    fn expressions_mean_what_they_meant() {
        for expression in [
            "x IN (1, 2) AND x IN (3, 4)",
            "x IN (1, 2) AND x NOT IN (1, 2, 3)",
            "x NOT IN (1, 2) OR x NOT IN (3, 4)",
            "NOT (x IN (1, 2, 3, 4) AND x IN (5, 6, 7, 8))",
            "NOT (x IN (1) AND x IN (2) AND y IN (1))",
            "(x IN (1, 2) AND x IN (3, 4)) IS NULL",
            "NOT ((x = 1 OR x = 2) AND (x = 3 OR 5 = x))",
            "NOT (x = 1 OR x = 2) OR NOT (x = 3 OR x = 5)",
            "(x IN (1, 2)) = true AND (x IN (3, 5)) = true",
            "(y > 1 AND x NOT IN (1, 2)) OR (y > 1 AND x NOT IN (3, 5))",
            "CASE WHEN x IN (1, 2) THEN x IN (3, 5) ELSE x NOT IN (2) END",
            "x IN (1, 2) AND x NOT IN (1, NULL)",
            "x IN (1, 2, NULL) AND x NOT IN (3)",
            "x IN (1, NULL) AND x IN (2, 3)",
            "x NOT IN (1, NULL) OR x NOT IN (2, 3)",
            "2 IN (x, 7) AND 2 IN (y, 8)",
            "2 IN (x, y) AND 2 NOT IN (y, 9)",
            "2 NOT IN (x) OR 2 NOT IN (y)",
            "name ~ '^(aa|bb)$' AND name ~ '^(cc|dd)$'",
            "regexp_like(name, '^(aa|bb)$') AND regexp_like(name, '^(cc|dd)$')",
            "2 IN (x) AND 2 IN (z)",
            "CASE WHEN 2 IN (z, 3) THEN 5 IN (z, 3) END",
            "NOT (name ~ '.*')",
            "name ~* '.*'",
            "name !~ '.*'",
            "regexp_like(name, '.*') IS NULL",
            "x ^ x",
            "(x ^ y) ^ x",
            "x ^ (y ^ x)",
            "-(x & y)",
            "-z & z",
            "z | -z",
            "z ^ -z",
        ] {
            let simplified = answers(vec![Arc::new(Simplify::default())], expression);
            assert_eq!(simplified, answers(vec![], expression), "{expression}");
        }
    }
}
