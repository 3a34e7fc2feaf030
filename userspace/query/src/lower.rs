//! The lower half: what runs per batch, on pinned threads.
//!
//! Compiles the plan below and including a lowest aggregate (or a whole plan without aggregate) to
//! physical expressions: branches that filter and project batches of a stream, and what their
//! rows are folded into. Anything else below the split is refused with a reason.

use crate::catalog::StreamTable;
use crate::chain::Chain;
use crate::identity::Identity;
use crate::mergeable::check_mergeable;
use crate::refusal::{Refusal, refuse};
use crate::window_functions::{misplaced_window, names_window, window_of};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::tree_node::TreeNode as _;
use datafusion::common::{DFSchema, Result};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::logical_expr::logical_plan::{Aggregate as AggregateNode, Projection, TableScan};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::physical_expr::aggregate::{
    AggregateFunctionExpr, LoweredAggregate, LoweredAggregateBuilder,
};
use datafusion::physical_expr::{PhysicalExpr, create_physical_expr};
use std::sync::Arc;
use tapline_record::{Stream, StreamId};

/// One lowest aggregate with all that is below it, or a whole query without aggregate.
#[derive(Clone, Debug)]
pub struct LowerHalf {
    /// Where rows come from; more than one below UNION ALL.
    pub branches: Vec<Branch>,
    /// What the rows of all branches are folded into.
    pub fold: Fold,
    /// The logical plan, for EXPLAIN and to find equal halves.
    pub plan: LogicalPlan,
}

/// A chain of steps over batches of one stream.
#[derive(Clone, Debug)]
pub struct Branch {
    /// The stream that is read.
    pub stream: &'static Stream,
    /// Positions of the columns that the first step sees, in its order.
    pub columns: Vec<usize>,
    /// Steps in the order in which they run.
    pub steps: Vec<Step>,
    /// Where, behind the last step, stands how many packets a row is; `None` where it is one record.
    pub packets: Option<usize>,
}

/// One step of a branch.
#[derive(Clone, Debug)]
pub enum Step {
    /// Keeps the rows for which the predicate is true.
    Filter(Arc<dyn PhysicalExpr>),
    /// Computes new columns.
    Project(Vec<Arc<dyn PhysicalExpr>>, SchemaRef),
}

/// What rows become.
#[derive(Clone, Debug)]
pub enum Fold {
    /// They stay rows.
    Rows(SchemaRef),
    /// Partial aggregates of their groups.
    Aggregate(AggregateFold),
}

/// Group keys and aggregates, over the columns that the branches give.
#[derive(Clone, Debug)]
pub struct AggregateFold {
    /// Group keys without the window.
    pub keys: Vec<Arc<dyn PhysicalExpr>>,
    /// Names and types of the keys.
    pub key_schema: SchemaRef,
    /// The aggregates.
    pub aggregates: Vec<Aggregate>,
    /// Where the window's start stands among the output columns.
    pub window_position: Option<usize>,
    /// Keys, window among them, then finished aggregates: what the upper half reads.
    pub output_schema: SchemaRef,
}

/// One aggregate function with its input.
#[derive(Clone, Debug)]
pub struct Aggregate {
    /// The function.
    pub function: Arc<AggregateFunctionExpr>,
    /// Its arguments.
    pub arguments: Vec<Arc<dyn PhysicalExpr>>,
    /// Its FILTER (WHERE …).
    pub filter: Option<Arc<dyn PhysicalExpr>>,
    /// Whether its arguments are partial states, to be merged, instead of values.
    pub takes_states: bool,
}

impl Aggregate {
    /// Whether its state grows with what it is given, such as that of a sketch.
    #[must_use]
    pub fn grows(&self) -> bool {
        let has_a_size = |kind: &DataType| {
            kind.is_primitive()
                || matches!(kind, DataType::Boolean | DataType::FixedSizeBinary(_) | DataType::Null)
        };
        let fields = self.function.state_fields();
        let have_sizes = fields.is_ok_and(|fields| fields.iter().all(|field| has_a_size(field.data_type())));
        !self.function.groups_accumulator_supported() || !have_sizes
    }
}

