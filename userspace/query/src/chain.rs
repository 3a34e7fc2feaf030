//! A branch while it is compiled, in which the values of a node stand in the place of its columns.
//!
//! A plan is the same on all nodes; what is executed of it is not: no source builds the columns that say who a node is.
//! Takes the steps of a branch as the plan has them, gives them with values in the place of these columns, and without
//! what comes of that: a condition that always holds is no step, one that never does leaves no branch, and what is
//! computed of values alone is a value, too. A branch that names no such column is compiled as it is planned.

use crate::identity::Identity;
use crate::lower::{Aggregate, AggregateFold, Branch, Step};
use datafusion::arrow::array::{Array as _, RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{ColumnarValue, Operator, Volatility};
use datafusion::physical_expr::expressions::{BinaryExpr, Column, Literal};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr, split_conjunction};
use std::sync::Arc;
use tapline_record::{IdentityColumn, Stream};

type Expression = Arc<dyn PhysicalExpr>;

/// A branch, and what stands in it for each column that the plan has behind its last step.
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    branch: Branch,
    behind: Vec<Behind>,
}

/// What stands for a column of the plan.
#[derive(Clone, Debug, PartialEq)]
enum Behind {
    /// The column at this place.
    Column(usize),
    /// The same value in all rows.
    Value(ScalarValue),
}

impl Chain {
    /// A branch without steps, over columns of a stream; without an identity, there are values for none of them.
    pub(crate) fn new(stream: &'static Stream, columns: &[usize], identity: Option<&Identity>) -> Self {
        let (mut built, mut behind) = (vec![], vec![]);
        for &column in columns {
            if let Some((identity, column)) = identity.zip(IdentityColumn::at(column)) {
                behind.push(Behind::Value(identity.value(column)));
            } else {
                behind.push(Behind::Column(built.len()));
                built.push(column);
            }
        }
        Self { branch: Branch { stream, columns: built, steps: vec![], packets: None }, behind }
    }

    /// Whether each column of the plan stands where the plan has it.
    fn is_as_planned(&self) -> bool {
        self.behind.iter().enumerate().all(|(place, behind)| *behind == Behind::Column(place))
    }

    /// The branch with a condition; `None` where no row ever meets it.
    ///
    /// # Errors
    /// Only when DataFusion refuses a value in the place of a column.
    pub(crate) fn filtered(mut self, predicate: &Expression) -> Result<Option<Self>> {
        let predicate = self.placed(predicate)?;
        if !self.is_as_planned() {
            if split_conjunction(&predicate).into_iter().any(is_never_met) {
                return Ok(None);
            }
            if truth(&predicate) == Some(true) {
                return Ok(Some(self));
            }
        }
        self.branch.steps.push(Step::Filter(predicate));
        Ok(Some(self))
    }

    /// The branch with a projection, which gives the columns of this schema; values are not computed row by row.
    ///
    /// # Errors
    /// As above.
    pub(crate) fn projected(mut self, expressions: &[Expression], schema: &SchemaRef) -> Result<Self> {
        let has_values = !self.is_as_planned();
        let (mut computed, mut fields, mut behind) = (vec![], vec![], vec![]);
        for (expression, field) in expressions.iter().zip(schema.fields()) {
            let expression = self.placed(expression)?;
            if let Some(value) = value_of(&expression).filter(|_| has_values) {
                behind.push(Behind::Value(value.clone()));
            } else {
                behind.push(Behind::Column(computed.len()));
                computed.push(expression);
                fields.push(Arc::clone(field));
            }
        }
        self.branch.steps.push(Step::Project(computed, Arc::new(Schema::new(fields))));
        self.behind = behind;
        Ok(self)
    }

    /// Branches behind which all columns of this schema stand, as the plan has them.
    pub(crate) fn finish(chains: Vec<Self>, schema: &SchemaRef) -> Vec<Branch> {
        chains.into_iter().map(|chain| chain.with_all_columns(schema)).collect()
    }

    fn with_all_columns(mut self, schema: &SchemaRef) -> Branch {
        if !self.is_as_planned() {
            let columns = self.behind.iter().zip(schema.fields()).map(|(behind, field)| match behind {
                Behind::Column(place) => Arc::new(Column::new(field.name(), *place)) as Expression,
                Behind::Value(value) => Arc::new(Literal::new(value.clone())),
            });
            let columns = columns.collect();
            self.branch.steps.push(Step::Project(columns, Arc::clone(schema)));
        }
        self.branch
    }

