//! The words and symbols of a filter.

use super::error::FilterError;
use std::ops::Range;

/// Octets of the text of a filter.
const TEXT_OCTETS_MAX: usize = 1 << 16;

/// Longer ones first.
const SYMBOLS: [&str; 24] = [
    "&&", "||", "!=", "<>", "<=", ">=", "==", "<<", ">>", "(", ")", "[", "]", "!", "=", "<", ">", "&", "|",
    "^", "+", "-", "*", "%",
];
/// Symbols that stand within words elsewhere.
const SLASH: &str = "/";
const COLON: &str = ":";

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind<'a> {
    /// A keyword, a number, an address or a name.
    Word(&'a str),
    Symbol(&'static str),
    /// Nothing follows.
    End,
}

/// A token, and its octets in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind<'a>,
    start: usize,
    end: usize,
}

impl Token<'_> {
    pub(super) fn place(&self) -> Range<usize> {
        self.start..self.end
    }

    /// From this token to another one.
    pub(super) fn up_to(&self, last: &Token<'_>) -> Range<usize> {
        self.start..last.end.max(self.end)
    }
}

/// The tokens of a text, with its end as the last one.
///
/// # Errors
/// What is no part of any filter.
pub(super) fn lex(text: &str) -> Result<Vec<Token<'_>>, FilterError> {
    if text.len() > TEXT_OCTETS_MAX {
        let message =
            format!("the filter has {} octets, and a filter has at most {TEXT_OCTETS_MAX}", text.len());
        return Err(FilterError::new(text, 0..1, message, "write prefixes in place of many addresses"));
    }
    let mut tokens = vec![];
    let (mut at, mut is_index) = (0, false);
    while let Some(next) = text.get(at..).and_then(|rest| rest.chars().next()) {
        if next.is_whitespace() {
            at += next.len_utf8();
            continue;
        }
        let rest = text.get(at..).unwrap_or_default();
        let (kind, octets) = token(rest, is_index).ok_or_else(|| {
            let message = format!("`{}` means nothing in a filter", next.escape_debug());
            FilterError::new(text, at..at + next.len_utf8(), message, "leave it out")
        })?;
        match kind {
            Kind::Symbol("[") => is_index = true,
            Kind::Symbol("]") => is_index = false,
            _ => {}
        }
        tokens.push(Token { kind, start: at, end: at + octets });
        at += octets;
    }
    tokens.push(Token { kind: Kind::End, start: text.len(), end: text.len() });
    Ok(tokens)
}

/// The token that a text begins with, and its octets. Within an index, a colon stands between two numbers.
fn token(text: &str, is_index: bool) -> Option<(Kind<'_>, usize)> {
    // A backslash says that a word is no keyword; which it is, its place says as well.
    let escaped = text.strip_prefix('\\');
    let body = escaped.unwrap_or(text);
    let in_word =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-') || c == ':' && !is_index;
    let begins = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':' && !is_index;
    if body.starts_with(begins) {
        let octets = body.find(|c: char| !in_word(c)).unwrap_or(body.len());
        let word = body.get(..octets)?;
        return Some((Kind::Word(word), octets + text.len() - body.len()));
    }
    let symbols = SYMBOLS.iter().chain([&SLASH, &COLON]);
    let symbol = symbols.copied().find(|symbol| text.starts_with(symbol))?;
    Some((Kind::Symbol(symbol), symbol.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<Kind<'_>> {
        lex(text).unwrap().into_iter().map(|token| token.kind).collect()
    }

    #[test]
    fn words_hold_addresses_and_names() {
        use Kind::{End, Symbol, Word};
        let expected =
            [Word("net"), Word("2001:db8::"), Symbol("/"), Word("32"), Symbol("||"), Word("ftp-data"), End];
        assert_eq!(kinds("net 2001:db8::/32||ftp-data"), expected);
        let expected = [
            Word("tcp"),
            Symbol("["),
            Word("2"),
            Symbol(":"),
            Word("2"),
            Symbol("]"),
            Symbol("&"),
            Word("tcp-syn"),
            Symbol("!="),
            Word("0"),
            End,
        ];
        assert_eq!(kinds("tcp[2:2]&tcp-syn!=0"), expected);
        assert_eq!(kinds("!(\\tcp)"), [Symbol("!"), Symbol("("), Word("tcp"), Symbol(")"), End]);
        assert_eq!(kinds("host ::1"), [Word("host"), Word("::1"), End]);
    }

    #[test]
    fn what_is_no_part_of_a_filter_is_told() {
        let error = lex("port 80 ; ls").unwrap_err().to_string();
        assert!(error.starts_with("`;` means nothing in a filter\n  at line 1, column 9:"), "{error}");
        assert!(lex("tcp and ü").unwrap_err().to_string().contains("column 9"));
        assert!(lex(&"(".repeat(100_000)).unwrap_err().to_string().contains("at most 65536"));
    }
}
