//! What the columns of a result are: keys of its groups, numbers about them, or something else.
//!
//! Takes a planned query, follows each column of the SELECT list down to the lower halves, gives what it rests on:
//! where an aggregate is among that, the column is about a group; where only keys are, it tells groups apart.

use crate::continuous::{ContinuousQuery, Upper, UpperHalf};
use crate::limits;
use crate::lower::{Fold, LowerHalf};
use crate::partial::{PartialSlot, PartialTable};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::TreeNode as _;
use datafusion::common::{Column, DFSchema, JoinType};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::logical_plan::{Aggregate, Join, Projection, TableScan, Union};
use datafusion::logical_expr::{Distinct, Expr, LogicalPlan};
use std::iter::repeat_n;

/// What a column of a result is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnRole {
    /// It tells groups apart, alone or with others.
    Key,
    /// It is a number about a group.
    Number,
    /// It is something else about a group, or the window.
    Other,
}

/// What a column rests on; where that is several things, the last of them here counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Origin {
    Constant,
    Key,
    Window,
    Aggregate,
}

impl ContinuousQuery {
    /// What each column of the SELECT list is.
    #[must_use]
    pub fn column_roles(&self) -> Vec<ColumnRole> {
        let origins = match &self.upper {
            Upper::Windows(half) => limits::with_stack(|| Halves::of(&self.lowers, half).origins(&half.plan)),
            Upper::Stream { .. } | Upper::Best { .. } => vec![],
        };
        // Rows as they are have no keys.
        let origins = origins.into_iter().chain(repeat_n(Origin::Aggregate, self.schema.fields().len()));
        let fields = self.schema.fields().iter().zip(origins);
        fields.map(|(field, origin)| role(origin, field.data_type())).collect()
    }
}

/// A constant text stands for a branch of a union.
fn role(origin: Origin, data_type: &DataType) -> ColumnRole {
    match (origin, data_type.is_numeric()) {
        (Origin::Key, _) | (Origin::Constant, false) => ColumnRole::Key,
        (Origin::Aggregate | Origin::Constant, true) => ColumnRole::Number,
        (Origin::Aggregate, false) | (Origin::Window, _) => ColumnRole::Other,
    }
}

/// The lower halves of a query, and where the upper half reads each of them.
struct Halves<'a> {
    lowers: &'a [LowerHalf],
    slots: &'a [PartialSlot],
}

impl<'a> Halves<'a> {
    fn of(lowers: &'a [LowerHalf], upper: &'a UpperHalf) -> Self {
        Self { lowers, slots: &upper.slots }
    }

    /// What each column of a plan of the upper half rests on.
    fn origins(&self, plan: &LogicalPlan) -> Vec<Origin> {
        let columns = plan.schema().fields().len();
        match plan {
            LogicalPlan::TableScan(scan) => self.of_scan(scan),
            LogicalPlan::Projection(projection) => self.of_projection(projection),
            LogicalPlan::Aggregate(aggregate) => self.of_aggregate(aggregate),
            LogicalPlan::Join(join) => self.of_join(join),
            LogicalPlan::Union(union) => self.of_union(union, columns),
            LogicalPlan::Window(window) => {
                let over = repeat_n(Origin::Aggregate, window.window_expr.len());
                self.origins(&window.input).into_iter().chain(over).collect()
            }
            LogicalPlan::Filter(filter) => self.origins(&filter.input),
            LogicalPlan::Sort(sort) => self.origins(&sort.input),
            LogicalPlan::Limit(limit) => self.origins(&limit.input),
            LogicalPlan::SubqueryAlias(alias) => self.origins(&alias.input),
            LogicalPlan::Distinct(Distinct::All(input)) => self.origins(input),
            LogicalPlan::Values(_) | LogicalPlan::EmptyRelation(_) => vec![Origin::Constant; columns],
            _ => vec![Origin::Aggregate; columns],
        }
    }

    fn of_scan(&self, scan: &TableScan) -> Vec<Origin> {
        let provider = source_as_provider(&scan.source).ok();
        let table = provider.as_ref().and_then(|provider| provider.downcast_ref::<PartialTable>());
        let place = table.and_then(|table| self.slots.iter().position(|slot| table.reads(slot)));
        let columns = scan.projected_schema.fields().len();
        let Some(lower) = place.and_then(|place| self.lowers.get(place)) else {
            return vec![Origin::Aggregate; columns];
        };
        match &scan.projection {
            Some(projection) => projection.iter().map(|&column| of_output(lower, column)).collect(),
            None => (0..columns).map(|column| of_output(lower, column)).collect(),
        }
    }

    fn of_projection(&self, projection: &Projection) -> Vec<Origin> {
        let (schema, input) = (projection.input.schema(), self.origins(&projection.input));
        projection.expr.iter().map(|one| of_expression(one, schema, &input)).collect()
    }

