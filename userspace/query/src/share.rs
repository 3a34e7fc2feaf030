//! Which queries fold their rows as one.
//!
//! Takes queries, says whether their lower halves read the same rows and group them by the same keys, and gives one
//! query whose lower halves have the aggregates of all of them. Halves that are equal are the simplest case.

use crate::continuous::ContinuousQuery;
use crate::flow_table::FlowTable;
use crate::lower::{Aggregate, AggregateFold, Branch, Fold, LowerHalf, Step};
use crate::window::Window;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::common::{Result, internal_datafusion_err};
use datafusion::logical_expr::{AggregateUDF, LogicalPlan};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{Column, Literal};
use std::collections::BTreeSet;
use std::sync::Arc;
use tapline_record::{Stream, StreamId};

type Expression = Arc<dyn PhysicalExpr>;

/// What must be equal of queries that fold their rows as one: panes, rows and keys.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Widths of panes, of what closes, and how often results are given before.
    panes: Option<(i64, i64, Option<i64>)>,
    flow_table: Option<FlowTable>,
    halves: Vec<HalfShape>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum HalfShape {
    /// Rows of one stream that are filtered and grouped: whatever its aggregates are, they can be put beside others.
    Grouped { stream: StreamId, reads_packets: bool, filters: Vec<Expression>, keys: Vec<Expression> },
    /// Anything else is only like its equal. A plan names the columns that say who a node is, what runs of it has their values:
    /// the same plan may be run under two names.
    Whole { plan: LogicalPlan, streams: Vec<StreamId>, expressions: Vec<Expression> },
}

/// A half whose expressions name the columns of its stream, wherever these stand in the batches that it reads.
pub(crate) struct Named {
    pub(crate) stream: &'static Stream,
    filters: Vec<Expression>,
    pub(crate) keys: Vec<Expression>,
    pub(crate) aggregates: Vec<NamedAggregate>,
    /// The column that says how many packets a row is, if there is one.
    pub(crate) packets: Option<usize>,
}

#[derive(Clone)]
pub(crate) struct NamedAggregate {
    pub(crate) aggregate: Aggregate,
    identity: AggregateIdentity,
}

/// What makes two aggregates the same one.
#[derive(Clone, PartialEq)]
struct AggregateIdentity {
    function: AggregateUDF,
    parameters: Vec<Expression>,
    data_type: DataType,
    is_distinct: bool,
    ignores_nulls: bool,
    arguments: Vec<Expression>,
    filter: Option<Expression>,
    takes_states: bool,
}

/// Lower halves that several queries share.
#[derive(Clone, Debug)]
pub struct SharedHalves {
    /// A query with these lower halves.
    pub query: Arc<ContinuousQuery>,
    /// For each query that shares them, and each of its lower halves, which of the aggregates are its own, in its order.
    pub places: Vec<Vec<Vec<usize>>>,
}

impl ContinuousQuery {
    /// What must be equal of queries that fold their rows as one; `None` where none can be like it.
    #[must_use]
    pub fn shape(&self) -> Option<Shape> {
        // Where a window that counts rows begins depends on when the query came.
        if matches!(self.window, Some(Window::Rows { .. })) {
            return None;
        }
        let panes = self.pane_width().zip(self.closing_width());
        let halves = self.lowers.iter().map(|lower| match Named::of(lower) {
            Some(Named { stream, filters, keys, packets, .. }) => {
                HalfShape::Grouped { stream: stream.id, reads_packets: packets.is_some(), filters, keys }
            }
            None => HalfShape::Whole {
                plan: lower.plan.clone(),
                streams: lower.streams().collect(),
                expressions: expressions_of(lower),
            },
        });
        Some(Shape {
            panes: panes.map(|(width, closing)| (width, closing, self.early)),
            flow_table: self.flow_table,
            halves: halves.collect(),
        })
    }
}

/// The lower halves of all these queries, which have one shape, as one; `None` of no query.
///
/// # Errors
/// Only when DataFusion refuses to put a column in another place.
pub fn share(queries: &[Arc<ContinuousQuery>]) -> Result<Option<SharedHalves>> {
    let Some(first) = queries.first() else { return Ok(None) };
    // Where one needs states, all are given them.
    let model = queries.iter().find(|query| query.reuses_panes()).unwrap_or(first);
    let mut places = vec![vec![]; queries.len()];
    let mut lowers = vec![];
    for half in 0..first.lowers.len() {
        let halves: Vec<&LowerHalf> = queries.iter().map(|query| &query.lowers[half]).collect();
        let (shared, of_queries) = share_half(&halves)?;
        lowers.push(shared);
        places.iter_mut().zip(of_queries).for_each(|(places, of_half)| places.push(of_half));
    }
    let query = ContinuousQuery { lowers, ..model.as_ref().clone() };
    Ok(Some(SharedHalves { query: Arc::new(query), places }))
}