impl LowerHalf {
    /// The streams that it reads, one a branch.
    pub fn streams(&self) -> impl Iterator<Item = StreamId> + '_ {
        self.branches.iter().map(|branch| branch.stream.id)
    }

    /// Compiles a lowest aggregate, for the node that this identity names, if one does.
    pub(crate) fn of_aggregate(node: &AggregateNode, identity: Option<&Identity>) -> Result<Self, Refusal> {
        let in_aggregate = |one: &Expr| one.exists(|inner| Ok(window_of(inner).is_some())).unwrap_or(false);
        if names_window(&node.input)? || node.aggr_expr.iter().any(in_aggregate) {
            return Err(Refusal::Because(misplaced_window()));
        }
        let chains = compile_chains(&node.input, identity)?;
        let columns = Arc::new(positional(node.input.schema()));
        let (branches, fold) = Chain::folded(chains, compile_fold(node)?, &columns)?;
        Ok(Self { branches, fold: Fold::Aggregate(fold), plan: LogicalPlan::Aggregate(node.clone()) })
    }

    /// Compiles a plan without aggregate, likewise.
    pub(crate) fn of_rows(plan: &LogicalPlan, identity: Option<&Identity>) -> Result<Self, Refusal> {
        let columns = Arc::new(positional(plan.schema()));
        let branches = Chain::finish(compile_chains(plan, identity)?, &columns);
        Ok(Self { branches, fold: Fold::Rows(columns), plan: plan.clone() })
    }

    /// Columns that the upper half, or the reader of the rows, gets.
    #[must_use]
    pub fn output_schema(&self) -> SchemaRef {
        match &self.fold {
            Fold::Rows(schema) => schema.clone(),
            Fold::Aggregate(fold) => fold.output_schema.clone(),
        }
    }
}

/// The schema with names that are unique by position, as partial tables have it; nullable, since the
/// folded row has no keys.
pub(crate) fn positional(schema: &DFSchema) -> Schema {
    let field = |(position, field): (usize, &Arc<Field>)| {
        Field::new(format!("c{position}"), field.data_type().clone(), true)
    };
    Schema::new(schema.fields().iter().enumerate().map(field).collect::<Vec<_>>())
}

fn compile_chains(plan: &LogicalPlan, identity: Option<&Identity>) -> Result<Vec<Chain>, Refusal> {
    match plan {
        LogicalPlan::TableScan(scan) => Ok(vec![compile_scan(scan, identity)?]),
        LogicalPlan::SubqueryAlias(alias) => compile_chains(&alias.input, identity),
        LogicalPlan::EmptyRelation(empty) if !empty.produce_one_row => Ok(vec![]),
        LogicalPlan::Filter(filter) => {
            let predicate = physical(&filter.predicate, filter.input.schema())?;
            let chains = compile_chains(&filter.input, identity)?.into_iter();
            let filtered = chains.filter_map(|chain| chain.filtered(&predicate).transpose());
            Ok(filtered.collect::<Result<_>>()?)
        }
        LogicalPlan::Projection(projection) => {
            let (expressions, schema) = compile_projection(projection)?;
            let chains = compile_chains(&projection.input, identity)?.into_iter();
            Ok(chains.map(|chain| chain.projected(&expressions, &schema)).collect::<Result<_>>()?)
        }
        LogicalPlan::Union(union) => {
            let inputs: Vec<_> = union.inputs.iter().map(|input| compile_chains(input, identity)).collect();
            Ok(inputs.into_iter().collect::<Result<Vec<_>, _>>()?.concat())
        }
        other => refuse_node(other),
    }
}

fn compile_scan(scan: &TableScan, identity: Option<&Identity>) -> Result<Chain, Refusal> {
    let provider = source_as_provider(&scan.source)?;
    let Some(table) = provider.downcast_ref::<StreamTable>() else {
        return refuse("only a stream can be read below an aggregate", "aggregate the stream first");
    };
    let columns: Vec<usize> = match &scan.projection {
        Some(projection) => projection.iter().map(|&column| table.columns[column]).collect(),
        None => table.columns.clone(),
    };
    Ok(Chain::new(table.stream, &columns, identity))
}

/// The columns that a projection gives, and their schema.
type Columns = (Vec<Arc<dyn PhysicalExpr>>, SchemaRef);

fn compile_projection(projection: &Projection) -> Result<Columns, Refusal> {
    let input = projection.input.schema();
    let expressions = projection
        .expr
        .iter()
        .map(|expression| physical(expression, input))
        .collect::<Result<Vec<_>, _>>()?;
    Ok((expressions, Arc::new(positional(&projection.schema))))
}

