//! SQL text to a continuous query.
//!
//! parse → rewrite syntax → name elements → plan → rewrite (addresses, ties, DISTINCT) → optimise → check overflow →
//! split → compile both halves.
//! Whatever cannot be split is refused here, with the place in the text.

use crate::arithmetic::{WideIntegers, check_overflow, negates_unsigned, subtract_from_zero};
use crate::borrowed::borrowed_functions;
use crate::casts::{NamedCast, has_one_name_for_two, name_casts};
use crate::catalog::{CATALOG, SCHEMA, STREAMS, catalogs, reads_stream};
use crate::clauses::check_clauses;
use crate::continuous::{ContinuousQuery, Upper, UpperHalf};
use crate::convert::convert_values;
use crate::datafusion_error::{KnownNames, from_datafusion};
use crate::distinct::expand_distinct;
use crate::elements::{ELEMENT_FUNCTIONS, name_elements};
use crate::error::SqlError;
use crate::expressions::Expressions;
use crate::functions::{aggregate_functions, scalar_functions};
use crate::limits;
use crate::lower::LowerHalf;
use crate::names::{check_names, retyped};
use crate::ordering::break_ties;
use crate::refusal::Refusal;
use crate::split::{Split, has_aggregate, split};
use crate::subqueries::{check_subqueries, name_subqueries};
use crate::syntax::rewrite_syntax;
use crate::window_functions::{misplaced_window, named_window, window_functions};
use datafusion::arrow::temporal_conversions::timestamp_ns_to_datetime;
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::logical_plan::{FetchType, SkipType};
use datafusion::logical_expr::registry::FunctionRegistry as _;
use datafusion::logical_expr::{Limit, LogicalPlan};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionConfig;
use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::ast;
use futures::executor::block_on;
use std::sync::Arc;
use tapline_record::{ElementColumn, EventTime};

/// Plans queries; made once, since DataFusion's catalog of functions takes a while to fill.
#[derive(Debug)]
pub struct Planner {
    state: SessionState,
    /// The same with borrowed functions, in which SQL becomes a plan.
    sql_state: SessionState,
    functions: Vec<String>,
}

impl Default for Planner {
    fn default() -> Self {
        Self::new()
    }
}

impl Planner {
    /// A planner that knows every stream and function.
    ///
    /// # Panics
    /// Never: the names registered here are distinct.
    #[must_use]
    pub fn new() -> Self {
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
        let builder = SessionStateBuilder::new().with_config(config);
        let builder = builder.with_expr_planners(vec![Arc::new(Expressions)]);
        let mut state = builder.with_default_features().build();
        let borrowed = borrowed_functions(&state);
        for function in scalar_functions().into_iter().chain(window_functions()) {
            let _ = state.register_udf(Arc::new(function));
        }
        for function in aggregate_functions() {
            let _ = state.register_udaf(Arc::new(function));
        }
        let _ = state.register_udf(Arc::new(NamedCast::new().into()));
        let _ = state.register_expr_planner(Arc::new(WideIntegers));
        state.register_catalog_list(catalogs(&[]).expect("invariant: the names of streams are distinct"));
        let functions = [
            state.scalar_functions().keys().cloned().collect::<Vec<_>>(),
            state.aggregate_functions().keys().cloned().collect(),
            state.window_functions().keys().cloned().collect(),
            ELEMENT_FUNCTIONS.map(str::to_owned).to_vec(),
        ];
        let mut sql_state = state.clone();
        for function in borrowed {
            let _ = sql_state.register_udf(function);
        }
        Self { state, sql_state, functions: functions.concat() }.starting(EventTime(0))
    }

    /// The same, for queries that start at `now`, which is what `now()` gives in all of them.
    #[must_use]
    pub fn starting(mut self, now: EventTime) -> Self {
        if let Some(now) = timestamp_ns_to_datetime(now.0) {
            self.state.execution_props_mut().query_execution_start_time = Some(now.and_utc());
        }
        self
    }

    /// Plans the query in `sql`.
    ///
    /// # Errors
    /// What is wrong with it, where, and what would be right.
    pub fn plan(&self, sql: &str) -> Result<ContinuousQuery, SqlError> {
        limits::check(sql)?;
        limits::with_stack(|| self.plan_statement(sql)).map_err(|refusal| self.explain_refusal(refusal, sql))
    }

