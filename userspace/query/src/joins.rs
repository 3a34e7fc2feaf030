//! Plans that can be ended, and that hold no more than there is room for.
//!
//! DataFusion looks at the clock where tables are read. A join of a few rows with a few others, and those with more,
//! gives batches for years before it reads on, and so does UNNEST: here each lets others work, too. What goes into them,
//! and into other places where rows are written many times or held unweighed, is looked at on its way.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::{WindowFrame, WindowFrameBound, WindowFrameUnits};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Literal;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::unnest::UnnestExec;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec, WindowExpr};
use std::sync::Arc;
use tapline_functions::room::{Asked, Gives, Looked, Windows};

/// Rows of a window's frame, beyond which it holds too much to be left alone.
const FRAME_ROWS_MAX: u64 = 1 << 16;

/// Octets of all texts that are written beside each row, as often as they are named.
const TEXTS_OCTETS_MAX: usize = 128 << 10;

/// The last rule of a plan that is run.
#[derive(Debug)]
pub struct YieldingJoins;

impl PhysicalOptimizerRule for YieldingJoins {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(plan.transform_up(bounded)?.data)
    }

    fn name(&self) -> &str {
        "yielding_joins"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn bounded(plan: Arc<dyn ExecutionPlan>) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
    if plan.name().ends_with("JoinExec") {
        let join = with_children(plan, joined)?;
        return Ok(Transformed::yes(Arc::new(CooperativeExec::new(join))));
    }
    if let Some(unnest) = plan.downcast_ref::<UnnestExec>() {
        let lists = unnest.list_column_indices().iter();
        let lists = Asked::Items(lists.map(|list| (list.index_in_input_schema, list.depth)).collect());
        let unnest = with_children(plan, |_, child| Looked::at(child, lists.clone()))?;
        return Ok(Transformed::yes(Arc::new(CooperativeExec::new(unnest))));
    }
    if let Some(windows) = windows(&plan)? {
        let asked = Asked::Windows(windows);
        return with_children(plan, |_, child| Looked::at(child, asked.clone())).map(Transformed::yes);
    }
    if plan.name() == "ScalarSubqueryExec" {
        return with_children(plan, subquery).map(Transformed::yes);
    }
    check_texts(&plan)?;
    Ok(Transformed::no(plan))
}

