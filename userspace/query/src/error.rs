//! What is wrong with a query: one sentence, the place in its text, and what would be right.

use crate::places::place_of_message;
use crate::tokens::tokens;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan};
use std::fmt;

/// A query that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlError {
    /// What is wrong.
    pub message: String,
    /// What would be right, if that can be said.
    pub help: Option<String>,
    /// Where.
    pub place: Option<Place>,
}

/// A place in the text of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Characters to underline.
    pub width: usize,
    /// The line's text.
    pub text: String,
}

impl SqlError {
    /// A refusal with what to write instead.
    pub(crate) fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { message: message.into(), help: Some(help.into()), place: None }
    }

    /// This error at the token of `sql` that begins at `start`.
    pub(crate) fn at(mut self, sql: &str, start: Location) -> Self {
        self.place = self.place.or_else(|| place_at(sql, start.line, start.column));
        self
    }

    /// This error where its message belongs, as far as that can be said.
    pub(crate) fn placed(self, sql: &str) -> Self {
        match place_of_message(&self.message, sql) {
            Some(start) if self.place.is_none() => self.at(sql, start),
            _ => self,
        }
    }

    /// This error at the first token of `sql` that is or holds `word`.
    pub(crate) fn at_word(mut self, sql: &str, word: &str) -> Self {
        self.place = self.place.or_else(|| place_of_word(sql, word));
        self
    }
}

impl std::error::Error for SqlError {}

impl fmt::Display for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.message)?;
        if let Some(place) = &self.place {
            let indent = " ".repeat(place.column.saturating_sub(1));
            write!(f, "\n  at line {}, column {}:\n  | {}", place.line, place.column, place.text)?;
            write!(f, "\n  | {indent}{}", "^".repeat(place.width.max(1)))?;
        }
        self.help.as_ref().map_or(Ok(()), |help| write!(f, "\n  help: {help}"))
    }
}

/// The place of the token that begins at a line and a column.
pub(crate) fn place_at(sql: &str, line: u64, column: u64) -> Option<Place> {
    let (line, column) = (usize::try_from(line).ok()?, usize::try_from(column).ok()?);
    let tokens = tokens(sql);
    let here = |token: &&TokenWithSpan| {
        (token.span.start.line, token.span.start.column) == (line as u64, column as u64)
    };
    let width = tokens.iter().find(here).map_or(1, token_width);
    place(sql, line, column, width)
}

fn place_of_word(sql: &str, word: &str) -> Option<Place> {
    let tokens = tokens(sql);
    let token = tokens.iter().find(|token| match &token.token {
        Token::Word(found) => found.value.eq_ignore_ascii_case(word),
        Token::SingleQuotedString(found) => found == word,
        _ => false,
    })?;
    let (line, column) = (token.span.start.line, token.span.start.column);
    place(sql, usize::try_from(line).ok()?, usize::try_from(column).ok()?, token_width(token))
}

fn token_width(token: &TokenWithSpan) -> usize {
    let span = token.span;
    let one_line = span.start.line == span.end.line;
    if one_line { usize::try_from(span.end.column.saturating_sub(span.start.column)).unwrap_or(1) } else { 1 }
}

fn place(sql: &str, line: usize, column: usize, width: usize) -> Option<Place> {
    let text = sql.lines().nth(line.checked_sub(1)?)?.replace('\t', " ");
    Some(Place { line, column, width, text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_underlined() {
        let error = SqlError::new("there is no column 'src_pi'", "did you mean src_ip?")
            .at_word("SELECT src_pi\nFROM packets", "src_pi");
        let text = "there is no column 'src_pi'\n  at line 1, column 8:\n  | SELECT src_pi\n  |        ^^^^^^\n  help: did you mean src_ip?";
        assert_eq!(error.to_string(), text);
    }
}
