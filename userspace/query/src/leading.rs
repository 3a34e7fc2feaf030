//! What of a lower half others may have, too: what its rows must be, and by what they are told apart.
//!
//! Takes branches and folds, whose expressions name places behind steps; gives expressions over columns of the stream,
//! which are equal where they compute the same of the same rows. Whoever runs several halves computes each of them once.
//! Parts of a condition are told apart only where none of them can fail: else the one may keep rows from the other that
//! it cannot be computed of.

use crate::lower::{Aggregate, Branch, LowerHalf, Step};
use crate::share::{Named, add_columns, named, names_of, picked, placed, placed_aggregate};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{
    BinaryExpr, Column, InListExpr, IsNotNullExpr, IsNullExpr, Literal, NotExpr,
};
use datafusion::physical_expr::{PhysicalExpr, split_conjunction};
use datafusion::physical_expr_common::physical_expr::is_volatile;
use std::collections::BTreeSet;
use std::sync::Arc;
use tapline_record::StreamId;

type Expression = Arc<dyn PhysicalExpr>;

/// What is computed of each row of a stream, whichever columns its batches have.
#[derive(Clone, Debug)]
pub struct StreamExpression {
    /// Positions in the stream of the columns that it reads, ascending.
    pub columns: Vec<usize>,
    /// The expression over these, in their order.
    pub expression: Expression,
}

/// What must be true of a row.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// What is computed of it.
    pub expression: StreamExpression,
    /// Whether that has a value for any row, so that it may be computed of rows that are left out anyway.
    pub is_total: bool,
}

/// The first steps of a branch, which compute nothing that goes on; and those that follow.
#[derive(Clone, Debug)]
pub struct LeadingSteps {
    /// Rows for which all of these are true go on; they are asked one after the other.
    pub conditions: Vec<Condition>,
    /// Positions in the stream of the columns that rows have then.
    pub columns: Vec<usize>,
    /// What these are called then, where that is not what the stream calls them.
    pub schema: Option<SchemaRef>,
    /// The steps that follow.
    pub steps: Vec<Step>,
}

/// What is computed of rows of one stream that are told apart by keys.
#[derive(Clone, Debug)]
pub struct Grouping {
    /// The stream.
    pub stream: StreamId,
    /// The keys, without those that are the same in all rows.
    pub keys: Vec<StreamExpression>,
    /// Positions in the stream of the columns that the aggregates read, and of the one that says how many packets a row
    /// is, ascending.
    pub columns: Vec<usize>,
    /// The aggregates over these columns.
    pub aggregates: Vec<Aggregate>,
    /// Where among these columns stands how many packets a row is; `None` where it is one record.
    pub packets: Option<usize>,
}

impl PartialEq for StreamExpression {
    fn eq(&self, other: &Self) -> bool {
        self.columns == other.columns && self.expression.eq(&other.expression)
    }
}

impl StreamExpression {
    /// Of an expression whose columns are named by their positions in the stream; `None` where DataFusion refuses it.
    fn of(named: &Expression) -> Option<Self> {
        let mut columns = BTreeSet::new();
        add_columns(named, &mut columns);
        let columns: Vec<usize> = columns.into_iter().collect();
        let expression = placed(named, &columns).ok()?;
        Some(Self { columns, expression })
    }
}

impl Branch {
    /// Its conditions, and what comes behind them.
    #[must_use]
    pub fn leading_steps(&self) -> LeadingSteps {
        let mut behind = names_of(self);
        let (mut conditions, mut schema, mut steps) = (vec![], None, self.steps.as_slice());
        while let Some((step, rest)) = steps.split_first()
            && let Some(found) = lead(step, &mut behind)
        {
            match found {
                Leading::Conditions(found) => conditions.extend(found),
                Leading::Columns(found) => schema = Some(found),
            }
            steps = rest;
        }
        let columns = behind.iter().filter_map(|column| Some(column.downcast_ref::<Column>()?.index()));
        LeadingSteps { conditions, columns: columns.collect(), schema, steps: steps.to_vec() }
    }
}

/// What a step is that leads.
enum Leading {
    Conditions(Vec<Condition>),
    Columns(SchemaRef),
}

/// Takes a step that only leaves out rows or columns.
fn lead(step: &Step, behind: &mut Vec<Expression>) -> Option<Leading> {
    match step {
        Step::Filter(predicate) => conditions_of(predicate, behind).map(Leading::Conditions),
        Step::Project(expressions, schema) => {
            *behind = picked(expressions, behind)?;
            Some(Leading::Columns(Arc::clone(schema)))
        }
    }
}

/// The conditions of a predicate: those that stand side by side in it, where all of them have a value for any row, else
/// it as a whole.
fn conditions_of(predicate: &Expression, behind: &[Expression]) -> Option<Vec<Condition>> {
    let predicate = named(predicate, behind).filter(|predicate| !is_volatile(predicate))?;
    let parts = split_conjunction(&predicate);
    let is_total = parts.iter().all(|part| is_total(part));
    let parts = if is_total { parts } else { vec![&predicate] };
    let condition = |part| Some(Condition { expression: StreamExpression::of(part)?, is_total });
    parts.into_iter().map(condition).collect()
}

