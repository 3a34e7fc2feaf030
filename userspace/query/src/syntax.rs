//! What is written otherwise than it is planned.
//!
//! `0x1f` is a number (`X'1f'` are octets). IS DISTINCT FROM is an operator. Rows in brackets are compared column by column: `(a, b) IN ((1, 2), …)`,
//! `(a, b) = (1, 2)`, `(a, b) < (1, 2)`. What ORDER BY repeats of the SELECT list is called by the name that it has there:
//! DataFusion takes the columns in it for those of the result, which may have their names.

use crate::error::SqlError;
use crate::walk::walk_mut;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Ident, ObjectNamePart, OrderByKind, Query, SelectItem, SetExpr, Spanned as _,
    UnaryOperator, Value, ValueWithSpan, VisitorMut,
};
use datafusion::sql::sqlparser::tokenizer::Location;
use std::ops::ControlFlow;

/// Columns that are compared where rows in brackets are.
const COMPARISONS_MAX: usize = 1000;

/// Writes a statement as it is planned.
///
/// # Errors
/// When rows in brackets cannot be compared.
pub(crate) fn rewrite_syntax(statement: &mut Statement, sql: &str) -> Result<(), SqlError> {
    let Statement::Statement(statement) = statement else { return Ok(()) };
    match walk_mut(statement, &mut Syntax { sql }) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

struct Syntax<'a> {
    sql: &'a str,
}

impl VisitorMut for Syntax<'_> {
    type Break = SqlError;

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<SqlError> {
        name_repeated(query);
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<SqlError> {
        match self.rewritten(expression) {
            Ok(None) => {}
            Ok(Some(rewritten)) => *expression = rewritten,
            Err(error) => return ControlFlow::Break(error.at(self.sql, expression.span().start)),
        }
        ControlFlow::Continue(())
    }
}

/// The expression with its numbers in hexadecimal as they were written: parsed, they are octets.
pub(crate) fn hexadecimal_numbers(expression: &Expr, sql: &str) -> Expr {
    let mut written = expression.clone();
    let _ = walk_mut(&mut written, &mut Hexadecimal(Syntax { sql }));
    written
}

struct Hexadecimal<'a>(Syntax<'a>);

impl VisitorMut for Hexadecimal<'_> {
    type Break = ();

    fn post_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        if let Expr::Value(ValueWithSpan { value, span }) = expression
            && let Value::HexStringLiteral(digits) = value
            && self.0.character(span.start) == Some('0')
        {
            *value = Value::Number(format!("0x{digits}"), false);
        }
        ControlFlow::Continue(())
    }
}

/// Puts its name in the place of what ORDER BY repeats of the SELECT list.
fn name_repeated(query: &mut Query) {
    let (SetExpr::Select(select), Some(order)) = (query.body.as_ref(), query.order_by.as_mut()) else {
        return;
    };
    let OrderByKind::Expressions(sorted) = &mut order.kind else { return };
    let mut named = vec![];
    for item in &select.projection {
        if let SelectItem::ExprWithAlias { expr, alias } = item {
            named.push((expr, alias));
        }
    }
    for by in sorted {
        let repeated = in_lower_case(&by.expr);
        let mut found = named.iter().filter(|(expression, _)| in_lower_case(expression) == repeated);
        if let Some((_, name)) = found.next().filter(|(_, name)| is_only(name, &named)) {
            by.expr = Expr::Identifier((*name).clone());
        }
    }
}

/// The same expression, as names are read that are not quoted.
fn in_lower_case(expression: &Expr) -> Expr {
    let mut lowered = expression.clone();
    let _ = walk_mut(&mut lowered, &mut LowerCase);
    lowered
}

struct LowerCase;

impl VisitorMut for LowerCase {
    type Break = ();

