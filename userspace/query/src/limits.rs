//! How large a query may be.
//!
//! Planning, running and dropping a plan all walk its expressions recursively, so their depth must be
//! bounded before anything walks them. The parser bounds brackets; a chain such as `a OR b OR …` is as
//! deep as it is long, and is bounded here. So are calls, each of which may hold something, and what the parser reads
//! again and again: behind `CAST(`, `ARRAY[`, `NOT` and their like it begins anew where they turn out not to be what they
//! seemed, once a level, so that what is nested in twenty of them would be read a million times. PostgreSQL's parser
//! reads the arguments of each call twice, also where nothing is wrong.

use crate::error::SqlError;
use datafusion::sql::sqlparser::dialect::{Dialect, GenericDialect, PostgreSqlDialect};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer, Word};

/// Characters of a query's text.
pub(crate) const SQL_LENGTH_MAX: usize = 64 * 1024;

/// Operators in a query's text, and calls.
const OPERATORS_MAX: usize = 1000;

/// Tokens that the parser may come to read, those that it reads several times counted as often.
const READINGS_MAX: usize = 1 << 20;

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

/// How often, at most, the parser reads tokens: each as often as what it is nested in is read anew.
fn readings(tokens: &[Token], dialect: &dyn Dialect) -> usize {
    // How often it doubles: for the brackets around it, for words before it, and for names that end in dots.
    let (mut outside, mut now, mut words, mut dots) = (vec![], 0_u32, 0_u32, 0_u32);
    let (mut all, reads_twice) = (0_usize, dialect.supports_named_fn_args_with_expr_name());
    // Whether tables may be in the brackets that open.
    let mut holds_tables = false;
    for (place, token) in tokens.iter().enumerate() {
        let before = place.checked_sub(1).and_then(|place| tokens.get(place)).unwrap_or(&Token::EOF);
        holds_tables = *token == Token::LParen
            && (is_before_tables(before) || (holds_tables && *before == Token::LParen));
        match token {
            Token::LParen | Token::LBracket => {
                outside.push((now, words, dots));
                now += words + dots + weight(tokens, place, holds_tables);
                now += u32::from(reads_twice && is_read_as_call(tokens, place));
                (words, dots) = (0, 0);
            }
            // What came before goes on behind them: `NOT (a) - NOT (b)`, `a[1].b`.
            Token::RParen | Token::RBracket => {
                (now, words, dots) = outside.pop().unwrap_or((now, words, dots));
            }
            Token::Period => dots += 1,
            Token::Word(_) if *before == Token::Period => {}
            Token::Word(word) if ANEW.contains(&word.keyword) => (words, dots) = (words + 1, 0),
            Token::Word(word) if BETWEEN_WORDS.contains(&word.keyword) => dots = 0,
            Token::Word(word) => {
                now += if word.keyword == Keyword::INTERVAL { interval(tokens, place) } else { 0 };
                (words, dots) = (0, 0);
            }
            Token::Comma | Token::SemiColon | Token::Number(..) | Token::SingleQuotedString(_) => {
                (words, dots) = (0, 0);
            }
            // A sign may stand before the next such word.
            _ => dots = 0,
        }
        all = all.saturating_add(1_usize.checked_shl(now + words + dots).unwrap_or(usize::MAX));
    }
    all
}

/// How often what is behind INTERVAL is read twice, unless it is a text.
fn interval(tokens: &[Token], place: usize) -> u32 {
    let [_, _, behind] = around(tokens, place);
    let is_short = matches!(
        behind,
        Token::SingleQuotedString(_)
            | Token::Number(..)
            | Token::Placeholder(_)
            | Token::Comma
            | Token::RParen
            | Token::SemiColon
            | Token::EOF
    );
    if is_short { 0 } else { 2 }
}

/// How often what is behind an opening bracket is read twice.
fn weight(tokens: &[Token], place: usize, holds_tables: bool) -> u32 {
    let [before, bracket, behind] = around(tokens, place);
    match keyword(before) {
        Keyword::POSITION => 2,
        word if READ_TWICE.contains(&word) => 1,
        _ if *bracket == Token::LBracket => 0,
        _ if matches!(keyword(behind), Keyword::SELECT | Keyword::WITH) => 1,
        _ => u32::from(holds_tables && *behind == Token::LParen),
    }
}

