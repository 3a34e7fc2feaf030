//! How large a query may be.
//!
//! Planning, running and dropping a plan all walk its expressions recursively, so their depth must be
//! bounded before anything walks them. The parser bounds brackets; a chain such as `a OR b OR …` is as
//! deep as it is long, and is bounded here.

use crate::error::SqlError;
use datafusion::sql::sqlparser::dialect::{Dialect, GenericDialect, PostgreSqlDialect};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

/// Characters of a query's text.
pub(crate) const SQL_LENGTH_MAX: usize = 64 * 1024;

/// Operators in a query's text.
const OPERATORS_MAX: usize = 1000;

/// Octets of stack that planning may use; untouched ones cost nothing.
const PLANNING_STACK_OCTETS: usize = 64 << 20;

/// Refuses a text that is too large: what walks it may take a stack as deep as it is long.
///
/// # Errors
/// When it is.
pub fn check_size(sql: &str) -> Result<(), SqlError> {
    if sql.len() > SQL_LENGTH_MAX {
        let message = format!("the query has {} characters, more than {SQL_LENGTH_MAX}", sql.len());
        return Err(SqlError::new(message, "split it into several queries"));
    }
    let operators = count_operators(sql);
    if operators > OPERATORS_MAX {
        let message = format!("the query has {operators} operators, more than {OPERATORS_MAX}");
        return Err(SqlError::new(message, "write x IN (1, 2, …) instead of x = 1 OR x = 2 OR …"));
    }
    Ok(())
}

/// The operators in it, by whichever dialect finds more: where a comment ends, they do not agree.
fn count_operators(sql: &str) -> usize {
    let dialects: [&dyn Dialect; 2] = [&GenericDialect {}, &PostgreSqlDialect {}];
    let count = |dialect| {
        let tokens = Tokenizer::new(dialect, sql).tokenize().unwrap_or_default();
        tokens.iter().filter(|token| is_operator(token)).count()
    };
    dialects.into_iter().map(count).max().unwrap_or(0)
}

/// Plans on a stack that is large enough for every query within the limits.
pub fn with_stack<T>(plan: impl FnOnce() -> T) -> T {
    stacker::grow(PLANNING_STACK_OCTETS, plan)
}

const OPERATOR_WORDS: [Keyword; 14] = [
    Keyword::AND,
    Keyword::BETWEEN,
    Keyword::CASE,
    Keyword::ELSE,
    Keyword::EXCEPT,
    Keyword::IN,
    Keyword::INTERSECT,
    Keyword::IS,
    Keyword::JOIN,
    Keyword::LIKE,
    Keyword::NOT,
    Keyword::OR,
    Keyword::UNION,
    Keyword::WHEN,
];

/// Whether an expression or a query may be one deeper for this token.
fn is_operator(token: &Token) -> bool {
    match token {
        Token::Word(word) => OPERATOR_WORDS.contains(&word.keyword),
        other => !matches!(
            other,
            Token::Comma
                | Token::Period
                | Token::LParen
                | Token::RParen
                | Token::SemiColon
                | Token::EOF
                | Token::Number(..)
                | Token::Whitespace(_)
                | Token::SingleQuotedString(_)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_are_counted_by_each_dialect() {
        let many = "+1".repeat(OPERATORS_MAX + 1);
        for before in ["", " --\n", " --\r"] {
            assert!(check_size(&format!("SELECT 1{before}{many}")).is_err(), "{before:?}");
        }
        assert!(check_size(&format!("SELECT 1 -- {many}")).is_ok());
    }
}