    fn plan_statement(&self, sql: &str) -> Result<ContinuousQuery, Refusal> {
        let (mut statement, explain) = parse(sql)?;
        if let Statement::Statement(inner) = &statement {
            let is_aggregate = |name: &str| self.state.aggregate_functions().contains_key(name);
            check_clauses(inner, sql, &is_aggregate).map_err(Refusal::Because)?;
        }
        rewrite_syntax(&mut statement, sql).map_err(Refusal::Because)?;
        let elements = name_elements(&mut statement, sql).map_err(Refusal::Because)?;
        let plan = plan_of(&self.state_with(&elements)?, statement)?;
        let plan = break_ties(name_subqueries(convert_values(plan)?)?)?;
        if !reads_stream(&plan)? {
            let names = STREAMS.map(|stream| stream.name).join(" or ");
            return Err(Refusal::Because(SqlError::new(
                "the query reads no stream",
                format!("add FROM {names}"),
            )));
        }
        check_names(plan.schema(), sql)?;
        check_subqueries(&plan)?;
        let optimised = check_overflow(self.state.optimize(&expand_distinct(plan.clone())?)?)?;
        let mut query = ContinuousQuery {
            sql: sql.to_owned(),
            explain,
            window: None,
            lowers: vec![],
            upper: Upper::Stream { skip: 0, fetch: Some(0) },
            schema: Arc::new(plan.schema().as_arrow().clone()),
        };
        let named = named_window(&plan)?;
        if named.is_some() && !reads_stream(&optimised)? {
            query.window = named;
            return Ok(query);
        }
        if has_aggregate(&optimised)? || !reads_stream(&optimised)? {
            let split = split(optimised)?;
            (query.window, query.lowers) = (split.window, split.lowers.clone());
            query.upper = Upper::Windows(self.compile_upper(split)?);
        } else if named.is_some() {
            return Err(Refusal::Because(misplaced_window()));
        } else {
            (query.lowers, query.upper) = self.compile_rows(optimised)?;
        }
        query.schema = retyped(&query);
        Ok(query)
    }

    /// The state in which `flows` has columns for these elements, too.
    fn state_with(&self, elements: &[ElementColumn]) -> Result<SessionState> {
        let mut state = self.sql_state.clone();
        state.register_catalog_list(catalogs(elements)?);
        Ok(state)
    }

    /// A plan without aggregate: a stream of rows, or the best of them.
    fn compile_rows(&self, plan: LogicalPlan) -> Result<(Vec<LowerHalf>, Upper), Refusal> {
        let mut split = Split { lowers: vec![], slots: vec![], upper: plan.clone(), window: None };
        let mut best = None;
        split.upper = plan
            .clone()
            .transform_down(|node| match node {
                LogicalPlan::Sort(mut sort) if sort.fetch.is_some() => {
                    if let Ok(lower) = LowerHalf::of_rows(&sort.input) {
                        sort.input = Arc::new(split.push(lower, &sort.input)?);
                    }
                    let sort = LogicalPlan::Sort(sort);
                    best = Some(sort.clone());
                    Ok(Transformed::new(sort, true, TreeNodeRecursion::Stop))
                }
                other => Ok(Transformed::no(other)),
            })?
            .data;
        if let Some(best) = best.filter(|_| !split.lowers.is_empty())
            && !reads_stream(&split.upper)?
        {
            let lowers = split.lowers.clone();
            let prune = self.physical(&best)?;
            return Ok((lowers, Upper::Best { half: self.compile_upper(split)?, prune }));
        }
        let (plan, skip, fetch) = peel_limit(plan)?;
        let plan = without_wider_limits(plan, fetch.map(|fetch| skip.saturating_add(fetch)))?;
        Ok((vec![LowerHalf::of_rows(&plan)?], Upper::Stream { skip, fetch }))
    }

    fn compile_upper(&self, split: Split) -> Result<UpperHalf, Refusal> {
        let physical = self.physical(&split.upper)?;
        let folded = bare_select_list(&split)?.map(|plan| self.physical(&plan)).transpose()?;
        let context = self.state.task_ctx();
        Ok(UpperHalf { slots: split.slots, plan: split.upper, physical, folded, context })
    }

    fn physical(&self, plan: &LogicalPlan) -> Result<Arc<dyn ExecutionPlan>> {
        block_on(self.state.query_planner().create_physical_plan(plan, &self.state))
    }

    fn explain_refusal(&self, refusal: Refusal, sql: &str) -> SqlError {
        let error = match refusal {
            Refusal::Because(error) => return error.placed(sql),
            Refusal::DataFusion(error) => error,
        };
        let tables = STREAMS.map(|stream| stream.name);
        from_datafusion(&error, sql, &KnownNames { tables: &tables, functions: &self.functions })
    }
}

/// The statement's plan; where DataFusion refuses what can be written otherwise, that of the other text.
fn plan_of(state: &SessionState, statement: Statement) -> Result<LogicalPlan> {
    let mut other = statement.clone();
    let refusal = match block_on(state.statement_to_plan(statement)) {
        Ok(plan) => return Ok(plan),
        Err(refusal) => refusal,
    };
    if has_one_name_for_two(&refusal) {
        name_casts(&mut other);
    } else if negates_unsigned(&refusal) {
        subtract_from_zero(&mut other);
    } else {
        return Err(refusal);
    }
    block_on(state.statement_to_plan(other)).map_err(|_| refusal)
}

