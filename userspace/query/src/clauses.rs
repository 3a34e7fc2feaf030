//! Clauses that can be parsed and that nobody would look at.
//!
//! The parser reads the SQL of many databases. What would silently mean nothing here is refused, with what to write
//! instead. Nodes are taken apart field by field, so that a clause of a later parser cannot be overlooked.

use crate::error::SqlError;
use crate::walk::walk;
use datafusion::sql::sqlparser::ast::{
    Distinct, Expr, Fetch, GroupByExpr, Join, JoinOperator, LimitClause, OrderBy, OrderByKind, Query, Select,
    SelectItem, Statement, TableFactor, Top, TopQuantity, Value, Visitor,
};
use datafusion::sql::sqlparser::tokenizer::Location;
use std::ops::ControlFlow;

/// Refuses the first clause that means nothing here, or groups by what `is_aggregate` says of functions' names.
pub(crate) fn check_clauses(
    statement: &Statement,
    sql: &str,
    is_aggregate: &dyn Fn(&str) -> bool,
) -> Result<(), SqlError> {
    match walk(statement, &mut Clauses { sql, is_aggregate }) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

struct Clauses<'a> {
    sql: &'a str,
    is_aggregate: &'a dyn Fn(&str) -> bool,
}

/// A clause: whether it is there, its words, and what to do instead.
type Clause = (bool, &'static str, String);

fn clause(is_there: bool, words: &'static str, instead: &str) -> Clause {
    (is_there, words, instead.to_owned())
}

impl Clauses<'_> {
    fn refuse(&self, clauses: impl IntoIterator<Item = Clause>) -> ControlFlow<SqlError> {
        let Some((_, words, instead)) = clauses.into_iter().find(|(is_there, ..)| *is_there) else {
            return ControlFlow::Continue(());
        };
        let message = format!("{words} means nothing here");
        let first = words.split(' ').next().unwrap_or(words);
        ControlFlow::Break(SqlError::new(message, instead).at_word(self.sql, first))
    }
}

impl Clauses<'_> {
    /// Refuses GROUP BY 1 where the first column is an aggregate.
    fn check_places(&self, select: &Select) -> ControlFlow<SqlError> {
        let GroupByExpr::Expressions(keys, _) = &select.group_by else { return ControlFlow::Continue(()) };
        let column = |place: usize| select.projection.get(place.checked_sub(1)?).and_then(expression_of);
        for key in keys {
            let Some((place, start)) = place_of(key) else { continue };
            let Some(aggregate) = column(place).filter(|column| self.has_aggregate(column)) else { continue };
            let other = (1..=select.projection.len())
                .find(|&place| column(place).is_some_and(|column| !self.has_aggregate(column)));
            let help = other.map_or("leave it out".to_owned(), |other| format!("write GROUP BY {other}"));
            let message = format!("GROUP BY {place} is {aggregate}, which is known of groups only");
            return ControlFlow::Break(SqlError::new(message, help).at(self.sql, start));
        }
        ControlFlow::Continue(())
    }

    fn has_aggregate(&self, expression: &Expr) -> bool {
        has_aggregate(expression, self.is_aggregate)
    }
}

/// Whether an aggregate is called somewhere in an expression.
pub(crate) fn has_aggregate(expression: &Expr, is_aggregate: &dyn Fn(&str) -> bool) -> bool {
    walk(expression, &mut AggregateCalls { is_aggregate }).is_break()
}

/// Ends at the first call of an aggregate.
struct AggregateCalls<'a> {
    is_aggregate: &'a dyn Fn(&str) -> bool,
}

impl Visitor for AggregateCalls<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<()> {
        match expression {
            Expr::Function(call)
                if call.over.is_none()
                    && (self.is_aggregate)(&call.name.to_string().to_ascii_lowercase()) =>
            {
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        }
    }
}

/// The expression of a column.
fn expression_of(item: &SelectItem) -> Option<&Expr> {
    match item {
        SelectItem::UnnamedExpr(expression) | SelectItem::ExprWithAlias { expr: expression, .. } => {
            Some(expression)
        }
        _ => None,
    }
}