    /// Branches, and a fold over the columns behind them, of which the plan has these. Where all branches have the same
    /// values, they stand in the fold.
    ///
    /// # Errors
    /// As above.
    pub(crate) fn folded(
        chains: Vec<Self>,
        fold: AggregateFold,
        schema: &SchemaRef,
    ) -> Result<(Vec<Branch>, AggregateFold)> {
        match chains.first() {
            Some(first) if chains.iter().all(|chain| chain.behind == first.behind) => {
                let fold = first.placed_fold(fold)?;
                Ok((chains.into_iter().map(|chain| chain.branch).collect(), fold))
            }
            _ => Ok((Self::finish(chains, schema), fold)),
        }
    }

    fn placed_fold(&self, fold: AggregateFold) -> Result<AggregateFold> {
        let all = |expressions: &[Expression]| -> Result<Vec<Expression>> {
            expressions.iter().map(|one| self.placed(one)).collect()
        };
        let aggregate = |aggregate: Aggregate| {
            let arguments = all(&aggregate.arguments)?;
            let filter = aggregate.filter.as_ref().map(|filter| self.placed(filter)).transpose()?;
            Ok(Aggregate { arguments, filter, ..aggregate })
        };
        let keys = all(&fold.keys)?;
        let aggregates = fold.aggregates.into_iter().map(aggregate).collect::<Result<_>>()?;
        Ok(AggregateFold { keys, aggregates, ..fold })
    }

    /// The expression over what stands for the columns that it reads.
    fn placed(&self, expression: &Expression) -> Result<Expression> {
        if self.is_as_planned() {
            return Ok(Arc::clone(expression));
        }
        let placed = |node: Expression| match node.downcast_ref::<Column>() {
            None => folded(node),
            Some(column) => match self.standing_for(column) {
                Some(other) => Ok(Transformed::yes(other)),
                None => Ok(Transformed::no(node)),
            },
        };
        Arc::clone(expression).transform_up(placed).map(|transformed| transformed.data)
    }

    /// What stands for a column of the plan, where it is not the column itself.
    fn standing_for(&self, column: &Column) -> Option<Expression> {
        match self.behind.get(column.index())? {
            Behind::Value(value) => Some(Arc::new(Literal::new(value.clone()))),
            Behind::Column(place) if *place == column.index() => None,
            Behind::Column(place) => Some(Arc::new(Column::new(column.name(), *place))),
        }
    }
}

/// The same expression, or its value, where it rests on values alone; of a conjunction or disjunction what is left of it.
fn folded(node: Expression) -> Result<Transformed<Expression>> {
    if let Some(left) = left_of(&node) {
        return Ok(Transformed::yes(left));
    }
    if !rests_on_values(&node) || may_change(&node) {
        return Ok(Transformed::no(node));
    }
    // What cannot be computed may never be asked for.
    match node.evaluate(&one_row()?) {
        Ok(ColumnarValue::Scalar(value)) => Ok(Transformed::yes(Arc::new(Literal::new(value)))),
        Ok(ColumnarValue::Array(values)) if values.len() == 1 => {
            Ok(Transformed::yes(Arc::new(Literal::new(ScalarValue::try_from_array(&values, 0)?))))
        }
        Ok(ColumnarValue::Array(_)) | Err(_) => Ok(Transformed::no(node)),
    }
}

fn rests_on_values(node: &Expression) -> bool {
    let children = node.children();
    !children.is_empty() && children.into_iter().all(|child| child.is::<Literal>())
}

/// Whether it may give something else another time: what is looked up may.
fn may_change(node: &Expression) -> bool {
    let call = node.downcast_ref::<ScalarFunctionExpr>();
    node.is_volatile_node()
        || call.is_some_and(|call| call.fun().signature().volatility != Volatility::Immutable)
}

/// What is left of a conjunction or disjunction, one side of which is true or false.
fn left_of(node: &Expression) -> Option<Expression> {
    let both = node.downcast_ref::<BinaryExpr>()?;
    let decides = match both.op() {
        Operator::And => false,
        Operator::Or => true,
        _ => return None,
    };
    let left = |side, other| truth(side).map(|truth| if truth == decides { side } else { other });
    left(both.left(), both.right()).or_else(|| left(both.right(), both.left())).cloned()
}