    fn pre_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        match expression {
            Expr::Identifier(name) => lower(name),
            Expr::CompoundIdentifier(names) => names.iter_mut().for_each(lower),
            Expr::Function(function) => {
                for part in &mut function.name.0 {
                    if let ObjectNamePart::Identifier(name) = part {
                        lower(name);
                    }
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

fn lower(name: &mut Ident) {
    if name.quote_style.is_none() {
        name.value.make_ascii_lowercase();
    }
}

/// Whether nothing else of the SELECT list has this name.
fn is_only(name: &Ident, named: &[(&Expr, &Ident)]) -> bool {
    named.iter().filter(|(_, other)| other.value.eq_ignore_ascii_case(&name.value)).count() == 1
}

impl Syntax<'_> {
    fn rewritten(&self, expression: &Expr) -> Result<Option<Expr>, SqlError> {
        match expression {
            Expr::Value(ValueWithSpan { value: Value::HexStringLiteral(digits), span })
                if self.character(span.start) == Some('0') =>
            {
                let number = u64::from_str_radix(digits, 16).map_err(|_| not_a_number(digits))?;
                Ok(Some(Expr::Value(Value::Number(number.to_string(), false).with_span(*span))))
            }
            Expr::InList { expr, list, negated } => {
                let Some(row) = row(expr) else { return Ok(None) };
                let found = rows_in(row, list)?;
                Ok(Some(if *negated { not(found) } else { found }))
            }
            // Operators are converted, see `expressions`; these are written as one.
            Expr::IsNotDistinctFrom(left, right) => {
                Ok(Some(binary((**left).clone(), BinaryOperator::Spaceship, (**right).clone())))
            }
            Expr::IsDistinctFrom(left, right) => {
                Ok(Some(not(binary((**left).clone(), BinaryOperator::Spaceship, (**right).clone()))))
            }
            Expr::BinaryOp { left, op, right } => match (row(left), row(right)) {
                (Some(left), Some(right)) => compared(left, op, right),
                _ => Ok(None),
            },
            _ => Ok(None),
        }
    }

    fn character(&self, place: Location) -> Option<char> {
        let line = self.sql.lines().nth(usize::try_from(place.line).ok()?.checked_sub(1)?)?;
        line.chars().nth(usize::try_from(place.column).ok()?.checked_sub(1)?)
    }
}

fn not_a_number(digits: &str) -> SqlError {
    let help = "write up to 16 hexadecimal digits, e.g. 0x1f; octets are written X'1f'";
    SqlError::new(format!("0x{digits} is not a number of 64 bits"), help)
}

/// The columns of a row in brackets.
fn row(expression: &Expr) -> Option<&[Expr]> {
    match expression {
        Expr::Tuple(columns) => Some(columns),
        Expr::Nested(inner) => row(inner),
        _ => None,
    }
}

fn rows_in(left: &[Expr], list: &[Expr]) -> Result<Expr, SqlError> {
    check_number(left.len().saturating_mul(list.len()))?;
    let rows = list.iter().map(|other| {
        let other = row(other).ok_or_else(|| not_as_long(left, std::slice::from_ref(other)))?;
        equal(left, other)
    });
    Ok(chain(BinaryOperator::Or, rows.collect::<Result<_, _>>()?))
}

fn compared(left: &[Expr], op: &BinaryOperator, right: &[Expr]) -> Result<Option<Expr>, SqlError> {
    Ok(Some(match op {
        BinaryOperator::Eq => equal(left, right)?,
        BinaryOperator::NotEq => not(equal(left, right)?),
        BinaryOperator::Lt | BinaryOperator::LtEq => ordered(left, &BinaryOperator::Lt, op, right)?,
        BinaryOperator::Gt | BinaryOperator::GtEq => ordered(left, &BinaryOperator::Gt, op, right)?,
        _ => return Ok(None),
    }))
}

/// Refuses more than [`COMPARISONS_MAX`].
fn check_number(comparisons: usize) -> Result<(), SqlError> {
    if comparisons <= COMPARISONS_MAX {
        return Ok(());
    }
    let message = format!("rows in brackets need {comparisons} comparisons, more than {COMPARISONS_MAX}");
    Err(SqlError::new(message, "compare fewer rows, or split the query into several"))
}

fn equal(left: &[Expr], right: &[Expr]) -> Result<Expr, SqlError> {
    check_number(left.len())?;
    if left.len() != right.len() {
        return Err(not_as_long(left, right));
    }
    let columns = left.iter().zip(right);
    let columns = columns.map(|(left, right)| binary(left.clone(), BinaryOperator::Eq, right.clone()));
    Ok(chain(BinaryOperator::And, columns.collect()))
}

/// The first columns that differ decide, by `strict`; the last ones by `op`.
fn ordered(
    left: &[Expr],
    strict: &BinaryOperator,
    op: &BinaryOperator,
    right: &[Expr],
) -> Result<Expr, SqlError> {
    check_number(left.len().saturating_mul(left.len()))?;
    if left.len() != right.len() {
        return Err(not_as_long(left, right));
    }
    let prefixes = (1..=left.len()).map(|length| {
        let last = length - 1;
        let op = if length == left.len() { op.clone() } else { strict.clone() };
        let decides = binary(left[last].clone(), op, right[last].clone());
        if last == 0 {
            return Ok(decides);
        }
        Ok(binary(equal(&left[..last], &right[..last])?, BinaryOperator::And, decides))
    });
    Ok(chain(BinaryOperator::Or, prefixes.collect::<Result<_, SqlError>>()?))
}

fn not_as_long(left: &[Expr], right: &[Expr]) -> SqlError {
    let message = format!("a row of {} cannot be compared with one of {}", columns(left), columns(right));
    SqlError::new(
        message,
        "write as many values in every bracket, e.g. (src_ip, dst_port) IN (('10.0.0.1', 80))",
    )
}

fn columns(row: &[Expr]) -> String {
    format!("{} column{}", row.len(), if row.len() == 1 { "" } else { "s" })
}

fn not(expression: Expr) -> Expr {
    Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(expression) }
}

fn binary(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    Expr::Nested(Box::new(Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) }))
}

/// Joins expressions by an operator, as flat as can be.
fn chain(op: BinaryOperator, mut expressions: Vec<Expr>) -> Expr {
    match expressions.len() {
        0 => Expr::Value(Value::Null.into()),
        1 => expressions.remove(0),
        length => {
            let rest = expressions.split_off(length / 2);
            binary(chain(op.clone(), expressions), op.clone(), chain(op, rest))
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::Planner;

    #[test]
    fn what_order_by_repeats_is_the_column_of_the_result() {
        let plan = |order: &str| {
            let sql = format!(
                "SELECT src_ip, sum(octets) AS octets, count(*) AS n FROM flows
                 GROUP BY src_ip, tumble('1 minute') ORDER BY {order} DESC, n LIMIT 3"
            );
            Planner::new().plan(&sql).map(|query| query.describe())
        };
        assert!(plan("octets").is_ok());
        for repeated in ["sum(octets)", "SUM( octets )"] {
            assert_eq!(plan(repeated), plan("octets"), "{repeated}");
        }
        assert_ne!(plan("count(*)"), plan("octets"));
        let twice =
            "SELECT sum(octets) AS x, src_port AS x FROM flows GROUP BY src_port ORDER BY sum(octets)";
        assert!(Planner::new().plan(twice).is_err(), "two columns of one name");
    }
}
