//! What a statement may ask of planning and of DataFusion's functions, whatever its size.
//!
//! Some of them take what they are told: as many groupings as CUBE has subsets, as much memory as a sketch is said to
//! need, types that double with each row in brackets. Others end the thread that asks them. That is refused before
//! anything is planned.

use crate::error::SqlError;
use crate::relations::check_relations;
use crate::walk::walk;
use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArguments, GroupByExpr,
    ObjectNamePart, Query, Select, SetExpr, Statement, Value, ValueWithSpan, Visitor,
};
use std::ops::ControlFlow;

/// Expressions of a CUBE, each of which doubles the groupings.
const CUBE_MAX: usize = 12;

/// Expressions in all groupings of a SELECT, in each as often as it has them.
const GROUPED_MAX: usize = 1 << 16;

/// Columns that a statement names, each in as many subqueries as WITH has: there may be a copy of it in each.
const COPIES_MAX: usize = 1 << 17;

/// Octets of a literal that `arrow_cast` is given: a type within a type is planned within it.
const TYPE_OCTETS_MAX: usize = 1000;

/// What all structs and rows in brackets of a statement may hold, as if each were in the next one.
const PARTS_MAX: usize = 1 << 14;

/// Functions that make a struct.
const STRUCTS: [&str; 6] = ["arrays_zip", "list_zip", "map", "named_struct", "row", "struct"];

/// Aggregates that DataFusion cannot ask for groups of rows in an order, which changes nothing of what they give.
const UNORDERED: [&str; 15] = [
    "avg",
    "bit_and",
    "bit_or",
    "bit_xor",
    "count",
    "mean",
    "median",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "var",
    "var_pop",
    "var_population",
    "var_samp",
    "var_sample",
];

/// Aggregates whose last argument says how large a sketch they keep, and the arguments before it.
const SKETCHES: [(&str, usize); 2] =
    [("approx_percentile_cont", 2), ("approx_percentile_cont_with_weight", 3)];

/// The largest one.
const SKETCH_MAX: u64 = 10_000;

