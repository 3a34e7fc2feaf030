//! The tokens of a filter, one after the other, and what is known of those before.

use super::error::FilterError;
use super::lexer::{Kind, Token, lex};
use super::qualifiers::Qualifiers;

/// Brackets and `not` within each other, and changes between `and` and `or`.
const DEPTH_MAX: usize = 100;
/// What a filter may look like.
pub(super) const EXAMPLE: &str = "write e.g. tcp port 443 and not net 10.0.0.0/8";

/// Headers in front of IP that the parts so far have asked for, as far as these hold together.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Entered {
    pub(super) tags: u8,
    pub(super) labels: u8,
}

impl Entered {
    pub(super) fn max(self, other: Self) -> Self {
        Self { tags: self.tags.max(other.tags), labels: self.labels.max(other.labels) }
    }
}

/// Reads a filter from its beginning to its end.
pub(super) struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token<'a>>,
    end: Token<'a>,
    at: usize,
    depth: usize,
    /// How often `and` came behind `or`, or the other way round: each is a level of the condition.
    turns: usize,
    pub(super) entered: Entered,
    /// What was said of the last address, port or number, and where: the next one is of that kind, if it says nothing.
    pub(super) recent: Option<(Qualifiers, Token<'a>)>,
}

impl<'a> Parser<'a> {
    pub(super) fn new(text: &'a str) -> Result<Self, FilterError> {
        let mut tokens = lex(text)?;
        let Some(end) = tokens.pop() else {
            return Err(FilterError::new(text, 0..0, "the filter is empty", EXAMPLE));
        };
        Ok(Self { text, tokens, end, at: 0, depth: 0, turns: 0, entered: Entered::default(), recent: None })
    }

    /// One level further in.
    pub(super) fn nested<T>(
        &mut self,
        token: Token<'a>,
        part: impl FnOnce(&mut Self) -> Result<T, FilterError>,
    ) -> Result<T, FilterError> {
        if self.depth == DEPTH_MAX {
            let message = format!("the filter is nested more than {DEPTH_MAX} levels deep");
            return Err(self.refuse(token, message, "leave out brackets that change nothing"));
        }
        self.depth += 1;
        let part = part(self)?;
        self.depth -= 1;
        Ok(part)
    }

    /// Notes that `and` came behind `or`, or the other way round.
    pub(super) fn turn(&mut self, token: Token<'a>) -> Result<(), FilterError> {
        self.turns += 1;
        if self.turns <= DEPTH_MAX {
            return Ok(());
        }
        let message = format!("and and or take turns more than {DEPTH_MAX} times");
        Err(self.refuse(token, message, "put brackets around what belongs together"))
    }

    /// Takes the symbol that closes what was opened.
    pub(super) fn close(&mut self, opening: Token<'a>, symbol: &'static str) -> Result<(), FilterError> {
        if self.take(symbol) {
            return Ok(());
        }
        let help = format!("write {symbol} behind what it holds, and and or between its parts");
        Err(self.refuse(opening, format!("this is not closed by {symbol}"), help))
    }

    /// The next token, which stays.
    pub(super) fn peek(&self) -> Token<'a> {
        self.peek_at(0)
    }

    /// The token so many places further on.
    pub(super) fn peek_at(&self, ahead: usize) -> Token<'a> {
        self.tokens.get(self.at + ahead).copied().unwrap_or(self.end)
    }

    /// The next token.
    pub(super) fn next(&mut self) -> Token<'a> {
        let token = self.peek();
        self.at += 1;
        token
    }

    /// Takes the next token if it is this symbol.
    pub(super) fn take(&mut self, symbol: &str) -> bool {
        let is_next = matches!(self.peek().kind, Kind::Symbol(next) if next == symbol);
        self.at += usize::from(is_next);
        is_next
    }

    /// Takes the next token if it is this word.
    pub(super) fn take_word(&mut self, word: &str) -> bool {
        let is_next = matches!(self.peek().kind, Kind::Word(next) if next == word);
        self.at += usize::from(is_next);
        is_next
    }

    /// The token behind the brackets that begin here; the end, if they are not closed.
    pub(super) fn behind_brackets(&self) -> Token<'a> {
        let mut open = 0_usize;
        let rest = self.tokens.get(self.at..).unwrap_or_default();
        let closing = rest.iter().position(|token| {
            match token.kind {
                Kind::Symbol("(") => open += 1,
                Kind::Symbol(")") => open -= 1,
                _ => {}
            }
            open == 0
        });
        closing.map_or(self.end, |closing| self.peek_at(closing + 1))
    }

    /// The text of a token.
    pub(super) fn text_of(&self, token: Token<'_>) -> &'a str {
        self.text.get(token.place()).unwrap_or_default()
    }

    /// The text from one token to another one.
    pub(super) fn text_up_to(&self, first: Token<'_>, last: Token<'_>) -> &'a str {
        self.text.get(first.up_to(&last)).unwrap_or_default()
    }

    pub(super) fn refuse(
        &self,
        token: Token<'_>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> FilterError {
        FilterError::new(self.text, token.place(), message, help)
    }

    pub(super) fn refuse_all(
        &self,
        [first, last]: [Token<'_>; 2],
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> FilterError {
        FilterError::new(self.text, first.up_to(&last), message, help)
    }
}
