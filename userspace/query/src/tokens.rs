//! The text of queries as tokens.
//!
//! A text that cannot be parted into tokens is no fault here: planning says what is wrong with it.

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

/// The tokens of `sql`, with their places; none when it cannot be parted into tokens.
pub(crate) fn tokens(sql: &str) -> Vec<TokenWithSpan> {
    Tokenizer::new(&GenericDialect {}, sql).tokenize_with_location().unwrap_or_default()
}

/// The statements in `sql`, parted at semicolons outside of quotes and comments; empty ones left out.
#[must_use]
pub fn split_statements(sql: &str) -> Vec<String> {
    // Quotes within quotes are written again as they were.
    let Ok(tokens) = Tokenizer::new(&GenericDialect {}, sql).with_unescape(false).tokenize() else {
        return vec![sql.to_owned()];
    };
    let statements = tokens.split(|token| *token == Token::SemiColon);
    let is_code = |token: &Token| !matches!(token, Token::Whitespace(_) | Token::EOF);
    let statements: Vec<_> = statements.filter(|tokens| tokens.iter().any(is_code)).collect();
    match statements.as_slice() {
        // Written again, a text may not be the same to the letter.
        [_] => vec![sql.to_owned()],
        several => several.iter().map(|tokens| tokens.iter().map(ToString::to_string).collect()).collect(),
    }
}

/// Whether `sql` ends with a semicolon, outside of quotes and comments.
#[must_use]
pub fn is_ended(sql: &str) -> bool {
    let tokens = tokens(sql);
    let mut code = tokens.iter().rev().map(|token| &token.token);
    code.find(|token| !matches!(token, Token::Whitespace(_) | Token::EOF)) == Some(&Token::SemiColon)
}

#[cfg(test)]
mod tests {
    use super::{is_ended, split_statements};

    #[test]
    fn texts_in_several_statements_stay_what_they_are() {
        let parts = split_statements("SELECT 'it''s; one' ; SELECT 2");
        assert_eq!(parts, ["SELECT 'it''s; one' ", " SELECT 2"]);
    }

    #[test]
    fn a_statement_ends_with_a_semicolon() {
        for ended in ["SELECT 1;", "SELECT 1;\n -- that is all", "SELECT ';';", ";"] {
            assert!(is_ended(ended), "{ended}");
        }
        for open in ["", "SELECT 1", "SELECT 1 -- ;", "SELECT ';", "SELECT 1 /* ; */", "SELECT 1; SELECT"] {
            assert!(!is_ended(open), "{open}");
        }
    }
}