/// Whether it has a value for any row: it compares what is there.
fn is_total(expression: &Expression) -> bool {
    let compares = |both: &BinaryExpr| {
        matches!(
            both.op(),
            Operator::Eq
                | Operator::NotEq
                | Operator::Lt
                | Operator::LtEq
                | Operator::Gt
                | Operator::GtEq
                | Operator::IsDistinctFrom
                | Operator::IsNotDistinctFrom
                | Operator::And
                | Operator::Or
        )
    };
    let is_itself = expression.is::<Column>()
        || expression.is::<Literal>()
        || expression.is::<IsNullExpr>()
        || expression.is::<IsNotNullExpr>()
        || expression.is::<NotExpr>()
        || expression.is::<InListExpr>()
        || expression.downcast_ref::<BinaryExpr>().is_some_and(compares);
    is_itself && expression.children().into_iter().all(is_total)
}

impl LowerHalf {
    /// Its keys and aggregates, where its rows are of one stream, and nothing is computed of them on the way.
    #[must_use]
    pub fn grouping(&self) -> Option<Grouping> {
        let Named { stream, keys, aggregates, packets, .. } = Named::of(self)?;
        if keys.iter().any(is_volatile) {
            return None;
        }
        let keys = keys.iter().filter(|key| !key.is::<Literal>()).map(StreamExpression::of);
        let keys = keys.collect::<Option<_>>()?;
        let mut columns: BTreeSet<usize> = packets.into_iter().collect();
        for aggregate in aggregates.iter().map(|named| &named.aggregate) {
            let read = aggregate.arguments.iter().chain(&aggregate.filter);
            read.for_each(|one| add_columns(one, &mut columns));
        }
        let columns: Vec<usize> = columns.into_iter().collect();
        let aggregates = aggregates.iter().map(|named| placed_aggregate(&named.aggregate, &columns).ok());
        let aggregates = aggregates.collect::<Option<_>>()?;
        let packets = packets.and_then(|packets| columns.iter().position(|column| *column == packets));
        Some(Grouping { stream: stream.id, keys, columns, aggregates, packets })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Planner;
    use tapline_record::{PACKETS, PacketColumn};

    fn half(sql: &str) -> LowerHalf {
        let mut query = Planner::new().plan(sql).unwrap_or_else(|error| panic!("{sql}\n{error}"));
        query.lowers.swap_remove(0)
    }

    fn conditions(sql: &str) -> Vec<Condition> {
        half(sql).branches[0].leading_steps().conditions
    }

    #[test]
    fn what_stands_side_by_side_is_asked_by_itself() {
        let both = conditions(
            "SELECT src_ip, count(*) FROM packets WHERE protocol = 17 AND dst_port < 1024 GROUP BY src_ip",
        );
        let one =
            conditions("SELECT src_port, sum(octets) FROM packets WHERE dst_port < 1024 GROUP BY src_port");
        assert_eq!((both.len(), one.len()), (2, 1));
        assert!(both.iter().chain(&one).all(|condition| condition.is_total));
        assert_eq!(both.iter().filter(|condition| **condition == one[0]).count(), 1);
        assert_eq!(one[0].expression.columns, [PacketColumn::DstPort as usize]);
        let rows = conditions("SELECT src_ip FROM packets WHERE dst_port < 1024");
        assert_eq!(rows, one, "a condition is the same wherever its columns stand");
    }

    #[test]
    fn what_may_fail_stays_with_what_stands_beside_it() {
        for condition in ["octets <> 0 AND 1000 / octets > 3", "1000 / octets > 3"] {
            let found = conditions(&format!("SELECT count(*) FROM packets WHERE {condition}"));
            assert!(matches!(&found[..], [Condition { is_total: false, .. }]), "{condition}: {found:?}");
        }
    }

    #[test]
    fn what_is_computed_on_the_way_comes_behind_them() {
        let half = half(
            "SELECT size, count(*) FROM (SELECT octets / 64 AS size, ttl FROM packets WHERE ttl > 3)
             WHERE size > 1 GROUP BY size",
        );
        let (leading, steps) = (half.branches[0].leading_steps(), half.branches[0].steps.len());
        let names: Vec<&str> = leading.columns.iter().map(|column| PACKETS.columns[*column].name).collect();
        assert!(names.contains(&"octets"), "{names:?}");
        assert!(leading.steps.len() < steps, "{} of {steps} steps are left", leading.steps.len());
        assert!(!leading.conditions.is_empty());
    }

    #[test]
    fn keys_are_the_same_behind_other_conditions_and_beside_other_aggregates() {
        let grouping = |sql: &str| half(sql).grouping().unwrap();
        let one = grouping(
            "SELECT src_ip, dst_port, count(*) FROM packets WHERE protocol = 6 GROUP BY src_ip, dst_port",
        );
        let other = grouping(
            "SELECT dst_port, max(ttl), src_ip FROM packets WHERE octets > 5
             GROUP BY src_ip, dst_port, tumble('1 second')",
        );
        assert_eq!(one.keys, other.keys);
        assert!(one.columns.is_empty(), "{:?}", one.columns);
        assert_eq!(other.columns, [PacketColumn::Ttl as usize]);
        let union =
            "SELECT ip, count(*) FROM (SELECT src_ip AS ip FROM packets UNION ALL SELECT dst_ip FROM packets)
                     GROUP BY ip";
        assert!(half(union).grouping().is_none());
    }
}