/// Whether a bracket may hold arguments, each of which PostgreSQL's parser reads as a name first.
fn is_read_as_call(tokens: &[Token], place: usize) -> bool {
    let [before, bracket, behind] = around(tokens, place);
    let further = place.checked_sub(2).and_then(|place| tokens.get(place)).unwrap_or(&Token::EOF);
    *bracket == Token::LParen
        && matches!(before, Token::Word(_))
        && !ends_expression(further)
        && !matches!(keyword(behind), Keyword::SELECT | Keyword::WITH)
}

/// Whether no call begins behind a token: `x IN (` is none.
fn ends_expression(token: &Token) -> bool {
    match token {
        Token::Word(word) => word.keyword == Keyword::NoKeyword,
        other => {
            matches!(
                other,
                Token::RParen | Token::RBracket | Token::Number(..) | Token::SingleQuotedString(_)
            )
        }
    }
}

/// A token, and those beside it.
fn around(tokens: &[Token], place: usize) -> [&Token; 3] {
    let places = [place.checked_sub(1), Some(place), place.checked_add(1)];
    places.map(|place| place.and_then(|place| tokens.get(place)).unwrap_or(&Token::EOF))
}

fn is_before_tables(token: &Token) -> bool {
    *token == Token::Comma || matches!(keyword(token), Keyword::FROM | Keyword::JOIN | Keyword::LATERAL)
}

const fn keyword(token: &Token) -> Keyword {
    match token {
        Token::Word(word) => word.keyword,
        _ => Keyword::NoKeyword,
    }
}

/// Plans on a stack that is large enough for every query within the limits.
pub fn with_stack<T>(plan: impl FnOnce() -> T) -> T {
    stacker::grow(PLANNING_STACK_OCTETS, plan)
}

/// Words behind which the parser reads on as if they were names, also without a bracket.
const ANEW: [Keyword; 3] = [Keyword::CASE, Keyword::NOT, Keyword::PRIOR];

/// Words that may stand behind such a word as behind a name.
const BETWEEN_WORDS: [Keyword; 22] = [
    Keyword::AND,
    Keyword::AT,
    Keyword::BETWEEN,
    Keyword::COLLATE,
    Keyword::DIV,
    Keyword::EXCEPT,
    Keyword::ILIKE,
    Keyword::IN,
    Keyword::INTERSECT,
    Keyword::IS,
    Keyword::LIKE,
    Keyword::MATCH,
    Keyword::MEMBER,
    Keyword::MINUS,
    Keyword::OPERATOR,
    Keyword::OR,
    Keyword::OVERLAPS,
    Keyword::REGEXP,
    Keyword::RLIKE,
    Keyword::SIMILAR,
    Keyword::UNION,
    Keyword::XOR,
];

/// The same before a bracket, once what they begin turns out to be wrong.
const READ_TWICE: [Keyword; 22] = [
    Keyword::ARRAY,
    Keyword::AS,
    Keyword::CAST,
    Keyword::CEIL,
    Keyword::CONVERT,
    Keyword::CURRENT_DATE,
    Keyword::CURRENT_TIME,
    Keyword::CURRENT_TIMESTAMP,
    Keyword::EXTRACT,
    Keyword::FLOOR,
    Keyword::LOCALTIME,
    Keyword::LOCALTIMESTAMP,
    Keyword::MAP,
    Keyword::MATERIALIZED,
    Keyword::OVERLAY,
    Keyword::ROW,
    Keyword::SAFE_CAST,
    Keyword::STRUCT,
    Keyword::SUBSTR,
    Keyword::SUBSTRING,
    Keyword::TRY_CAST,
    Keyword::TRY_CONVERT,
];

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
        let days = vec!["a > now() - interval '1 day'"; 30].join(" AND ");
        assert!(check_size(&format!("SELECT 1 WHERE {days}")).is_ok());
    }
}