fn value_of(expression: &Expression) -> Option<&ScalarValue> {
    expression.downcast_ref::<Literal>().map(Literal::value)
}

/// Whether it is true, if it is a value.
fn truth(expression: &Expression) -> Option<bool> {
    match value_of(expression)? {
        ScalarValue::Boolean(truth) => *truth,
        _ => None,
    }
}

/// Whether it is false or NULL in all rows.
fn is_never_met(condition: &Expression) -> bool {
    value_of(condition).is_some_and(|value| value.is_null() || truth(condition) == Some(false))
}

/// A batch of one row without columns.
fn one_row() -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(1));
    Ok(RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lower::Fold;
    use crate::{ContinuousQuery, FlowTable, Planner, STREAMS};
    use tapline_record::PACKETS;

    const NORTH: &str = "north";

    fn planner(site: Option<&str>) -> Planner {
        let identity = Identity { sensor: "pop-1".to_owned(), site: site.map(str::to_owned) };
        Planner::new().with_identity(identity)
    }

    fn plan(sql: &str) -> ContinuousQuery {
        planner(Some(NORTH)).plan(sql).unwrap_or_else(|error| panic!("{sql}\n{error}"))
    }

    /// The names of the columns of packets that are built.
    fn built(query: &ContinuousQuery) -> Option<Vec<String>> {
        let columns = query.columns_of(&PACKETS)?;
        Some(columns.iter().map(|&column| PACKETS.field(column).name().clone()).collect())
    }

    #[test]
    fn values_of_the_node_are_literal_keys_and_are_not_built() {
        let query = plan(
            "SELECT sensor, src_ip, upper(site) AS place, count(*) FROM packets
             GROUP BY sensor, src_ip, place, tumble('10 seconds')",
        );
        assert_eq!(built(&query).unwrap(), ["ts", "src_ip"]);
        let Fold::Aggregate(fold) = &query.lowers[0].fold else { panic!("it counts") };
        let keys: Vec<Option<&ScalarValue>> = fold.keys.iter().map(value_of).collect();
        let text = |text: &str| ScalarValue::from(text);
        assert_eq!(keys, [Some(&text("pop-1")), None, Some(&text("NORTH"))]);
        let steps = &query.lowers[0].branches[0].steps;
        let are_computed = |step: &Step| matches!(step, Step::Project(columns, _) if columns.len() > 1);
        assert!(!steps.iter().any(are_computed), "{steps:?}");
    }

    #[test]
    fn the_plan_is_the_same_on_all_nodes() {
        let sql =
            "SELECT sensor, count(*) FROM packets WHERE site = 'north' GROUP BY sensor, tumble('1 second')";
        let text = |planner: &Planner| planner.plan(sql).unwrap().lowers[0].plan.display_indent().to_string();
        let plans = [planner(None), planner(Some(NORTH)), Planner::new()];
        assert!(plans.iter().all(|planner| text(planner) == text(&plans[0])), "{}", text(&plans[0]));
        let of_all = Planner::new().plan(sql).unwrap();
        let Fold::Aggregate(fold) = &of_all.lowers[0].fold else { panic!("it counts") };
        assert!(fold.keys[0].is::<Column>(), "where states of several nodes are merged, it is a key as any");
    }

    #[test]
    fn every_stream_has_these_columns() {
        for stream in STREAMS {
            let query = plan(&format!("SELECT *, sensor || site AS who FROM {}", stream.name));
            let names: Vec<&str> = query.schema.fields().iter().map(|field| field.name().as_str()).collect();
            assert_eq!(names[stream.columns.len()..], ["sensor", "site", "who"]);
            assert_eq!(query.columns_of(stream).unwrap().len(), stream.columns.len());
        }
    }

    #[test]
    fn what_is_looked_up_may_change() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sensors.csv");
        std::fs::write(&file, "name,room\npop-1,cellar\n").unwrap();
        let file = format!("sensors={}", file.display()).parse().unwrap();
        let tables = Arc::new(tapline_lookup::Tables::open(vec![file]).unwrap());
        let identity = Identity { sensor: "pop-1".to_owned(), site: None };
        let planner = Planner::with_tables(&tables).with_identity(identity);
        let sql = "SELECT lookup('sensors', sensor) AS room, count(*) FROM packets GROUP BY 1";
        let query = planner.plan(sql).unwrap();
        let Fold::Aggregate(fold) = &query.lowers[0].fold else { panic!("it counts") };
        assert_eq!((value_of(&fold.keys[0]), built(&query)), (None, Some(vec![])));
    }

    #[test]
    fn what_is_not_of_this_node_is_not_read() {
        for condition in [
            "sensor = 'pop-2'",
            "sensor LIKE 'lab-%' AND dst_port = 53",
            "dst_port = 53 AND site IN ('east', 'south')",
            "(sensor = 'pop-2' AND src_port = 53) OR (site <> 'north' AND dst_port = 53)",
            "NOT (site = 'north')",
        ] {
            let sql = format!("SELECT count(*) FROM packets WHERE {condition}");
            let query = plan(&sql);
            assert_eq!((built(&query), query.lowers[0].branches.len()), (None, 0), "{sql}");
        }
        let unsaid = planner(None).plan("SELECT src_ip FROM packets WHERE site <> 'north'").unwrap();
        assert_eq!(built(&unsaid), None, "a site that is not said is no other one");
    }

    #[test]
    fn conditions_that_hold_for_this_node_cost_nothing() {
        for (condition, columns, filters) in [
            ("sensor = 'pop-1'", &[][..], 0),
            ("site IS NOT NULL AND sensor <> 'pop-2'", &[], 0),
            ("sensor LIKE 'pop-%' AND dst_port = 53", &["dst_port"], 1),
            ("(sensor = 'pop-1' AND dst_port = 53) OR (sensor = 'x' AND dst_port = 80)", &["dst_port"], 1),
            ("dst_port = 53 OR site = 'north'", &["dst_port"], 0),
        ] {
            let sql = format!("SELECT count(*) FROM packets WHERE {condition}");
            let query = plan(&sql);
            assert_eq!(built(&query).unwrap(), columns, "{sql}");
            let steps = &query.lowers[0].branches[0].steps;
            assert_eq!(steps.iter().filter(|step| matches!(step, Step::Filter(_))).count(), filters, "{sql}");
        }
    }

    #[test]
    fn rows_and_unions_have_all_columns() {
        let names = |sql: &str| {
            let query = plan(sql);
            let last = query.lowers[0].branches.iter().map(|branch| branch.steps.last().cloned());
            let width = |step| match step {
                Some(Step::Project(columns, _)) => columns.len(),
                other => panic!("{sql}: {other:?}"),
            };
            last.map(width).collect::<Vec<_>>()
        };
        assert_eq!(names("SELECT site, src_ip, sensor FROM packets"), [3]);
        let union = "SELECT who, count(*) FROM (SELECT sensor AS who FROM packets UNION ALL
                     SELECT text(src_ip) FROM packets) GROUP BY who";
        assert_eq!(names(union), [1, 1]);
    }

    #[test]
    fn flow_tables_answer_for_a_node() {
        for sql in [
            "SELECT sensor, site, src_ip, sum(octets) FROM packets
             GROUP BY sensor, site, src_ip, tumble('1 second')",
            "SELECT sensor, count(*), count(site), min(sensor) FROM packets WHERE site = 'north'
             GROUP BY sensor",
            "SELECT who, sum(o) FROM (SELECT sensor AS who, octets AS o FROM packets UNION ALL
             SELECT text(dst_ip), octets FROM packets) GROUP BY who",
        ] {
            let (query, reasons) = plan(sql).over_packet_flows(FlowTable::Kernel);
            assert_eq!((query.flow_table, &reasons[0]), (Some(FlowTable::Kernel), &None), "{sql}");
        }
        let query = planner(None).plan("SELECT count(site) AS n FROM packets GROUP BY tumble('1 second')");
        let (query, _) = query.unwrap().over_packet_flows(FlowTable::Kernel);
        let Fold::Aggregate(fold) = &query.lowers[0].fold else { panic!("it counts") };
        assert!(fold.aggregates[0].filter.is_some(), "of what is NULL nothing is counted");
        // Whoever plans for several nodes reads none of them.
        let of_all = Planner::new().plan("SELECT sensor, count(*) FROM packets GROUP BY sensor").unwrap();
        let (_, reasons) = of_all.over_packet_flows(FlowTable::Kernel);
        assert_eq!(reasons[0].as_deref(), Some("sensor is no key of the kernel's flow table"));
    }
}
