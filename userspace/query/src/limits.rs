//! How large a query may be.
//!
//! Planning, running and dropping a plan all walk its expressions recursively, so their depth must be
//! bounded before anything walks them. The parser bounds brackets; a chain such as `a OR b OR …` is as
//! deep as it is long, and is bounded here. So are calls, each of which may hold something, and what the parser would
//! read again and again.

use crate::error::SqlError;
use crate::readings::readings;
use datafusion::sql::sqlparser::dialect::{Dialect, GenericDialect, PostgreSqlDialect};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer, Word};

/// Characters of a query's text.
pub(crate) const SQL_LENGTH_MAX: usize = 64 * 1024;

/// Operators in a query's text, and calls.
const OPERATORS_MAX: usize = 1000;

/// Tokens that the parser may come to read, those that it reads several times counted as often.
const READINGS_MAX: usize = 1 << 19;

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
    // Where a comment ends, dialects do not agree.
    for dialect in [&GenericDialect {} as &dyn Dialect, &PostgreSqlDialect {}] {
        let tokens = Tokenizer::new(dialect, sql).tokenize().unwrap_or_default();
        let tokens: Vec<Token> =
            tokens.into_iter().filter(|token| !matches!(token, Token::Whitespace(_))).collect();
        check_operators(&tokens)?;
        check_readings(&tokens, dialect)?;
    }
    Ok(())
}

fn check_operators(tokens: &[Token]) -> Result<(), SqlError> {
    let pairs = tokens.windows(2);
    let calls = pairs.filter(|pair| matches!(pair, [name, bracket] if is_call(name, bracket))).count();
    let operators = tokens.iter().filter(|token| is_operator(token)).count() + calls;
    if operators <= OPERATORS_MAX {
        return Ok(());
    }
    let message = format!("the query has {operators} operators and calls, more than {OPERATORS_MAX}");
    Err(SqlError::new(message, "write x IN (1, 2, …) instead of x = 1 OR x = 2 OR …"))
}

fn check_readings(tokens: &[Token], dialect: &dyn Dialect) -> Result<(), SqlError> {
    if readings(tokens, dialect) <= READINGS_MAX {
        return Ok(());
    }
    let help = "name inner queries by WITH, one after the other, and cast in them";
    Err(SqlError::new("the query is nested too deeply", help))
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

/// Whether a name and what is behind it begin a call; rows of VALUES and lists of IN are none.
fn is_call(name: &Token, bracket: &Token) -> bool {
    let is_name = |word: &Word| {
        !OPERATOR_WORDS.contains(&word.keyword) && !matches!(word.keyword, Keyword::VALUES | Keyword::AS)
    };
    *bracket == Token::LParen && matches!(name, Token::Word(word) if is_name(word))
}

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

    #[test]
    fn calls_are_counted() {
        let calls = |count: usize| format!("SELECT {}", vec!["abs(1)"; count].join(", "));
        assert!(check_size(&calls(OPERATORS_MAX)).is_ok());
        assert!(check_size(&calls(OPERATORS_MAX + 1)).is_err());
        assert!(check_size(&format!("VALUES {}", vec!["(1)"; 5000].join(", "))).is_ok());
    }

    #[test]
    fn what_the_parser_reads_again_and_again_is_refused() {
        let nested = |open: &str, levels: usize| format!("SELECT {}1", open.repeat(levels));
        for (open, few, many) in [
            ("array[", 10, 20),
            ("cast(", 8, 20),
            ("try_convert(", 8, 20),
            ("position(", 5, 10),
            ("interval ", 5, 20),
            ("interval -", 5, 20),
            ("interval f(", 4, 12),
            ("interval case when ", 5, 20),
            ("substring(", 8, 20),
            ("(select ", 10, 20),
            ("(select * from ((", 4, 12),
            ("not(", 5, 20),
            ("not - ", 10, 20),
            ("not ~ ", 10, 20),
            ("case - ", 10, 20),
            ("not (1) - ", 5, 20),
            ("case in (", 5, 20),
            ("not in (", 4, 20),
            ("abs(", 10, 30),
            ("f(x, ", 10, 30),
            ("1 + and(", 10, 30),
            ("a.", 10, 30),
            ("a[1].", 10, 30),
            ("a.f(", 5, 20),
        ] {
            assert!(check_size(&nested(open, few)).is_ok(), "{open}");
            let error = check_size(&nested(open, many)).unwrap_err();
            assert!(error.message.contains("nested too deeply"), "{open}: {error}");
        }
        let with = "with a as (".repeat(20) + "select 1";
        assert!(check_size(&with).is_err());
        // Beside each other they are not within each other, and of a long text fewer may be.
        assert!(check_size(&format!("SELECT {}", vec!["cast(x as text)"; 300].join(", "))).is_ok());
        let long = format!("SELECT {}{}", "array[".repeat(10), "1,".repeat(20_000));
        assert!(check_size(&long).is_err());
        for harmless in ["(", "a in (", "case when ", "a AND ("] {
            assert!(check_size(&nested(harmless, 45)).is_ok(), "{harmless}");
        }
        let replaced = format!("SELECT {}x{}", "replace(".repeat(12), ", 'a', 'b')".repeat(12));
        assert!(check_size(&replaced).is_ok());
        for condition in [
            "a > now() - interval '1 day'",
            "NOT (a = 1 OR b = 2)",
            "value NOT IN (1, 2)",
            "t.name IS NOT NULL",
            "t.interval = 5",
            "NOT EXISTS (SELECT 1 FROM u WHERE u.a = t.a)",
            "CASE WHEN NOT a THEN b = 1 ELSE c NOT LIKE 'x%' END",
            "lower(t.name) = coalesce(nullif(trim(u.name), ''), 'x')",
        ] {
            let all = [condition; 30].join(" AND ");
            assert!(check_size(&format!("SELECT 1 WHERE {all}")).is_ok(), "{condition}");
        }
        let cases = "CASE WHEN (a = 1) THEN 'b' ELSE (".repeat(8) + "'c'" + &") END".repeat(8);
        assert!(check_size(&format!("SELECT {cases}")).is_ok());
        let list = vec!["'10.0.0.1'"; 5000].join(", ");
        assert!(check_size(&format!("SELECT * FROM (SELECT * FROM t WHERE (value IN ({list})))")).is_ok());
    }
}