/// The number of a column, and where it is written.
fn place_of(key: &Expr) -> Option<(usize, Location)> {
    let Expr::Value(value) = key else { return None };
    let Value::Number(number, _) = &value.value else { return None };
    Some((number.parse().ok()?, value.span.start))
}

impl Visitor for Clauses<'_> {
    type Break = SqlError;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<SqlError> {
        let Query {
            with: _,
            body: _,
            order_by,
            limit_clause,
            fetch,
            locks,
            for_clause,
            settings,
            format_clause,
            pipe_operators: _,
        } = query;
        self.refuse([
            (fetch.is_some(), "FETCH", limit_instead(fetch.as_ref().and_then(rows_of_fetch))),
            clause(!locks.is_empty() || for_clause.is_some(), "FOR", "leave it out: nobody writes to a stream"),
            clause(settings.is_some(), "SETTINGS", "leave it out: settings are arguments of the command"),
            clause(format_clause.is_some(), "FORMAT", "leave it out, and give --format table, csv, json or arrow"),
            clause(
                limit_clause.as_ref().is_some_and(has_limit_by),
                "LIMIT BY",
                "number groups and keep the first ones: SELECT * FROM (SELECT protocol, src_ip, row_number() OVER \
                    (PARTITION BY protocol ORDER BY sum(octets) DESC) AS place FROM packets GROUP BY protocol, src_ip) \
                    WHERE place <= 3",
            ),
        ])?;
        self.refuse(order_by.iter().flat_map(of_order))
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<SqlError> {
        let Select {
            select_token: _,
            // Comments.
            optimizer_hints: _,
            distinct,
            select_modifiers,
            top,
            top_before_distinct: _,
            projection: _,
            exclude,
            into,
            from,
            lateral_views,
            prewhere,
            selection: _,
            connect_by,
            group_by,
            cluster_by,
            distribute_by,
            sort_by,
            having: _,
            named_window: _,
            qualify: _,
            window_before_qualify: _,
            value_table_mode,
            flavor: _,
        } = select;
        self.check_places(select)?;
        let joins = from.iter().flat_map(|table| &table.joins).filter_map(refused_join);
        self.refuse(
            joins.map(|words| clause(true, words, "write JOIN … ON …, of aggregates by the same window")),
        )?;
        let order_by = "order what the query gives, with ORDER BY and LIMIT at its end";
        self.refuse([
            (top.is_some(), "TOP", limit_instead(top.as_ref().and_then(rows_of_top))),
            clause(
                matches!(distinct, Some(Distinct::On(_))),
                "DISTINCT ON",
                "group by these, and say which value of the others: SELECT x, max(y) … GROUP BY x",
            ),
            clause(into.is_some(), "INTO", "leave it out; --output DIR writes the results to a folder"),
            clause(prewhere.is_some(), "PREWHERE", "write WHERE"),
            clause(!cluster_by.is_empty(), "CLUSTER BY", order_by),
            clause(!distribute_by.is_empty(), "DISTRIBUTE BY", order_by),
            clause(!sort_by.is_empty(), "SORT BY", order_by),
            clause(
                !connect_by.is_empty(),
                "CONNECT BY",
                "leave it out: the rows of a stream have no parents",
            ),
            clause(!lateral_views.is_empty(), "LATERAL VIEW", "leave it out"),
            clause(exclude.is_some(), "EXCLUDE", "put it right behind the star: SELECT * EXCLUDE (x)"),
            clause(value_table_mode.is_some(), "SELECT AS", "leave AS STRUCT or AS VALUE out"),
            clause(select_modifiers.is_some(), "what stands between SELECT and its list", "leave it out"),
            clause(
                has_modifier(group_by),
                "WITH ROLLUP, CUBE or TOTALS",
                "write one query for each grouping and put them together with UNION ALL",
            ),
        ])
    }

    fn pre_visit_table_factor(&mut self, table: &TableFactor) -> ControlFlow<SqlError> {
        let sampling = "leave it out: every row counts; to see some rows, write LIMIT n";
        match table {
            TableFactor::Table {
                name: _,
                alias: _,
                args: _,
                with_hints,
                version,
                with_ordinality,
                partitions,
                json_path,
                sample,
                index_hints,
            } => self.refuse([
                clause(sample.is_some(), "TABLESAMPLE", sampling),
                clause(
                    version.is_some(),
                    "FOR or AS OF",
                    "leave it out; WHERE ts < '2026-01-01' chooses a time",
                ),
                clause(!with_hints.is_empty(), "WITH", "leave the hints out"),
                clause(!index_hints.is_empty(), "an index", "leave it out: a stream has none"),
                clause(!partitions.is_empty(), "PARTITION", "leave it out: a stream has none"),
                clause(*with_ordinality, "WITH ORDINALITY", "leave it out"),
                clause(json_path.is_some(), "a path behind a table", "leave it out"),
            ]),
            TableFactor::Derived { lateral: _, subquery: _, alias: _, sample } => {
                self.refuse([clause(sample.is_some(), "TABLESAMPLE", sampling)])
            }
            TableFactor::NestedJoin { .. }
            | TableFactor::Function { .. }
            | TableFactor::TableFunction { .. }
            | TableFactor::UNNEST { .. } => ControlFlow::Continue(()),
            TableFactor::Pivot { .. } | TableFactor::Unpivot { .. } => self.refuse([clause(
                true,
                "PIVOT",
                "write a column for each value: sum(octets) FILTER (WHERE protocol = 6) AS tcp",
            )]),
            _ => self.refuse([clause(true, "such a table", "read packets or flows")]),
        }
    }
}