    fn of_aggregate(&self, aggregate: &Aggregate) -> Vec<Origin> {
        let (schema, input) = (aggregate.input.schema(), self.origins(&aggregate.input));
        let columns = aggregate.schema.fields().len();
        let keys = columns.saturating_sub(aggregate.aggr_expr.len());
        let mut origins = if keys == aggregate.group_expr.len() {
            // Without an aggregate it is DISTINCT, whose columns are what they were.
            let is_distinct = aggregate.aggr_expr.is_empty();
            let of_key = |key: &Expr| match of_expression(key, schema, &input) {
                Origin::Window => Origin::Window,
                other if is_distinct => other,
                _ => Origin::Key,
            };
            aggregate.group_expr.iter().map(of_key).collect()
        } else {
            // GROUPING SETS are one expression with several columns.
            vec![Origin::Key; keys]
        };
        origins.resize(columns, Origin::Aggregate);
        origins
    }

    fn of_join(&self, join: &Join) -> Vec<Origin> {
        let [left, right] = [&join.left, &join.right].map(|side| self.origins(side));
        let mark = [Origin::Aggregate];
        match join.join_type {
            JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => [left, right].concat(),
            JoinType::LeftSemi | JoinType::LeftAnti => left,
            JoinType::RightSemi | JoinType::RightAnti => right,
            JoinType::LeftMark => [&left[..], &mark].concat(),
            JoinType::RightMark => [&right[..], &mark].concat(),
        }
    }

    fn of_union(&self, union: &Union, columns: usize) -> Vec<Origin> {
        let mut all = vec![Origin::Constant; columns];
        for input in &union.inputs {
            let origins = self.origins(input);
            all.iter_mut().zip(origins).for_each(|(all, one)| *all = (*all).max(one));
        }
        all
    }
}

/// What a column that a lower half gives is: keys stand first, the window among them.
fn of_output(lower: &LowerHalf, column: usize) -> Origin {
    let Fold::Aggregate(fold) = &lower.fold else { return Origin::Aggregate };
    let keys = fold.keys.len() + usize::from(fold.window_position.is_some());
    if fold.window_position == Some(column) {
        return Origin::Window;
    }
    if column < keys { Origin::Key } else { Origin::Aggregate }
}

/// What an expression over these columns rests on.
fn of_expression(expression: &Expr, schema: &DFSchema, input: &[Origin]) -> Origin {
    let asks =
        |part: &Expr| Ok(matches!(part, Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_)));
    if expression.exists(asks).unwrap_or(true) {
        return Origin::Aggregate;
    }
    let of_column = |column: &Column| {
        let place = schema.maybe_index_of_column(column);
        place.and_then(|place| input.get(place)).copied().unwrap_or(Origin::Aggregate)
    };
    expression.column_refs().into_iter().map(of_column).max().unwrap_or(Origin::Constant)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Planner;
    use ColumnRole::{Key, Number, Other};

    fn roles(sql: &str) -> Vec<ColumnRole> {
        Planner::new().plan(sql).unwrap().column_roles()
    }

    #[test]
    fn keys_are_what_groups_are_told_apart_by() {
        let cases: [(&str, &[ColumnRole]); 9] = [
            (
                "SELECT src_ip, dst_port, count(*) AS n, avg(octets) AS mean FROM flows GROUP BY src_ip, dst_port, tumble('1 second')",
                &[Key, Key, Number, Number],
            ),
            (
                "SELECT max(octets) AS most, protocol_name(protocol) AS protocol, max(ts) AS last FROM flows GROUP BY protocol, tumble('1 second')",
                &[Number, Key, Other],
            ),
            (
                "SELECT dst_port + 1 AS next, 2 * count(*) AS n FROM flows GROUP BY dst_port, tumble('1 second') HAVING count(*) > 1 ORDER BY n DESC LIMIT 5",
                &[Key, Number],
            ),
            ("SELECT count(*) AS n, 'all' AS what FROM flows GROUP BY tumble('1 second')", &[Number, Key]),
            (
                "SELECT src_ip, count(*) AS probes FROM (SELECT src_ip, dst_ip FROM flows GROUP BY src_ip, dst_ip, tumble('1 second')) GROUP BY src_ip",
                &[Key, Number],
            ),
            (
                "SELECT src_ip, count(DISTINCT dst_ip) AS targets, sum(octets) AS octets FROM flows GROUP BY src_ip, tumble('1 second')",
                &[Key, Number, Number],
            ),
            (
                "SELECT 'tcp' AS way, sum(octets) AS octets FROM flows WHERE protocol = 6 GROUP BY tumble('1 second') UNION ALL SELECT 'udp', sum(octets) FROM flows WHERE protocol = 17 GROUP BY tumble('1 second')",
                &[Key, Number],
            ),
            (
                "SELECT src_ip, n, rank() OVER (ORDER BY n DESC) AS place FROM (SELECT src_ip, count(*) AS n FROM flows GROUP BY src_ip, tumble('1 second'))",
                &[Key, Number, Number],
            ),
            ("SELECT src_ip, octets FROM flows", &[Other, Number]),
        ];
        for (sql, expected) in cases {
            assert_eq!(roles(sql), expected, "{sql}");
        }
    }
}
