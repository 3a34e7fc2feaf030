//! What is put into a query: expressions that somebody gives, and conditions that are written for him.

use super::Literal;
use super::selects::has_aggregate;
use super::text::Text;
use crate::error::SqlError;
use crate::limits;
use crate::tokens::tokens;
use datafusion::sql::sqlparser::ast::{Expr, SelectItem};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Token, Whitespace};

/// A key: one expression, in which nothing is aggregated.
pub(super) fn key<'a>(text: &'a str, is_aggregate: &dyn Fn(&str) -> bool) -> Result<&'a str, SqlError> {
    let help = "write a column or an expression, such as dst_as or network(src_ip, 24, 64)";
    match item(text) {
        Some(SelectItem::UnnamedExpr(expression)) if !has_aggregate(&expression, is_aggregate) => {
            Ok(text.trim())
        }
        _ => Err(SqlError::new(format!("`{}` is no key", text.trim()), help)),
    }
}

/// An aggregate, which may be given a name.
pub(super) fn aggregate<'a>(text: &'a str, is_aggregate: &dyn Fn(&str) -> bool) -> Result<&'a str, SqlError> {
    let help = "write what is known of groups, such as sum(octets) or count(*) AS records";
    match item(text) {
        Some(SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. })
            if has_aggregate(&expr, is_aggregate) =>
        {
            Ok(text.trim())
        }
        _ => Err(SqlError::new(format!("`{}` is no aggregate", text.trim()), help)),
    }
}

/// A window.
pub(super) fn window(text: &str) -> Result<&str, SqlError> {
    let is_window = matches!(item(text), Some(SelectItem::UnnamedExpr(Expr::Function(_))))
        && Text::new(text).is_some_and(|text| text.is_window(&text.all()));
    if is_window {
        return Ok(text.trim());
    }
    let help = "write tumble('60 seconds'), hop('10 seconds', '60 seconds') or tumble_rows(1000)";
    Err(SqlError::new(format!("`{}` is no window", text.trim()), help))
}

/// The item that a text is; nothing where it is more, or ends with a comment, which would take what follows with it.
fn item(text: &str) -> Option<SelectItem> {
    let is_comment = |token: &Token| {
        matches!(
            token,
            Token::Whitespace(Whitespace::SingleLineComment { .. } | Whitespace::MultiLineComment(_))
        )
    };
    // What is too deep could not even be let go.
    if limits::check_size(text).is_err() || tokens(text).iter().any(|token| is_comment(&token.token)) {
        return None;
    }
    let mut parser = Parser::new(&GenericDialect {}).try_with_sql(text).ok()?;
    let item = parser.parse_select_item().ok()?;
    (parser.peek_token().token == Token::EOF).then_some(item)
}

/// The condition that an expression has a value, or has not.
pub(super) fn condition(expression: &str, value: &Literal, negated: bool) -> String {
    let written = match value {
        Literal::Null if negated => return format!("{expression} IS NOT NULL"),
        Literal::Null => return format!("{expression} IS NULL"),
        Literal::Boolean(value) => value.to_string(),
        Literal::Number(number) => number.clone(),
        Literal::Text(text) => quoted(text),
    };
    // What has no value is not left out with what has another one.
    format!("{expression} {} {written}", if negated { "IS DISTINCT FROM" } else { "=" })
}

/// The condition that rows come from one of these sources.
pub(super) fn source(names: &[String]) -> Option<String> {
    match names {
        [] => None,
        [name] => Some(format!("source = {}", quoted(name))),
        names => {
            let names: Vec<String> = names.iter().map(|name| quoted(name)).collect();
            Some(format!("source IN ({})", names.join(", ")))
        }
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
