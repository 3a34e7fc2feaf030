//! Bounds what a statement's functions make of what they are given.
//!
//! SQL has forms of its own for some of them (`OVERLAY(…)`, `[a, b]`, `a || b`), which become calls whatever a session
//! calls so. So they are exchanged once there is a plan, before anything of it is computed.

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{BinaryExpr, Expr, Like, LogicalPlan, Operator};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};
use std::sync::Arc;
use tapline_functions::{is_pattern, joined, pattern, with_bound};

/// Goes before all rules that compute something.
#[derive(Debug)]
pub struct BoundedGrowth;

impl OptimizerRule for BoundedGrowth {
    fn name(&self) -> &str {
        "bounded_growth"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let names = NamePreserver::new(&plan);
        plan.map_expressions(|expression| {
            let name = names.save(&expression);
            let bounded = expression.transform_up(|part| Ok(bound(part)))?;
            Ok(bounded.update_data(|expression| name.restore(expression)))
        })
    }
}

fn bound(expression: Expr) -> Transformed<Expr> {
    match expression {
        Expr::ScalarFunction(mut call) => match with_bound(&call.func).filter(|_| !has_one_pattern(&call)) {
            Some(function) => {
                call.func = Arc::new(function);
                Transformed::yes(Expr::ScalarFunction(call))
            }
            None => Transformed::no(Expr::ScalarFunction(call)),
        },
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::StringConcat, right }) => {
            Transformed::yes(joined(*left, *right))
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_match(op) && may_be_many(&right) => {
            let right = Box::new(pattern(*right));
            Transformed::yes(Expr::BinaryExpr(BinaryExpr { left, op, right }))
        }
        Expr::SimilarTo(Like { pattern: like, negated, expr, escape_char, case_insensitive })
            if may_be_many(&like) =>
        {
            let like = Box::new(pattern(*like));
            Transformed::yes(Expr::SimilarTo(Like::new(negated, expr, like, escape_char, case_insensitive)))
        }
        other => Transformed::no(other),
    }
}

/// Whether a call matches texts with a literal, which DataFusion does in a better way.
fn has_one_pattern(call: &ScalarFunction) -> bool {
    ["regexp_count", "regexp_instr", "regexp_like"].contains(&call.name())
        && call.args.iter().skip(1).all(|argument| matches!(argument, Expr::Literal(..)))
}

const fn is_match(op: Operator) -> bool {
    matches!(
        op,
        Operator::RegexMatch | Operator::RegexIMatch | Operator::RegexNotMatch | Operator::RegexNotIMatch
    )
}

/// Whether an expression may give several patterns, and nobody counts them.
fn may_be_many(expression: &Expr) -> bool {
    match expression {
        Expr::Literal(..) => false,
        Expr::ScalarFunction(call) => !is_pattern(&call.func),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::execution::SessionStateBuilder;
    use datafusion::optimizer::Optimizer;
    use datafusion::prelude::{SessionConfig, SessionContext};
    use tokio::runtime::Builder;

    /// What a statement gives as text, or why it does not.
    fn asked(sql: &str) -> Result<String, String> {
        let mut rules = Optimizer::new().rules;
        rules.insert(0, Arc::new(BoundedGrowth));
        let config = SessionConfig::new().with_target_partitions(1);
        let state = SessionStateBuilder::new().with_config(config).with_default_features();
        let context = SessionContext::new_with_state(state.with_optimizer_rules(rules).build());
        let runtime = Builder::new_current_thread().build().unwrap();
        let batches = runtime.block_on(async { context.sql(sql).await?.collect().await });
        let batches = batches.map_err(|error| error.to_string())?;
        Ok(datafusion::arrow::util::pretty::pretty_format_batches(&batches).unwrap().to_string())
    }

    /// A text that each of so many subqueries makes longer.
    fn grown(levels: usize, how: &str) -> String {
        let level = |level: usize| format!("a{level} AS (SELECT {how} AS x FROM a{})", level - 1);
        let all: Vec<String> = (1..=levels).map(level).collect();
        let first = "a0 AS (SELECT 'abc' || column1 AS x FROM (VALUES ('d'), ('e')) AS t)";
        format!("WITH {first}, {} SELECT octet_length(CAST(x AS text)) AS n FROM a{levels}", all.join(", "))
    }

    #[test]
    fn what_grows_a_little_is_as_ever() {
        for how in ["x || x", "concat(x, x)", "OVERLAY(x || 'a' PLACING x FROM 5)", "encode(x, 'hex')"] {
            let given = asked(&grown(3, how)).unwrap();
            assert!(given.contains('n'), "{how}: {given}");
        }
        assert!(asked("SELECT 'a' || NULL || 'b'").unwrap().contains("a"));
    }

    #[test]
    fn many_patterns_are_refused() {
        let matched = |patterns: usize, how: &str| {
            let rows: Vec<String> = (0..100).map(|row| format!("('a{}')", row % patterns)).collect();
            asked(&format!("SELECT count(*) AS n FROM (VALUES {}) AS t(x) WHERE {how}", rows.join(", ")))
        };
        for how in [
            "'a1' ~ x",
            "'a1' !~* x",
            "'a1' SIMILAR TO x",
            "regexp_like('a1', x)",
            "regexp_replace('a1', x, '') = ''",
        ] {
            assert!(matched(10, how).is_ok(), "{how}: {:?}", matched(10, how));
            let refused = matched(100, how).unwrap_err();
            assert!(refused.contains("different patterns at once"), "{how}: {refused}");
        }
    }

    #[test]
    fn texts_grow_however_they_are_held() {
        let sql = grown(40, "x || x").replacen("'abc' || column1", "arrow_cast(column1, 'Utf8View')", 1);
        let refused = asked(&sql).unwrap_err();
        assert!(refused.contains("at once; ask for shorter"), "{refused}");
    }

    #[test]
    fn what_grows_without_end_is_refused() {
        for how in [
            "x || x",
            "concat(x, x)",
            "concat_ws(x, x, x)",
            "OVERLAY(x PLACING x FROM 1 FOR 0)",
            "encode(x, 'hex')",
            "replace(x, 'a', x)",
            "regexp_replace(x, 'a', x, 'g')",
        ] {
            let refused = asked(&grown(40, how)).unwrap_err();
            assert!(refused.contains("at once; ask for shorter"), "{how}: {refused}");
        }
    }
}