fn compile_fold(node: &AggregateNode) -> Result<AggregateFold, Refusal> {
    let input = node.input.schema();
    let mut output = positional(&node.schema).fields().to_vec();
    let (mut keys, mut key_fields, mut window_position) = (vec![], vec![], None);
    for (position, expression) in node.group_expr.iter().enumerate() {
        if matches!(expression, Expr::GroupingSet(_)) {
            return refuse(
                "GROUPING SETS, ROLLUP and CUBE cannot be computed in one pass",
                "write one query for each grouping and join them with UNION ALL",
            );
        }
        if window_of(expression).is_some() {
            window_position = Some(position);
        } else {
            keys.push(physical(expression, input)?);
            key_fields.push(output[position].clone());
        }
    }
    let aggregates = node.aggr_expr.iter().map(|expression| compile_aggregate(expression, input));
    let aggregates = aggregates.collect::<Result<Vec<_>, _>>()?;
    // Optimisation may have changed the type of an argument since the node's schema was made.
    for (field, aggregate) in output.iter_mut().skip(node.group_expr.len()).zip(&aggregates) {
        let data_type = aggregate.function.field().data_type().clone();
        *field = Arc::new(field.as_ref().clone().with_data_type(data_type));
    }
    Ok(AggregateFold {
        keys,
        key_schema: Arc::new(Schema::new(key_fields)),
        aggregates,
        window_position,
        output_schema: Arc::new(Schema::new(output)),
    })
}

fn compile_aggregate(expression: &Expr, input: &DFSchema) -> Result<Aggregate, Refusal> {
    let (properties, context) = (ExecutionProps::new(), PhysicalPlanningContext::default());
    let builder = LoweredAggregateBuilder::new(expression, input, input.as_arrow(), &properties, &context);
    let LoweredAggregate { aggregate: function, filter, order_bys } = builder.build()?;
    let name = function.fun().name();
    check_mergeable(name)?;
    if !order_bys.is_empty() {
        return refuse(
            format!("{name} with ORDER BY depends on the order of arrival"),
            "leave its ORDER BY out; sort the result",
        );
    }
    if function.is_distinct() && !matches!(name, "min" | "max") {
        return refuse(
            format!("{name}(DISTINCT …) needs all values, so its parts cannot be merged"),
            "use count(DISTINCT x), or approx_distinct(x), which merges",
        );
    }
    let arguments = function.expressions();
    Ok(Aggregate { function, arguments, filter, takes_states: false })
}

fn physical(expression: &Expr, input: &DFSchema) -> Result<Arc<dyn PhysicalExpr>, Refusal> {
    let context = PhysicalPlanningContext::default();
    Ok(create_physical_expr(expression, input, &ExecutionProps::new(), &context)?)
}

fn refuse_node<T>(node: &LogicalPlan) -> Result<T, Refusal> {
    match node {
        LogicalPlan::Join(_) => refuse(
            "a join of streams as they are would have to keep every row",
            "aggregate both sides by the same window first, and join the results",
        ),
        LogicalPlan::Window(_) => refuse(
            "OVER (…) below the lowest aggregate would have to keep every row",
            "aggregate first, and use OVER on the result",
        ),
        LogicalPlan::Sort(sort) if sort.fetch.is_some() => refuse(
            "the first rows of an order are known when the input ends, and cannot be counted, joined or united before",
            "leave what is around ORDER BY … LIMIT out, or aggregate first",
        ),
        LogicalPlan::Sort(_) => refuse(
            "ORDER BY without LIMIT over a stream would have to keep every row",
            "add LIMIT n, or aggregate first",
        ),
        LogicalPlan::Limit(_) => refuse(
            "LIMIT inside of a query depends on the order of arrival",
            "put one LIMIT at the end of the whole query; filter with WHERE, or use tumble_rows(n)",
        ),
        LogicalPlan::Values(_) | LogicalPlan::EmptyRelation(_) => {
            refuse("rows that are no stream cannot be mixed with one here", "aggregate the stream first")
        }
        other => refuse(
            format!("{} below the lowest aggregate cannot run on a stream", other.display()),
            "aggregate the stream first",
        ),
    }
}
