//! The DataFusion session in which queries are planned: its options, its functions, its tables.
//!
//! It never runs anything that reads a stream; what it plans is split before.

use crate::arithmetic::WideIntegers;
use crate::borrowed::borrowed_functions;
use crate::casts::NamedCast;
use crate::catalog::{CATALOG, SCHEMA, catalogs};
use crate::elements::ELEMENT_FUNCTIONS;
use crate::expressions::Expressions;
use crate::growth::BoundedGrowth;
use crate::joins::YieldingJoins;
use crate::simplify::Simplify;
use crate::standing::StandingLookups;
use crate::window_functions::window_functions;
use datafusion::arrow::temporal_conversions::timestamp_ns_to_datetime;
use datafusion::common::Result;
use datafusion::execution::{SessionState, SessionStateBuilder, SessionStateDefaults};
use datafusion::functions::core::planner::CoreFunctionPlanner;
use datafusion::functions::datetime::planner::DatetimeFunctionPlanner;
use datafusion::functions::unicode::planner::UnicodeFunctionPlanner;
use datafusion::functions::{core, datetime, encoding, math, regex, string, unicode};
use datafusion::functions_aggregate::planner::AggregateFunctionPlanner;
use datafusion::functions_window::planner::WindowFunctionPlanner;
use datafusion::logical_expr::planner::ExprPlanner;
use datafusion::logical_expr::registry::FunctionRegistry as _;
use datafusion::logical_expr::{LogicalPlan, ScalarUDF};
use datafusion::optimizer::{Optimizer, OptimizerRule};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionConfig;
use futures::executor::block_on;
use std::sync::Arc;
use tapline_functions::{aggregate_functions, bounded_functions, scalar_functions};
use tapline_lookup::Tables;
use tapline_record::{ElementColumn, EventTime};

/// What planning knows besides the query.
#[derive(Debug)]
pub(crate) struct Session {
    /// In it, plans are optimised and compiled.
    pub(crate) state: SessionState,
    /// In it SQL becomes a plan; its functions are borrowed.
    sql_state: SessionState,
    /// The names of all functions.
    pub(crate) functions: Vec<String>,
}

impl Session {
    /// A session that knows every stream and function, and looks up in these tables.
    ///
    /// # Panics
    /// Never: the names registered here are distinct.
    pub(crate) fn new(tables: &Arc<Tables>) -> Self {
        let builder = SessionStateBuilder::new().with_config(options()).with_optimizer_rules(rules());
        let builder = builder.with_expr_planners(expr_planners());
        let builder = builder.with_physical_optimizer_rule(Arc::new(YieldingJoins));
        let builder = builder.with_scalar_functions(datafusions_scalar_functions());
        let builder = builder.with_aggregate_functions(SessionStateDefaults::default_aggregate_functions());
        let builder = builder.with_window_functions(SessionStateDefaults::default_window_functions());
        let table_functions = SessionStateDefaults::default_table_functions();
        let mut state = builder.with_table_function_list(table_functions).build();
        let borrowed = borrowed_functions(&state);
        register_functions(&mut state, tables);
        let _ = state.register_expr_planner(Arc::new(WideIntegers));
        state.register_catalog_list(catalogs(&[]).expect("invariant: the names of streams are distinct"));
        let functions = names_of_functions(&state);
        let mut sql_state = state.clone();
        for function in borrowed {
            let _ = sql_state.register_udf(function);
        }
        Self { state, sql_state, functions }
    }

    /// Makes `now` what `now()` gives.
    pub(crate) fn start(&mut self, now: EventTime) {
        if let Some(now) = timestamp_ns_to_datetime(now.0) {
            self.state.execution_props_mut().query_execution_start_time = Some(now.and_utc());
        }
    }

    /// The state in which SQL becomes a plan, and `flows` has columns for these elements, too.
    pub(crate) fn sql_state_with(&self, elements: &[ElementColumn]) -> Result<SessionState> {
        let mut state = self.sql_state.clone();
        state.register_catalog_list(catalogs(elements)?);
        Ok(state)
    }