/// One half for all of these, and which of its aggregates are those of each.
fn share_half(halves: &[&LowerHalf]) -> Result<(LowerHalf, Vec<Vec<usize>>)> {
    let named: Option<Vec<Named>> = halves.iter().map(|half| Named::of(half)).collect();
    let Some(named) = named.filter(|named| named.len() > 1) else {
        // They are equal.
        let aggregates = if let Fold::Aggregate(fold) = &halves[0].fold { fold.aggregates.len() } else { 0 };
        return Ok((halves[0].clone(), vec![(0..aggregates).collect(); halves.len()]));
    };
    let mut all: Vec<NamedAggregate> = vec![];
    let mut place = |one: &NamedAggregate| {
        all.iter().position(|known| known.identity == one.identity).unwrap_or_else(|| {
            all.push(one.clone());
            all.len() - 1
        })
    };
    let places = named.iter().map(|named| named.aggregates.iter().map(&mut place).collect()).collect();
    Ok((put_together(halves[0], &named[0], &all)?, places))
}

/// A half like `model` with these aggregates, over as few columns as they need.
fn put_together(model: &LowerHalf, named: &Named, aggregates: &[NamedAggregate]) -> Result<LowerHalf> {
    let Fold::Aggregate(fold) = &model.fold else { return Ok(model.clone()) };
    let arguments =
        aggregates.iter().flat_map(|named| named.aggregate.arguments.iter().chain(&named.aggregate.filter));
    let mut columns: BTreeSet<usize> = named.packets.into_iter().collect();
    named.filters.iter().chain(&named.keys).chain(arguments).for_each(|of| add_columns(of, &mut columns));
    let columns: Vec<usize> = columns.into_iter().collect();
    let filters = all_placed(&named.filters, &columns)?;
    let keys = all_placed(&named.keys, &columns)?;
    let aggregates = aggregates.iter().map(|named| placed_aggregate(&named.aggregate, &columns));
    let aggregates = aggregates.collect::<Result<_>>()?;
    let packets = named.packets.and_then(|packets| columns.iter().position(|column| *column == packets));
    Ok(LowerHalf {
        branches: vec![Branch {
            stream: named.stream,
            columns,
            steps: filters.into_iter().map(Step::Filter).collect(),
            packets,
        }],
        fold: Fold::Aggregate(AggregateFold { keys, aggregates, ..fold.clone() }),
        plan: model.plan.clone(),
    })
}

impl Named {
    /// `None` where rows come of several branches, are computed on the way, or stay rows.
    pub(crate) fn of(lower: &LowerHalf) -> Option<Self> {
        let (Fold::Aggregate(fold), [branch]) = (&lower.fold, &lower.branches[..]) else { return None };
        let mut behind = names_of(branch);
        let mut filters = vec![];
        for step in &branch.steps {
            match step {
                Step::Filter(predicate) => filters.push(named(predicate, &behind)?),
                Step::Project(expressions, _) => behind = picked(expressions, &behind)?,
            }
        }
        let keys = fold.keys.iter().map(|key| named(key, &behind)).collect::<Option<_>>()?;
        let aggregates = fold.aggregates.iter().map(|aggregate| NamedAggregate::of(aggregate, &behind));
        let packets = match branch.packets {
            Some(place) => Some(behind.get(place)?.downcast_ref::<Column>()?.index()),
            None => None,
        };
        Some(Self {
            stream: branch.stream,
            filters,
            keys,
            aggregates: aggregates.collect::<Option<_>>()?,
            packets,
        })
    }
}

impl NamedAggregate {
    fn of(aggregate: &Aggregate, behind: &[Expression]) -> Option<Self> {
        let arguments: Vec<Expression> =
            aggregate.arguments.iter().map(|argument| named(argument, behind)).collect::<Option<_>>()?;
        let filter = match &aggregate.filter {
            Some(filter) => Some(named(filter, behind)?),
            None => None,
        };
        let function = &aggregate.function;
        let identity = AggregateIdentity {
            function: function.fun().clone(),
            parameters: function.expressions().into_iter().filter(|one| one.is::<Literal>()).collect(),
            data_type: function.field().data_type().clone(),
            is_distinct: function.is_distinct(),
            ignores_nulls: function.ignore_nulls(),
            arguments: arguments.clone(),
            filter: filter.clone(),
            takes_states: aggregate.takes_states,
        };
        Some(Self { aggregate: Aggregate { arguments, filter, ..aggregate.clone() }, identity })
    }
}

