//! How the results of adjacent windows become those of one window around them.
//!
//! Takes a planned query, gives for each column of the SELECT list what is done with its values, so that the outcome is
//! what the query would have given with the wider window; or says why nothing does that. Only a query whose upper half
//! passes on what its one aggregate gives can be rolled up: where groups were left out, or numbers were computed from
//! others, results do not hold what is needed.

use crate::continuous::{ContinuousQuery, Upper};
use crate::limits;
use crate::lower::{Aggregate, AggregateFold, Fold};
use crate::window::Window;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::common::tree_node::TreeNode as _;
use datafusion::logical_expr::logical_plan::Projection;
use datafusion::logical_expr::{Expr, LogicalPlan};

/// What is done with a column of the SELECT list when windows are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RolledColumn {
    /// It tells groups apart: rows of equal values become one.
    Key,
    /// It is the start of the window.
    Window,
    /// Values are added up.
    Sum,
    /// The least value stays.
    Least,
    /// The greatest value stays.
    Greatest,
}

/// What a column of a plan is.
#[derive(Clone, Debug)]
enum Origin {
    /// The key of this number, as it is.
    Key(usize),
    /// It is the same in all rows of a group.
    OfKeys,
    Window,
    Aggregate(RolledColumn),
    /// It cannot be rolled up; why.
    Lost(String),
}

impl ContinuousQuery {
    /// Its windows' width in nanoseconds, where they are adjacent.
    #[must_use]
    pub const fn tumbling_width(&self) -> Option<i64> {
        match self.window {
            Some(Window::Tumble { size }) => Some(size),
            Some(Window::Hop { .. } | Window::Rows { .. }) | None => None,
        }
    }

    /// What is done with each column of the SELECT list when windows are put together.
    ///
    /// # Errors
    /// Why its results cannot be rolled up, as the end of a sentence.
    pub fn rolled_columns(&self) -> Result<Vec<RolledColumn>, String> {
        if self.tumbling_width().is_none() {
            return Err(
                "only adjacent windows of time, as of tumble('60 seconds'), can be put together".to_owned()
            );
        }
        if self.gives_rows() {
            return Err("they are rows as they came".to_owned());
        }
        let (Upper::Windows(half), [lower]) = (&self.upper, self.lowers.as_slice()) else {
            return Err("they rest on several aggregates".to_owned());
        };
        let Fold::Aggregate(fold) = &lower.fold else { return Err("they rest on no aggregate".to_owned()) };
        let origins = limits::with_stack(|| origins(&half.plan, fold))?;
        let has_key =
            |key: usize| origins.iter().any(|origin| matches!(origin, Origin::Key(of) if *of == key));
        if !(0..fold.keys.len()).all(has_key) {
            return Err("a key of GROUP BY is not in the SELECT list".to_owned());
        }
        origins.into_iter().map(rolled).collect()
    }
}

fn rolled(origin: Origin) -> Result<RolledColumn, String> {
    match origin {
        Origin::Key(_) | Origin::OfKeys => Ok(RolledColumn::Key),
        Origin::Window => Ok(RolledColumn::Window),
        Origin::Aggregate(rolled) => Ok(rolled),
        Origin::Lost(why) => Err(why),
    }
}

/// What each column of a plan of the upper half is, where all groups are still there.
fn origins(plan: &LogicalPlan, fold: &AggregateFold) -> Result<Vec<Origin>, String> {
    match plan {
        LogicalPlan::TableScan(scan) => {
            let columns = 0..fold.output_schema.fields().len();
            let columns = scan.projection.clone().unwrap_or_else(|| columns.collect());
            Ok(columns.into_iter().map(|column| of_output(fold, column)).collect())
        }
        LogicalPlan::Projection(projection) => of_projection(projection, fold),
        LogicalPlan::SubqueryAlias(alias) => origins(&alias.input, fold),
        LogicalPlan::Sort(sort) if sort.fetch.is_none() => origins(&sort.input, fold),
        LogicalPlan::Sort(_) | LogicalPlan::Limit(_) => Err("LIMIT leaves groups out".to_owned()),
        LogicalPlan::Filter(_) => Err("HAVING leaves groups out".to_owned()),
        _ => Err("they rest on more than one aggregate".to_owned()),
    }
}

fn of_projection(projection: &Projection, fold: &AggregateFold) -> Result<Vec<Origin>, String> {
    let (schema, input) = (projection.input.schema(), origins(&projection.input, fold)?);
    Ok(projection.expr.iter().map(|one| of_expression(one, schema, &input)).collect())
}

/// What a column that the aggregate gives is: keys stand first, the window among them.
fn of_output(fold: &AggregateFold, column: usize) -> Origin {
    let groups = fold.keys.len() + usize::from(fold.window_position.is_some());
    match fold.window_position {
        Some(window) if column == window => Origin::Window,
        Some(window) if column < groups => Origin::Key(column - usize::from(column > window)),
        None if column < groups => Origin::Key(column),
        Some(_) | None => match fold.aggregates.get(column - groups) {
            Some(aggregate) => of_aggregate(aggregate),
            None => Origin::Lost("a column is of nothing that is known".to_owned()),
        },
    }
}

fn of_aggregate(aggregate: &Aggregate) -> Origin {
    let (name, field) = (aggregate.function.fun().name(), aggregate.function.field());
    let data_type = field.data_type();
    match name {
        "count" => Origin::Aggregate(RolledColumn::Sum),
        "sum" if matches!(data_type, DataType::Int64 | DataType::Float64) => {
            Origin::Aggregate(RolledColumn::Sum)
        }
        "min" if keeps_its_order(data_type) => Origin::Aggregate(RolledColumn::Least),
        "max" if keeps_its_order(data_type) => Origin::Aggregate(RolledColumn::Greatest),
        "avg" => Origin::Lost("avg needs its sum and its count: store sum(x) and count(x)".to_owned()),
        "sum" | "min" | "max" => {
            Origin::Lost(format!("what {name} gives is stored as text, which is in another order"))
        }
        other => Origin::Lost(format!("what {other} gives cannot be put together")),
    }
}