    /// What is executed for a plan.
    pub(crate) fn physical(&self, plan: &LogicalPlan) -> Result<Arc<dyn ExecutionPlan>> {
        block_on(self.state.query_planner().create_physical_plan(plan, &self.state))
    }
}

fn options() -> SessionConfig {
    let mut config = SessionConfig::new()
        .with_target_partitions(1)
        .with_information_schema(false)
        .with_create_default_catalog_and_schema(false)
        .with_default_catalog_and_schema(CATALOG, SCHEMA);
    config.options_mut().sql_parser.collect_spans = true;
    // Frames without an IP header must not lead every ranking.
    config.options_mut().sql_parser.default_null_ordering = "nulls_last".to_owned();
    config.options_mut().optimizer.enable_dynamic_filter_pushdown = false;
    // As joins, scalar subqueries are split like any other part of the plan.
    config.options_mut().optimizer.enable_physical_uncorrelated_scalar_subquery = false;
    config
}

/// DataFusion's rules with ours: two before all others, one in the place of its simplifier.
fn rules() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let mut rules = Optimizer::new().rules;
    let simplify = Simplify::default();
    let place = rules.iter().position(|rule| rule.name() == simplify.name());
    rules[place.expect("invariant: DataFusion simplifies expressions")] = Arc::new(simplify);
    rules.insert(0, Arc::new(StandingLookups));
    rules.insert(0, Arc::new(BoundedGrowth));
    rules
}

/// Ours before DataFusion's.
fn expr_planners() -> Vec<Arc<dyn ExprPlanner>> {
    vec![
        Arc::new(Expressions),
        Arc::new(CoreFunctionPlanner::default()),
        Arc::new(DatetimeFunctionPlanner),
        Arc::new(UnicodeFunctionPlanner),
        Arc::new(AggregateFunctionPlanner),
        Arc::new(WindowFunctionPlanner),
    ]
}

/// DataFusion's functions that a query may call. Its own list is that of the features which any crate of the build
/// switches on, and what a query may say must not depend on who else is built.
fn datafusions_scalar_functions() -> Vec<Arc<ScalarUDF>> {
    // Of two that are called alike the last one counts.
    let bounded = bounded_functions().into_iter().map(Arc::new).collect();
    let own = [core::functions(), datetime::functions(), encoding::functions(), math::functions()];
    [own.concat(), regex::functions(), unicode::functions(), string::functions(), bounded].concat()
}

fn register_functions(state: &mut SessionState, tables: &Arc<Tables>) {
    for function in scalar_functions(tables).into_iter().chain(window_functions()) {
        let _ = state.register_udf(Arc::new(function));
    }
    for function in aggregate_functions() {
        let _ = state.register_udaf(Arc::new(function));
    }
    let _ = state.register_udf(Arc::new(NamedCast::new().into()));
}

fn names_of_functions(state: &SessionState) -> Vec<String> {
    let names = [
        state.scalar_functions().keys().cloned().collect::<Vec<_>>(),
        state.aggregate_functions().keys().cloned().collect(),
        state.window_functions().keys().cloned().collect(),
        ELEMENT_FUNCTIONS.map(str::to_owned).to_vec(),
    ];
    names.concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_functions::{DESCRIBED, Described};

    #[test]
    fn what_is_described_can_be_called() {
        let known = Session::new(&Arc::default()).functions;
        for Described { name, call, about } in DESCRIBED {
            assert!(known.iter().any(|known| known == name), "{name}");
            assert!(call.starts_with(&format!("{name}(")) && call.ends_with(')') && !about.is_empty());
        }
    }

    #[test]
    fn who_else_is_built_adds_no_functions() {
        let functions = Session::new(&Arc::default()).functions;
        // Of DataFusion's features that are none of ours.
        for name in ["array_length", "make_array", "md5", "sha256", "digest", "map"] {
            assert!(!functions.iter().any(|function| function == name), "{name}");
        }
        for name in [
            "lower",
            "date_trunc",
            "regexp_like",
            "strpos",
            "coalesce",
            "round",
            "encode",
            "count",
            "row_number",
        ] {
            assert!(functions.iter().any(|function| function == name), "{name}");
        }
    }
}