/// All that is computed in a half, row by row.
fn expressions_of(lower: &LowerHalf) -> Vec<Expression> {
    let steps = lower.branches.iter().flat_map(|branch| &branch.steps);
    let of_steps = steps.flat_map(|step| match step {
        Step::Filter(predicate) => std::slice::from_ref(predicate),
        Step::Project(expressions, _) => expressions.as_slice(),
    });
    let mut all: Vec<Expression> = of_steps.cloned().collect();
    if let Fold::Aggregate(fold) = &lower.fold {
        let of_aggregates =
            fold.aggregates.iter().flat_map(|aggregate| aggregate.arguments.iter().chain(&aggregate.filter));
        all.extend(fold.keys.iter().chain(of_aggregates).cloned());
    }
    all
}

/// The columns that the first step of a branch sees, named by their positions in the stream.
pub(crate) fn names_of(branch: &Branch) -> Vec<Expression> {
    let name = |column: usize| branch.stream.columns.get(column).map_or("", |column| column.name);
    let column = |&column: &usize| Arc::new(Column::new(name(column), column)) as Expression;
    branch.columns.iter().map(column).collect()
}

/// The columns behind a projection that only picks some; `None` where it computes any.
pub(crate) fn picked(expressions: &[Expression], before: &[Expression]) -> Option<Vec<Expression>> {
    let pick = |expression: &Expression| before.get(expression.downcast_ref::<Column>()?.index()).cloned();
    expressions.iter().map(pick).collect()
}

/// The expression with the columns of the stream in place of those that it reads.
pub(crate) fn named(expression: &Expression, behind: &[Expression]) -> Option<Expression> {
    replaced(expression, &|column| behind.get(column.index()).cloned()).ok()
}

/// The expression over these columns alone, which it names by their positions in the stream.
///
/// # Errors
/// When it reads others.
pub(crate) fn placed(expression: &Expression, columns: &[usize]) -> Result<Expression> {
    replaced(expression, &|column| {
        let place = columns.iter().position(|known| *known == column.index())?;
        Some(Arc::new(Column::new(column.name(), place)) as Expression)
    })
}

fn all_placed(expressions: &[Expression], columns: &[usize]) -> Result<Vec<Expression>> {
    expressions.iter().map(|expression| placed(expression, columns)).collect()
}

/// An aggregate over these columns alone.
///
/// # Errors
/// As above.
pub(crate) fn placed_aggregate(aggregate: &Aggregate, columns: &[usize]) -> Result<Aggregate> {
    let arguments = all_placed(&aggregate.arguments, columns)?;
    let filter = aggregate.filter.as_ref().map(|filter| placed(filter, columns)).transpose()?;
    Ok(Aggregate { arguments, filter, ..aggregate.clone() })
}

/// The expression with something else in place of each column.
fn replaced(expression: &Expression, by: &impl Fn(&Column) -> Option<Expression>) -> Result<Expression> {
    let replace = |node: Expression| match node.downcast_ref::<Column>() {
        None => Ok(Transformed::no(node)),
        Some(column) => match by(column) {
            Some(other) => Ok(Transformed::yes(other)),
            None => Err(internal_datafusion_err!("there is no column for {column}")),
        },
    };
    Arc::clone(expression).transform_up(replace).map(|transformed| transformed.data)
}