/// Whether values are stored so that a greater one is greater; no engine has numbers of more than 38 digits.
fn keeps_its_order(data_type: &DataType) -> bool {
    (data_type.is_numeric() && !matches!(data_type, DataType::Decimal256(..)))
        || data_type.is_string()
        || matches!(data_type, DataType::Timestamp(..) | DataType::Date32 | DataType::Boolean)
}

/// What an expression over these columns is.
fn of_expression(expression: &Expr, schema: &DFSchema, input: &[Origin]) -> Origin {
    let at = |place: Option<usize>| place.and_then(|place| input.get(place));
    match expression {
        Expr::Alias(alias) => return of_expression(&alias.expr, schema, input),
        Expr::Column(column) => {
            let found = at(schema.maybe_index_of_column(column)).cloned();
            return found.unwrap_or_else(|| Origin::Lost(format!("{column} is not known")));
        }
        _ => {}
    }
    let asks =
        |part: &Expr| Ok(matches!(part, Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_)));
    let is_of_keys = |origin: Option<&Origin>| matches!(origin, Some(Origin::Key(_) | Origin::OfKeys));
    let mut columns = expression.column_refs().into_iter();
    let are_keys = columns.all(|column| is_of_keys(at(schema.maybe_index_of_column(column))));
    if are_keys && !expression.exists(asks).unwrap_or(true) && !expression.is_volatile() {
        return Origin::OfKeys;
    }
    Origin::Lost("a column is computed from aggregates: store these themselves".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Planner;
    use RolledColumn::{Greatest, Key, Least, Sum};

    fn rolled(sql: &str) -> Result<Vec<RolledColumn>, String> {
        Planner::new().plan(sql).unwrap().rolled_columns()
    }

    #[test]
    fn what_an_aggregate_gives_is_rolled_up() {
        let cases: [(&str, &[RolledColumn]); 6] = [
            (
                "SELECT src_ip, dst_port, count(*) AS n, sum(octets) AS octets FROM flows GROUP BY src_ip, dst_port, tumble('1 minute')",
                &[Key, Key, Sum, Sum],
            ),
            (
                "SELECT max(octets), protocol, min(ts) AS first, protocol_name(protocol) AS name FROM flows GROUP BY tumble('1 minute'), protocol",
                &[Greatest, Key, Least, Key],
            ),
            ("SELECT count(*) AS n, 'all' AS what FROM packets GROUP BY tumble('1 second')", &[Sum, Key]),
            (
                "SELECT dst_port, count(*) FILTER (WHERE protocol = 6) AS n FROM flows GROUP BY dst_port, tumble('1 minute') ORDER BY n",
                &[Key, Sum],
            ),
            (
                "SELECT network(src_ip, 24, 64) AS net, count(src_port) AS n FROM flows GROUP BY network(src_ip, 24, 64), tumble('1 minute')",
                &[Key, Sum],
            ),
            (
                "SELECT n, p FROM (SELECT protocol AS p, count(*) AS n FROM flows GROUP BY protocol, tumble('1 minute'))",
                &[Sum, Key],
            ),
        ];
        for (sql, expected) in cases {
            assert_eq!(rolled(sql).as_deref(), Ok(expected), "{sql}");
        }
    }

    #[test]
    fn what_is_stored_as_text_is_in_another_order() {
        assert!([DataType::Decimal128(38, 0), DataType::Utf8].iter().all(keeps_its_order));
        assert!(![DataType::Decimal256(50, 0), DataType::FixedSizeBinary(16)].iter().any(keeps_its_order));
    }

    #[test]
    fn what_lacks_something_is_not() {
        for (sql, why) in [
            ("SELECT src_ip FROM flows", "adjacent windows"),
            ("SELECT count(*) FROM flows GROUP BY hop('1 second', '10 seconds')", "adjacent windows"),
            (
                "SELECT dst_port, count(*) AS n FROM flows GROUP BY dst_port, tumble('1 minute') HAVING count(*) > 5",
                "HAVING",
            ),
            (
                "SELECT dst_port, count(*) AS n FROM flows GROUP BY dst_port, tumble('1 minute') ORDER BY n DESC LIMIT 3",
                "LIMIT",
            ),
            ("SELECT protocol, avg(octets) FROM flows GROUP BY protocol, tumble('1 minute')", "avg needs"),
            ("SELECT approx_distinct(src_ip) FROM flows GROUP BY tumble('1 minute')", "approx_distinct"),
            ("SELECT 2 * count(*) FROM flows GROUP BY tumble('1 minute')", "computed"),
            ("SELECT count(*) FROM flows GROUP BY protocol, tumble('1 minute')", "SELECT list"),
            (
                "SELECT protocol_name(protocol) AS p, count(*) FROM flows GROUP BY protocol, tumble('1 minute')",
                "SELECT list",
            ),
            ("SELECT min(src_ip) FROM flows GROUP BY tumble('1 minute')", "text"),
            ("SELECT count(DISTINCT dst_ip) FROM flows GROUP BY tumble('1 minute')", "more than one"),
        ] {
            let refused = rolled(sql).unwrap_err();
            assert!(refused.contains(why), "{sql}: {refused}");
        }
    }
}