/// The word that makes a join one that there is not.
fn refused_join(join: &Join) -> Option<&'static str> {
    let Join { relation: _, global, join_operator } = join;
    match join_operator {
        _ if *global => Some("GLOBAL"),
        JoinOperator::AsOf { .. } => Some("ASOF"),
        JoinOperator::CrossApply | JoinOperator::OuterApply => Some("APPLY"),
        JoinOperator::ArrayJoin | JoinOperator::LeftArrayJoin | JoinOperator::InnerArrayJoin => Some("ARRAY"),
        _ => None,
    }
}

/// What to write instead of another way to say how many rows.
fn limit_instead(rows: Option<String>) -> String {
    format!("write LIMIT {} at the end of the query", rows.unwrap_or_else(|| "10".to_owned()))
}

fn rows_of_fetch(fetch: &Fetch) -> Option<String> {
    let Fetch { with_ties, percent, quantity } = fetch;
    quantity.as_ref().filter(|_| !with_ties && !percent).map(ToString::to_string)
}

fn rows_of_top(top: &Top) -> Option<String> {
    let Top { with_ties, percent, quantity } = top;
    match quantity.as_ref().filter(|_| !with_ties && !percent)? {
        TopQuantity::Constant(rows) => Some(rows.to_string()),
        TopQuantity::Expr(rows) => Some(rows.to_string()),
    }
}

fn has_limit_by(limit: &LimitClause) -> bool {
    matches!(limit, LimitClause::LimitOffset { limit: _, offset: _, limit_by } if !limit_by.is_empty())
}

fn of_order(order: &OrderBy) -> [Clause; 2] {
    let OrderBy { kind, interpolate } = order;
    let fills = match kind {
        OrderByKind::Expressions(expressions) => expressions.iter().any(|one| one.with_fill.is_some()),
        OrderByKind::All(_) => false,
    };
    [
        clause(fills, "FILL", "leave it out: what no row reached has no row"),
        clause(interpolate.is_some(), "INTERPOLATE", "leave it out: what no row reached has no row"),
    ]
}

fn has_modifier(group_by: &GroupByExpr) -> bool {
    match group_by {
        GroupByExpr::All(modifiers) | GroupByExpr::Expressions(_, modifiers) => !modifiers.is_empty(),
    }
}