/// Adds the columns that an expression reads.
pub(crate) fn add_columns(expression: &Expression, columns: &mut BTreeSet<usize>) {
    if let Some(column) = expression.downcast_ref::<Column>() {
        columns.insert(column.index());
    }
    expression.children().into_iter().for_each(|child| add_columns(child, columns));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Planner;

    fn plan(sql: &str) -> Arc<ContinuousQuery> {
        Arc::new(Planner::new().plan(sql).unwrap_or_else(|error| panic!("{sql}\n{error}")))
    }

    fn are_alike(one: &str, other: &str) -> bool {
        plan(one).shape().unwrap() == plan(other).shape().unwrap()
    }

    #[test]
    fn the_same_rows_by_the_same_keys_are_folded_as_one() {
        let one = "SELECT src_ip, count(*) FROM packets WHERE dst_port < 1024 GROUP BY src_ip, tumble('10 seconds')";
        for other in [
            one,
            "SELECT src_ip, sum(octets) FROM packets WHERE dst_port < 1024 GROUP BY src_ip, tumble('10 seconds')",
            "SELECT max(ttl), src_ip AS who FROM packets WHERE dst_port < 1024
             GROUP BY tumble('10 seconds'), src_ip HAVING count(*) > 5 ORDER BY 1 DESC LIMIT 3",
            "SELECT src_ip, count(*) FROM packets WHERE dst_port < 1024 GROUP BY src_ip, hop('10 seconds', '1 minute')",
        ] {
            assert!(are_alike(one, other), "{other}");
        }
        for other in [
            "SELECT dst_ip, count(*) FROM packets WHERE dst_port < 1024 GROUP BY dst_ip, tumble('10 seconds')",
            "SELECT src_ip, count(*) FROM packets WHERE dst_port < 1025 GROUP BY src_ip, tumble('10 seconds')",
            "SELECT src_ip, count(*) FROM packets GROUP BY src_ip, tumble('10 seconds')",
            "SELECT src_ip, count(*) FROM packets WHERE dst_port < 1024 GROUP BY src_ip, tumble('20 seconds')",
            "SELECT src_ip, count(*) FROM flows WHERE dst_port < 1024 GROUP BY src_ip, tumble('10 seconds')",
            "SELECT src_ip, dst_port, count(*) FROM packets WHERE dst_port < 1024 GROUP BY src_ip, dst_port, tumble('10 seconds')",
        ] {
            assert!(!are_alike(one, other), "{other}");
        }
        assert!(plan("SELECT count(*) FROM packets GROUP BY tumble_rows(5)").shape().is_none());
    }

    #[test]
    fn what_is_computed_on_the_way_is_only_like_its_equal() {
        let one =
            "SELECT ip, count(*) FROM (SELECT src_ip AS ip FROM packets UNION ALL SELECT dst_ip FROM packets)
                   GROUP BY ip, tumble('10 seconds')";
        assert!(are_alike(one, &format!("{one} HAVING count(*) > 3")));
        assert!(!are_alike(one, &one.replace("count(*)", "min(ip)")));
        let rows = "SELECT src_ip FROM packets WHERE octets > 5";
        assert!(are_alike(rows, rows) && !are_alike(rows, "SELECT src_ip FROM packets WHERE octets > 6"));
    }

    #[test]
    fn the_same_text_under_two_names_is_not_the_same() {
        let of = |sensor: &str, sql: &str| {
            let identity = crate::Identity { sensor: sensor.to_owned(), site: None };
            Planner::new().with_identity(identity).plan(sql).unwrap().shape().unwrap()
        };
        let both = "(SELECT sensor, src_ip AS ip FROM packets UNION ALL SELECT sensor, dst_ip FROM packets)";
        for sql in [
            format!("SELECT sensor, ip, count(*) FROM {both} GROUP BY sensor, ip, tumble('10 seconds')"),
            format!("SELECT ip, count(*) FROM {both} WHERE sensor = 'a' GROUP BY ip, tumble('10 seconds')"),
            "SELECT sensor, count(*) FROM packets GROUP BY sensor, tumble('10 seconds')".to_owned(),
        ] {
            assert_eq!(of("a", &sql), of("a", &sql), "{sql}");
            assert_ne!(of("a", &sql), of("b", &sql), "{sql}");
        }
    }

    #[test]
    fn shared_halves_have_each_aggregate_once() {
        let asked = [
            "SELECT src_ip, count(*), sum(octets) FROM packets WHERE dst_port = 53 GROUP BY src_ip",
            "SELECT sum(octets) AS o, quantile(ttl, 0.5), src_ip FROM packets WHERE dst_port = 53 GROUP BY src_ip",
            "SELECT src_ip, quantile(ttl, 0.9), count(*) FILTER (WHERE protocol = 6), count(*) FROM packets
             WHERE dst_port = 53 GROUP BY src_ip",
        ];
        let queries = asked.map(plan);
        assert!(queries.iter().all(|query| query.shape() == queries[0].shape()));
        let shared = share(&queries).unwrap().unwrap();
        let Fold::Aggregate(fold) = &shared.query.lowers[0].fold else { panic!("it folds") };
        assert_eq!(fold.aggregates.len(), 5, "count, sum, two quantiles, a count with a filter");
        assert_eq!(shared.places[0], [vec![0, 1]]);
        assert_eq!(shared.places[1], [vec![1, 2]]);
        assert_eq!(shared.places[2], [vec![3, 4, 0]]);
    }
}