/// The one statement in `sql`, which must be a query; and whether it is explained.
fn parse(sql: &str) -> Result<(Statement, bool), Refusal> {
    let mut statements = DFParserBuilder::new(sql).build()?.parse_statements()?;
    let (Some(statement), true) = (statements.pop_front(), statements.is_empty()) else {
        let help = "give each query as an argument of its own";
        return Err(Refusal::Because(SqlError::new("there must be one statement in a query", help)));
    };
    let (statement, explain) = match statement {
        Statement::Explain(explain) => (*explain.statement, true),
        other => (other, false),
    };
    match &statement {
        Statement::Statement(inner) if matches!(**inner, ast::Statement::Query(_)) => {
            Ok((statement, explain))
        }
        other => {
            let text = other.to_string();
            let verb = text.split_whitespace().next().unwrap_or_default();
            let message = format!("{verb} is not a query");
            let error = SqlError::new(message, "streams can only be asked: write SELECT … FROM packets");
            Err(Refusal::Because(error.at_word(sql, verb)))
        }
    }
}

/// Takes LIMIT and OFFSET off a plan whose other nodes stream.
fn peel_limit(plan: LogicalPlan) -> Result<(LogicalPlan, usize, Option<usize>), Refusal> {
    let (mut skip, mut fetch, mut unclear) = (0, None, false);
    let peeled = plan.transform_down(|node| match node {
        LogicalPlan::Limit(limit) if fetch.is_none() && skip == 0 => {
            unclear = !read_limit(&limit, &mut skip, &mut fetch)?;
            let input = Arc::unwrap_or_clone(limit.input);
            Ok(Transformed::new(input, true, TreeNodeRecursion::Stop))
        }
        LogicalPlan::Projection(_) | LogicalPlan::SubqueryAlias(_) => Ok(Transformed::no(node)),
        other => Ok(Transformed::new(other, false, TreeNodeRecursion::Stop)),
    })?;
    if unclear {
        let help = "write LIMIT 10";
        return Err(Refusal::Because(SqlError::new("LIMIT and OFFSET must be numbers", help)));
    }
    Ok((peeled.data, skip, fetch))
}

/// Takes off what the optimiser put below UNION ALL: limits that allow as many rows as are wanted in all.
fn without_wider_limits(plan: LogicalPlan, wanted: Option<usize>) -> Result<LogicalPlan> {
    let Some(wanted) = wanted else { return Ok(plan) };
    let bare = plan.transform_down(|node| match node {
        LogicalPlan::Limit(limit) => {
            let (mut skip, mut fetch) = (0, None);
            let is_wider = read_limit(&limit, &mut skip, &mut fetch)? && skip == 0;
            if is_wider && fetch.is_some_and(|fetch| fetch >= wanted) {
                return Ok(Transformed::yes(Arc::unwrap_or_clone(limit.input)));
            }
            Ok(Transformed::new(LogicalPlan::Limit(limit), false, TreeNodeRecursion::Stop))
        }
        LogicalPlan::Projection(_) | LogicalPlan::SubqueryAlias(_) | LogicalPlan::Union(_) => {
            Ok(Transformed::no(node))
        }
        other => Ok(Transformed::new(other, false, TreeNodeRecursion::Jump)),
    })?;
    Ok(bare.data)
}

fn read_limit(limit: &Limit, skip: &mut usize, fetch: &mut Option<usize>) -> Result<bool> {
    match (limit.get_skip_type()?, limit.get_fetch_type()?) {
        (SkipType::Literal(rows), FetchType::Literal(limit)) => {
            (*skip, *fetch) = (rows, limit);
            Ok(true)
        }
        _ => Ok(false),
    }
}

/// The upper plan without HAVING, ORDER BY and LIMIT, when nothing else stands above its one partial.
fn bare_select_list(split: &Split) -> Result<Option<LogicalPlan>> {
    if split.lowers.len() != 1 {
        return Ok(None);
    }
    let bare = split.upper.clone().transform_up(|node| {
        let input = match &node {
            LogicalPlan::Filter(filter) => &filter.input,
            LogicalPlan::Sort(sort) => &sort.input,
            LogicalPlan::Limit(limit) => &limit.input,
            _ => return Ok(Transformed::no(node)),
        };
        Ok(Transformed::yes(LogicalPlan::clone(input)))
    })?;
    let is_plain = |node: &LogicalPlan| {
        matches!(node, LogicalPlan::Projection(_) | LogicalPlan::SubqueryAlias(_) | LogicalPlan::TableScan(_))
    };
    let other = bare.data.exists(|node| Ok(!is_plain(node)))?;
    Ok((!other).then_some(bare.data))
}