/// The plan with others in the place of its children.
fn with_children(
    plan: Arc<dyn ExecutionPlan>,
    exchange: impl Fn(usize, &Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let children = plan.children().into_iter().enumerate();
    let children = children.map(|(place, child)| exchange(place, child)).collect();
    plan.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
}

/// A side of a join. The first one is collected, and weighed by the octets of its columns: of rows without columns, such
/// as those that are only counted, it would collect any number.
fn joined(place: usize, side: &Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
    match (place, side.schema().fields().is_empty()) {
        (0, true) => Looked::at(side, Asked::Room),
        (_, true) => Arc::clone(side),
        (_, false) => Looked::at(side, Asked::Rows),
    }
}

/// What a plan reads that has the values of subqueries, and those, which are written beside each of its rows.
fn subquery(place: usize, plan: &Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
    if place == 0 { Arc::clone(plan) } else { Looked::at(plan, Asked::Rows) }
}

/// Functions with OVER, where they hold or give more than a number for a few rows.
fn windows(plan: &Arc<dyn ExecutionPlan>) -> Result<Option<Windows>> {
    if let Some(windows) = plan.downcast_ref::<WindowAggExec>() {
        let windows = given(windows.window_expr())?;
        return Ok(Some(Windows { windows, is_at_once: true, holds_many: true }));
    }
    let Some(plan) = plan.downcast_ref::<BoundedWindowAggExec>() else { return Ok(None) };
    let windows = given(plan.window_expr())?;
    let holds_many = plan.window_expr().iter().any(|window| holds_much(window.get_window_frame()))
        || windows.iter().any(|(_, gives)| matches!(gives, Gives::All));
    let is_looked_at = holds_many || !windows.is_empty();
    Ok(is_looked_at.then_some(Windows { windows, is_at_once: false, holds_many }))
}

/// Those that give texts and lists.
fn given(windows: &[Arc<dyn WindowExpr>]) -> Result<Vec<(Arc<dyn WindowExpr>, Gives)>> {
    let mut given = vec![];
    for window in windows {
        let field = window.field()?;
        let gives = match field.data_type() {
            DataType::Utf8 | DataType::Utf8View | DataType::Binary | DataType::BinaryView => Gives::One,
            // What is put together by string_agg and array_agg.
            kind if *kind == DataType::LargeUtf8 || kind.is_nested() => Gives::All,
            _ => continue,
        };
        given.push((Arc::clone(window), gives));
    }
    Ok(given)
}

fn holds_much(frame: &WindowFrame) -> bool {
    let is_far = |bound: &WindowFrameBound| match bound {
        WindowFrameBound::CurrentRow => false,
        WindowFrameBound::Preceding(rows) | WindowFrameBound::Following(rows) => match rows {
            ScalarValue::UInt64(rows) => rows.is_some_and(|rows| rows > FRAME_ROWS_MAX),
            other => !other.is_null() && frame.units != WindowFrameUnits::Rows,
        },
    };
    is_far(&frame.start_bound) || is_far(&frame.end_bound)
}

/// Refuses a projection that would write long texts into each row.
fn check_texts(plan: &Arc<dyn ExecutionPlan>) -> Result<()> {
    let Some(projection) = plan.downcast_ref::<ProjectionExec>() else { return Ok(()) };
    let octets = projection.expr().iter().map(|named| texts(&named.expr)).fold(0, usize::saturating_add);
    if octets <= TEXTS_OCTETS_MAX {
        return Ok(());
    }
    let kibibytes = TEXTS_OCTETS_MAX >> 10;
    exec_err!(
        "the statement writes more than {kibibytes} KiB of the same texts into each row; ask for shorter ones"
    )
}

/// Octets of the literals of an expression.
fn texts(expression: &Arc<dyn PhysicalExpr>) -> usize {
    let own = expression
        .downcast_ref::<Literal>()
        .map_or(0, |literal| literal.value().size().saturating_sub(size_of::<ScalarValue>()));
    expression.children().into_iter().map(texts).fold(own, usize::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::execution::SessionStateBuilder;
    use datafusion::prelude::{SessionConfig, SessionContext};
    use tokio::runtime::Builder;

    /// How many rows a statement gives, or why it does not.
    fn rows(sql: &str) -> Result<usize, String> {
        let config = SessionConfig::new().with_target_partitions(1);
        let state = SessionStateBuilder::new().with_config(config).with_default_features();
        let state = state.with_physical_optimizer_rule(Arc::new(YieldingJoins)).build();
        let context = SessionContext::new_with_state(state);
        let runtime = Builder::new_current_thread().build().unwrap();
        let batches = runtime.block_on(async { context.sql(sql).await?.collect().await });
        let batches = batches.map_err(|error| error.to_string())?;
        Ok(batches.iter().map(datafusion::arrow::array::RecordBatch::num_rows).sum())
    }

    /// Windows over what groups give, as above the split of a query.
    fn over(length: usize, how: &str) -> String {
        let text = "x".repeat(length);
        format!(
            "SELECT {how} AS y FROM (SELECT column1 AS k, max('{text}' || CAST(column1 AS text)) AS t \
             FROM (VALUES (1), (2), (3), (4)) AS v GROUP BY column1) AS g"
        )
    }

    #[test]
    fn what_windows_put_together_is_bounded() {
        for how in
            ["string_agg(t, ',') OVER ()", "string_agg(t, ',') OVER (ORDER BY k)", "lag(t) OVER (ORDER BY k)"]
        {
            assert_eq!(rows(&over(100, how)), Ok(4), "{how}");
        }
        let refused = rows(&over(60_000, "string_agg(repeat(t, 300), ',') OVER ()")).unwrap_err();
        assert!(refused.contains("with OVER might give"), "{refused}");
    }
}
