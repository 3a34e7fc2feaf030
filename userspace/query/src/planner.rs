//! SQL text to a continuous query.
//!
//! parse → rewrite syntax → name elements → plan → rewrite (addresses, ties, DISTINCT) → optimise → check overflow →
//! split → compile both halves.
//! Whatever cannot be split is refused here, with the place in the text.

use crate::arithmetic::{check_overflow, negates_unsigned, subtract_from_zero};
use crate::casts::{has_one_name_for_two, name_casts};
use crate::catalog::{STREAMS, reads_stream};
use crate::clauses::check_clauses;
use crate::continuous::{ContinuousQuery, Upper, UpperHalf};
use crate::convert::convert_values;
use crate::datafusion_error::{KnownNames, from_datafusion};
use crate::distinct::expand_distinct;
use crate::elements::name_elements;
use crate::error::SqlError;
use crate::expansion::check_plan;
use crate::identity::Identity;
use crate::item_names::ItemNames;
use crate::limits;
use crate::lower::LowerHalf;
use crate::names::{check_names, retyped};
use crate::ordering::break_ties;
use crate::refusal::Refusal;
use crate::row_limits::{peel_limit, without_wider_limits};
use crate::sensors::{SensorPattern, take_sensors};
use crate::session::Session;
use crate::split::{Split, has_aggregate, split};
use crate::statement::check_statement;
use crate::subqueries::{check_subqueries, name_subqueries};
use crate::syntax::rewrite_syntax;
use crate::window_functions::{misplaced_window, named_window};
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::ast;
use futures::executor::block_on;
use std::sync::Arc;
use tapline_lookup::Tables;
use tapline_record::EventTime;

/// Plans queries; made once, since DataFusion's catalog of functions takes a while to fill.
#[derive(Debug)]
pub struct Planner {
    session: Session,
    /// Who the node is that its queries run on; `None` where they are of several.
    identity: Option<Identity>,
}

/// The one statement of a text, which is a query.
pub(crate) struct Parsed {
    pub(crate) statement: Statement,
    /// Whether it is explained.
    explain: bool,
    /// Where it runs, if it says so.
    sensors: Option<Vec<SensorPattern>>,
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
        Self::with_tables(&Arc::default())
    }

    /// The same, for queries that look something up in these tables.
    ///
    /// # Panics
    /// Never, as above.
    #[must_use]
    pub fn with_tables(tables: &Arc<Tables>) -> Self {
        Self { session: Session::new(tables), identity: None }.starting(EventTime(0))
    }

    /// The same, for queries that run on this node: what they say of sensors and sites is known. Without it, queries are
    /// planned for what several nodes give, and only those that name neither can run.
    #[must_use]
    pub fn with_identity(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// The same, for queries that start at `now`, which is what `now()` gives in all of them.
    #[must_use]
    pub fn starting(mut self, now: EventTime) -> Self {
        self.session.start(now);
        self
    }

    /// The names of all functions that a query may call.
    #[must_use]
    pub fn functions(&self) -> &[String] {
        &self.session.functions
    }

    /// Plans the query in `sql`.
    ///
    /// # Errors
    /// What is wrong with it, where, and what would be right.
    pub fn plan(&self, sql: &str) -> Result<ContinuousQuery, SqlError> {
        limits::check_size(sql)?;
        limits::with_stack(|| self.plan_statement(sql)).map_err(|refusal| self.explain_refusal(refusal, sql))
    }

    fn plan_statement(&self, sql: &str) -> Result<ContinuousQuery, Refusal> {
        let Parsed { statement, explain, sensors } = parse(sql)?;
        let names = ItemNames::of(&statement, sql);
        let plan = self.logical_plan(statement, sql)?;
        let optimised = check_overflow(self.session.state.optimize(&expand_distinct(plan.clone())?)?)?;
        let mut query = ContinuousQuery {
            flow_table: None,
            is_told_to_kernel: false,
            sql: sql.to_owned(),
            explain,
            sensors,
            early: None,
            window: None,
            lowers: vec![],
            upper: Upper::Stream { skip: 0, fetch: Some(0) },
            schema: names.applied(&Arc::new(plan.schema().as_arrow().clone())),
            starred: names.starred(plan.schema().fields().len()),
        };
        let named = named_window(&plan)?;
        if named.is_some() && !reads_stream(&optimised)? {
            query.window = named;
            return Ok(query);
        }
        if has_aggregate(&optimised)? || !reads_stream(&optimised)? {
            let split = split(optimised, self.identity.as_ref())?;
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

    /// What the statement asks for, as it is said: not optimised yet.
    fn logical_plan(&self, mut statement: Statement, sql: &str) -> Result<LogicalPlan, Refusal> {
        if let Statement::Statement(inner) = &statement {
            check_statement(inner).map_err(Refusal::Because)?;
            check_clauses(inner, sql, &|name: &str| self.is_aggregate(name)).map_err(Refusal::Because)?;
        }
        rewrite_syntax(&mut statement, sql).map_err(Refusal::Because)?;
        let elements = name_elements(&mut statement, sql).map_err(Refusal::Because)?;
        let plan = plan_of(&self.session.sql_state_with(&elements)?, statement)?;
        check_plan(&plan).map_err(Refusal::Because)?;
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
        Ok(plan)
    }

    /// A plan without aggregate: a stream of rows, or the best of them.
    fn compile_rows(&self, plan: LogicalPlan) -> Result<(Vec<LowerHalf>, Upper), Refusal> {
        let mut split = Split { lowers: vec![], slots: vec![], upper: plan.clone(), window: None };
        let identity = self.identity.as_ref();
        let mut best = None;
        split.upper = plan
            .clone()
            .transform_down(|node| match node {
                LogicalPlan::Sort(mut sort) if sort.fetch.is_some() => {
                    if let Ok(lower) = LowerHalf::of_rows(&sort.input, identity) {
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
            let prune = self.session.physical(&best)?;
            return Ok((lowers, Upper::Best { half: self.compile_upper(split)?, prune }));
        }
        let (plan, skip, fetch) = peel_limit(plan)?;
        let plan = without_wider_limits(plan, fetch.map(|fetch| skip.saturating_add(fetch)))?;
        Ok((vec![LowerHalf::of_rows(&plan, identity)?], Upper::Stream { skip, fetch }))
    }

    fn compile_upper(&self, split: Split) -> Result<UpperHalf, Refusal> {
        let physical = self.session.physical(&split.upper)?;
        let folded = bare_select_list(&split)?.map(|plan| self.session.physical(&plan)).transpose()?;
        let context = self.session.state.task_ctx();
        Ok(UpperHalf { slots: split.slots, plan: split.upper, physical, folded, context })
    }

    /// Whether a function is an aggregate.
    pub(crate) fn is_aggregate(&self, name: &str) -> bool {
        self.session.state.aggregate_functions().contains_key(name)
    }

    pub(crate) fn explain_refusal(&self, refusal: Refusal, sql: &str) -> SqlError {
        let error = match refusal {
            Refusal::Because(error) => return error.placed(sql),
            Refusal::DataFusion(error) => error,
        };
        let tables = STREAMS.map(|stream| stream.name);
        from_datafusion(&error, sql, &KnownNames { tables: &tables, functions: &self.session.functions })
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

/// The one statement in `sql`, which must be a query.
pub(crate) fn parse(sql: &str) -> Result<Parsed, Refusal> {
    let (text, sensors) = take_sensors(sql).map_err(Refusal::Because)?;
    let mut statements = DFParserBuilder::new(text.as_ref()).build()?.parse_statements()?;
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
            Ok(Parsed { statement, explain, sensors })
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
