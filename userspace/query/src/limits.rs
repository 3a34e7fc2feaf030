//! How large a query may be.
//!
//! Planning, running and dropping a plan all walk its expressions recursively, so their depth must be
//! bounded before anything walks them. The parser bounds brackets; a chain such as `a OR b OR …` is as
//! deep as it is long, and is bounded here.

use crate::error::SqlError;
use crate::tokens::tokens;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::Token;

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
    let operators = tokens(sql).iter().filter(|token| is_operator(&token.token)).count();
    if operators > OPERATORS_MAX {
        let message = format!("the query has {operators} operators, more than {OPERATORS_MAX}");
        return Err(SqlError::new(message, "write x IN (1, 2, …) instead of x = 1 OR x = 2 OR …"));
    }
    Ok(())
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