/// Refuses a statement that reads too many tables, or asks for more than there may be; it takes a stack as deep as the
/// statement is long.
///
/// # Errors
/// When it does.
pub fn check_statement(statement: &Statement) -> Result<(), SqlError> {
    check_relations(statement)?;
    match walk(statement, &mut Costs { parts: 1, columns: 0, subqueries: 0 }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

struct Costs {
    /// What the structs that were seen may hold, as if each were in the next one.
    parts: usize,
    /// Columns that were named.
    columns: usize,
    /// Subqueries of WITH.
    subqueries: usize,
}

impl Visitor for Costs {
    type Break = SqlError;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<SqlError> {
        self.subqueries += query.with.as_ref().map_or(0, |with| with.cte_tables.len());
        self.copy(values(&query.body))
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<SqlError> {
        match many_grouped(&select.group_by) {
            Some(error) => ControlFlow::Break(error),
            None => self.copy(select.projection.len()),
        }
    }

    fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<SqlError> {
        let refused = match expression {
            Expr::Function(call) => {
                needless_order(call).or_else(|| large_sketch(call)).or_else(|| long_type(call))
            }
            other => many_groupings(other),
        };
        match refused.or_else(|| self.hold(expression)) {
            Some(error) => ControlFlow::Break(error),
            None => ControlFlow::Continue(()),
        }
    }
}

impl Costs {
    /// Counts so many columns more.
    fn copy(&mut self, columns: usize) -> ControlFlow<SqlError> {
        self.columns += columns;
        if self.columns.saturating_mul(self.subqueries) <= COPIES_MAX {
            return ControlFlow::Continue(());
        }
        let help = "name fewer columns, or have fewer subqueries in WITH";
        let message = format!(
            "the statement has {} columns and {} subqueries in WITH, which is too much of both",
            self.columns, self.subqueries
        );
        ControlFlow::Break(SqlError::new(message, help))
    }

    /// Counts what a struct or a row in brackets holds; what is wrong with that.
    fn hold(&mut self, expression: &Expr) -> Option<SqlError> {
        let parts = parts(expression).into_iter().filter(|part| !matches!(part, Expr::Value(_))).count();
        self.parts = self.parts.saturating_mul(parts.max(1));
        (self.parts > PARTS_MAX).then(|| {
            let message = format!(
                "the structs and rows in brackets of the statement may have more than {PARTS_MAX} parts"
            );
            SqlError::new(message, "put fewer values into them")
        })
    }
}

/// What a struct or a row in brackets is made of.
fn parts(expression: &Expr) -> Vec<&Expr> {
    match expression {
        Expr::Tuple(parts) | Expr::Struct { values: parts, .. } => parts.iter().collect(),
        Expr::Dictionary(fields) => fields.iter().map(|field| field.value.as_ref()).collect(),
        Expr::Map(map) => map.entries.iter().map(|entry| entry.value.as_ref()).collect(),
        Expr::Function(call) if STRUCTS.contains(&name(call).as_str()) => arguments(call),
        _ => vec![],
    }
}

/// The columns of rows that are written.
fn values(body: &SetExpr) -> usize {
    match body {
        SetExpr::Values(values) => values.rows.first().map_or(0, |row| row.content.len()),
        SetExpr::SetOperation { left, right, .. } => values(left) + values(right),
        _ => 0,
    }
}

/// Refuses groupings that have too many expressions, as if each were made with all others.
fn many_grouped(by: &GroupByExpr) -> Option<SqlError> {
    let GroupByExpr::Expressions(by, _) = by else { return None };
    if let Some(error) = by.iter().find_map(many_groupings) {
        return Some(error);
    }
    let groupings = by.iter().map(groupings).fold(1, usize::saturating_mul);
    let expressions: usize = by.iter().map(|one| sets(one).iter().map(Vec::len).sum::<usize>().max(1)).sum();
    (groupings > 1 && groupings.saturating_mul(expressions) > GROUPED_MAX).then(|| {
        let message = format!(
            "GROUP BY makes {groupings} groupings of {expressions} expressions, which are more than {GROUPED_MAX} in all"
        );
        SqlError::new(message, "write the groupings that are wanted as GROUPING SETS ((a, b), (a), ())")
    })
}

/// How many groupings an expression of GROUP BY makes.
fn groupings(expression: &Expr) -> usize {
    match expression {
        Expr::Cube(sets) => {
            let doublings = u32::try_from(sets.len()).unwrap_or(u32::MAX);
            1_usize.checked_shl(doublings).unwrap_or(usize::MAX)
        }
        Expr::Rollup(sets) => sets.len() + 1,
        Expr::GroupingSets(sets) => sets.len(),
        _ => 1,
    }
}

/// What CUBE and its like group by.
fn sets(expression: &Expr) -> &[Vec<Expr>] {
    match expression {
        Expr::Cube(sets) | Expr::Rollup(sets) | Expr::GroupingSets(sets) => sets,
        _ => &[],
    }
}

/// Refuses a type that is written at length.
fn long_type(call: &Function) -> Option<SqlError> {
    let name = name(call);
    let is_long = |argument: &&Expr| match argument {
        Expr::Value(value) => value.to_string().len() > TYPE_OCTETS_MAX,
        _ => false,
    };
    let is_refused =
        ["arrow_cast", "arrow_try_cast"].contains(&name.as_str()) && arguments(call).iter().any(is_long);
    is_refused.then(|| {
        let message = format!("{name}: its arguments are texts of at most {TYPE_OCTETS_MAX} characters");
        SqlError::new(message, "write such as 'Int64'")
    })
}

fn many_groupings(expression: &Expr) -> Option<SqlError> {
    let Expr::Cube(sets) = expression else { return None };
    (sets.len() > CUBE_MAX).then(|| {
        let message =
            format!("CUBE takes at most {CUBE_MAX} expressions, each of which doubles the groupings");
        SqlError::new(message, "write the groupings that are wanted as GROUPING SETS ((a, b), (a), ())")
    })
}

fn needless_order(call: &Function) -> Option<SqlError> {
    let (name, FunctionArguments::List(list)) = (name(call), &call.args) else { return None };
    let is_ordered = list.clauses.iter().any(|clause| matches!(clause, FunctionArgumentClause::OrderBy(_)));
    (is_ordered && UNORDERED.contains(&name.as_str())).then(|| {
        let help = "leave ORDER BY out of its brackets";
        SqlError::new(format!("{name} gives the same in whatever order its rows come"), help)
    })
}

fn large_sketch(call: &Function) -> Option<SqlError> {
    let name = name(call);
    let (_, before) = SKETCHES.into_iter().find(|(known, _)| *known == name)?;
    // What is aggregated may stand in WITHIN GROUP.
    let before = if call.within_group.is_empty() { before } else { before - 1 };
    let size = *arguments(call).get(before)?;
    let is_fine = match size {
        Expr::Value(ValueWithSpan { value: Value::Number(digits, _), .. }) => {
            digits.parse().is_ok_and(|size: u64| size <= SKETCH_MAX)
        }
        _ => false,
    };
    (!is_fine).then(|| {
        let help = "leave it out, or write such as 100";
        SqlError::new(format!("{name}: its last argument is a number of at most {SKETCH_MAX}"), help)
    })
}

/// The name of a function, in lower case.
fn name(call: &Function) -> String {
    let last = call.name.0.last().and_then(ObjectNamePart::as_ident);
    last.map(|name| name.value.to_ascii_lowercase()).unwrap_or_default()
}

fn arguments(call: &Function) -> Vec<&Expr> {
    let FunctionArguments::List(list) = &call.args else { return vec![] };
    let arguments = list.args.iter().filter_map(|argument| match argument {
        FunctionArg::Named { arg: FunctionArgExpr::Expr(expression), .. }
        | FunctionArg::ExprNamed { arg: FunctionArgExpr::Expr(expression), .. }
        | FunctionArg::Unnamed(FunctionArgExpr::Expr(expression)) => Some(expression),
        _ => None,
    });
    arguments.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::sql::sqlparser::dialect::GenericDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    fn refused(sql: &str) -> Option<String> {
        let statements = Parser::parse_sql(&GenericDialect {}, sql).unwrap();
        check_statement(&statements[0]).err().map(|error| error.message)
    }

    #[test]
    fn what_takes_as_it_is_told_is_refused() {
        let cube =
            |columns: usize| format!("SELECT 1 FROM t GROUP BY CUBE({})", vec!["a"; columns].join(", "));
        assert_eq!(refused(&cube(CUBE_MAX)), None);
        assert!(refused(&cube(CUBE_MAX + 1)).unwrap().contains("CUBE takes at most 12"));
        for (sql, is_refused) in [
            ("SELECT approx_percentile_cont(a, 0.5) FROM t", false),
            ("SELECT approx_percentile_cont(a, 0.5, 100) FROM t", false),
            ("SELECT APPROX_PERCENTILE_CONT(a, 0.5, 1000000000) FROM t", true),
            ("SELECT approx_percentile_cont(a, 0.5, 100 * 100000) OVER () FROM t", true),
            ("SELECT approx_percentile_cont(0.5) WITHIN GROUP (ORDER BY a) FROM t", false),
            ("SELECT approx_percentile_cont(0.5, 99999) WITHIN GROUP (ORDER BY a) FROM t", true),
            ("SELECT approx_percentile_cont_with_weight(a, 100000, 0.5) FROM t", false),
            ("SELECT approx_percentile_cont_with_weight(a, b, 0.5, 100000) FROM t", true),
        ] {
            assert_eq!(refused(sql).is_some(), is_refused, "{sql}");
        }
    }

    #[test]
    fn groupings_are_counted_with_what_is_in_them() {
        let grouped = |by: &str| refused(&format!("SELECT 1 FROM t GROUP BY {by}"));
        let [cube, rollup] = ["CUBE", "ROLLUP"].map(|how| format!("{how}({})", ["a"; 12].join(", ")));
        assert_eq!(grouped(&cube), None);
        assert_eq!(grouped(&vec!["a"; 15_000].join(", ")), None);
        for by in [
            format!("{}, {cube}", vec!["a"; 15_000].join(", ")),
            format!("{cube}, {cube}"),
            format!("{rollup}, {cube}"),
            format!("ROLLUP({})", vec!["a"; 15_000].join(", ")),
        ] {
            assert!(grouped(&by).unwrap().contains("more than 65536 in all"), "{by}");
        }
    }

    #[test]
    fn columns_are_not_copied_without_end() {
        let chain = |columns: usize, levels: usize| {
            let level = |level: usize| format!("a{level} AS (SELECT * FROM a{})", level - 1);
            let all: Vec<String> = (1..=levels).map(level).collect();
            let first = vec!["1"; columns].join(", ");
            format!("WITH a0 AS (VALUES ({first})), {} SELECT 1 FROM a{levels}", all.join(", "))
        };
        assert_eq!(refused(&chain(1000, 100)), None);
        assert_eq!(refused(&chain(20, 300)), None);
        assert!(refused(&chain(10_000, 100)).unwrap().contains("too much of both"));
        assert!(refused(&chain(1, 400)).is_some());
        assert_eq!(refused(&vec!["SELECT 1, 2, 3"; 400].join(" UNION ALL ")), None);
    }

    #[test]
    fn types_are_not_written_at_length() {
        let cast = |levels: usize| {
            let kind = format!("{}Int8{}", "List(".repeat(levels), ")".repeat(levels));
            refused(&format!("SELECT Arrow_Cast(NULL, '{kind}')"))
        };
        assert_eq!(cast(20), None);
        assert!(cast(8000).unwrap().starts_with("arrow_cast: its arguments"));
    }

    #[test]
    fn an_order_that_changes_nothing_is_refused() {
        assert!(
            refused("SELECT var_pop(a ORDER BY b) FROM t").unwrap().starts_with("var_pop gives the same")
        );
        assert!(refused("SELECT 1 FROM t HAVING Count(DISTINCT a ORDER BY a) > 1").is_some());
        assert_eq!(refused("SELECT array_agg(a ORDER BY b), count(a) FROM t ORDER BY count(a)"), None);
    }

    #[test]
    fn structs_that_double_are_refused() {
        let doubling = |levels: usize, of: &str| {
            let level = |level: usize| format!("a{level} AS (SELECT {of} AS x FROM a{})", level - 1);
            let all: Vec<String> = (1..=levels).map(level).collect();
            format!("WITH a0 AS (SELECT 1 AS x), {} SELECT 1 FROM a{levels}", all.join(", "))
        };
        for of in ["struct(x, x)", "named_struct('a', x, 'b', x)", "(x, x)", "arrays_zip(x, x)"] {
            assert_eq!(refused(&doubling(14, of)), None, "{of}");
            assert!(refused(&doubling(15, of)).is_some(), "{of}");
        }
        let rows = vec!["(1, 2)"; 1000].join(", ");
        assert_eq!(refused(&format!("SELECT 1 FROM t WHERE (a, b) IN ({rows})")), None);
    }
}
