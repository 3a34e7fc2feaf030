//! The text of a query in pieces: tokens with their places in it, and the clauses of a SELECT.
//!
//! What is between the pieces, white space and comments, stays as somebody wrote it.

use crate::sensors::begins_sensors;
use crate::tokens::tokens;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, Word};
use std::cmp::Ordering;
use std::collections::HashMap;
use std::ops::Range;
use std::slice;

/// The functions that are windows.
const WINDOWS: [&str; 3] = ["tumble", "hop", "tumble_rows"];

/// A text as its tokens.
pub(super) struct Text<'a> {
    pub(super) sql: &'a str,
    pieces: Vec<Piece>,
}

/// A token, where it stands in the text, and in how many brackets.
struct Piece {
    token: Token,
    octets: Range<usize>,
    start: Location,
    depth: usize,
}

/// Pieces behind each other, by their numbers.
pub(super) type Part = Range<usize>;

/// A clause: its first word, and what stands behind its words.
#[derive(Clone, Debug)]
pub(super) struct Clause {
    pub(super) start: usize,
    pub(super) body: Part,
}

/// The clauses of one SELECT that can be changed.
#[derive(Clone, Debug)]
pub(super) struct Clauses {
    pub(super) list: Part,
    pub(super) from: Clause,
    pub(super) filter: Option<Clause>,
    pub(super) group: Option<Clause>,
    pub(super) order: Option<Clause>,
}

/// What clause begins somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begins {
    From,
    Filter,
    Group,
    Order,
    /// Another one, which nobody changes.
    Other,
    /// What is no part of this SELECT.
    End,
}

impl<'a> Text<'a> {
    pub(super) fn new(sql: &'a str) -> Option<Self> {
        let offsets = offsets(sql);
        let (mut pieces, mut depth) = (vec![], 0_usize);
        for found in tokens(sql) {
            if matches!(found.token, Token::Whitespace(_) | Token::EOF) {
                continue;
            }
            let (start, end) = (offsets.get(&found.span.start)?, offsets.get(&found.span.end)?);
            if closes(&found.token) {
                depth = depth.saturating_sub(1);
            }
            let (octets, start) = (*start..*end, found.span.start);
            let opens = opens(&found.token);
            pieces.push(Piece { token: found.token, octets, start, depth });
            depth += usize::from(opens);
        }
        Some(Self { sql, pieces })
    }

    /// The whole text.
    pub(super) fn all(&self) -> Part {
        0..self.pieces.len()
    }

    /// The part as it was written.
    pub(super) fn text(&self, part: &Part) -> &'a str {
        &self.sql[self.octets(part)]
    }

    /// Where a part stands.
    pub(super) fn octets(&self, part: &Part) -> Range<usize> {
        if part.is_empty() {
            let end = self.pieces.get(part.start).map_or(self.sql.len(), |piece| piece.octets.start);
            return end..end;
        }
        self.pieces[part.start].octets.start..self.pieces[part.end - 1].octets.end
    }

    /// Where the piece before this one ends.
    pub(super) fn end_before(&self, piece: usize) -> usize {
        piece.checked_sub(1).map_or(0, |before| self.pieces[before].octets.end)
    }

    /// A part without what does not matter: white space, comments, capital letters.
    pub(super) fn normal(&self, part: &Part) -> String {
        let words = self.pieces[part.clone()].iter().map(|piece| match &piece.token {
            Token::Word(word) if word.quote_style.is_none() => word.value.to_ascii_lowercase(),
            Token::Word(word) => word.value.clone(),
            other => other.to_string(),
        });
        words.collect::<Vec<_>>().join(" ")
    }

    /// The texts to which a condition compares the column `source`, if that is all that it says.
    pub(super) fn sources(&self, condition: &Part) -> Option<Vec<String>> {
        let tokens: Vec<&Token> = self.pieces[condition.clone()].iter().map(|piece| &piece.token).collect();
        let is_qualified = matches!(tokens.as_slice(), [Token::Word(_), Token::Period, ..]);
        let own = &tokens[if is_qualified { 2 } else { 0 }..];
        let (Token::Word(column), texts) = own.split_first()? else { return None };
        let texts = match texts {
            [Token::Eq, text] => slice::from_ref(text),
            [Token::Word(word), Token::LParen, texts @ .., Token::RParen] if word.keyword == Keyword::IN => {
                texts
            }
            _ => return None,
        };
        let texts = texts.iter().filter(|token| ***token != Token::Comma).map(|token| match token {
            Token::SingleQuotedString(text) => Some(text.clone()),
            _ => None,
        });
        if column.value.eq_ignore_ascii_case("source") { texts.collect() } else { None }
    }

    /// What of a list behind GROUP BY or ORDER BY names columns by their places, and which.
    pub(super) fn places(&self, list: &Part) -> Vec<(Part, usize)> {
        let first = |part: Part| {
            let place = part.start..(part.start + 1).min(part.end);
            let behind = self.normal(&(place.end..part.end));
            let is_alone =
                behind.is_empty() || ["asc", "desc", "nulls"].iter().any(|word| behind.starts_with(word));
            self.number(&place).filter(|_| is_alone).map(|number| (place, number))
        };
        self.list(list).into_iter().filter_map(first).collect()
    }

    /// How many columns are named so in the whole text.
    pub(super) fn count_places(&self) -> usize {
        let is_list = |place: &usize| matches!(self.begins(*place), Some(Begins::Group | Begins::Order));
        let lists = self.all().filter(is_list).map(|start| start + 2..self.end_of_list(start));
        lists.map(|list| self.places(&list).len()).sum()
    }

    /// Where a list behind GROUP BY or ORDER BY ends.
    fn end_of_list(&self, start: usize) -> usize {
        let depth = self.pieces[start].depth;
        let ends = |place: &usize| match self.pieces[*place].depth.cmp(&depth) {
            Ordering::Less => true,
            Ordering::Equal => self.begins(*place).is_some(),
            Ordering::Greater => false,
        };
        (start + 2..self.pieces.len()).find(ends).unwrap_or(self.pieces.len())
    }

    /// The number that a part is.
    pub(super) fn number(&self, part: &Part) -> Option<usize> {
        match &self.pieces[part.clone()] {
            [Piece { token: Token::Number(digits, _), .. }] => digits.parse().ok(),
            _ => None,
        }
    }

    /// Whether a part is one thing beside operators: a word, a literal, something in brackets, a call.
    pub(super) fn is_one(&self, part: &Part) -> bool {
        let pieces = &self.pieces[part.clone()];
        let Some(first) = pieces.first() else { return false };
        let same_depth = pieces.iter().filter(|piece| piece.depth == first.depth);
        let is_parted = same_depth.clone().any(|piece| {
            !matches!(piece.token, Token::Word(_) | Token::Period | Token::LParen | Token::RParen)
        });
        let brackets = same_depth.filter(|piece| piece.token == Token::LParen).count();
        let words = pieces.windows(2).filter(|pair| is_word(&pair[0]) && is_word(&pair[1])).count();
        pieces.len() == 1 || !is_parted && brackets <= 1 && words == 0
    }

    /// Whether it is a call of a window.
    pub(super) fn is_window(&self, part: &Part) -> bool {
        self.window_calls(part).first().is_some_and(|call| call == part)
    }

    /// Calls of windows within a part.
    pub(super) fn window_calls(&self, part: &Part) -> Vec<Part> {
        let mut calls = vec![];
        for place in part.clone() {
            let Some([name, bracket]) = self.pieces.get(place..place + 2) else { continue };
            if !is_window(name) || bracket.token != Token::LParen {
                continue;
            }
            let behind = self.pieces[place + 2..].iter();
            let closing = behind.take_while(|piece| piece.depth > bracket.depth).count();
            calls.push(place..(place + 3 + closing).min(self.pieces.len()));
        }
        calls
    }

    /// The parts of a list, between its commas.
    pub(super) fn list(&self, part: &Part) -> Vec<Part> {
        self.split(part, |piece| piece.token == Token::Comma)
    }

    /// The conditions that all hold; one where they are joined by OR.
    pub(super) fn conditions(&self, part: &Part) -> Vec<Part> {
        if self.has_or(part) {
            return vec![part.clone()];
        }
        let (mut cases, mut betweens) = (0_usize, 0_usize);
        self.split(part, |piece| {
            match keyword(piece) {
                Keyword::CASE => cases += 1,
                Keyword::END => cases = cases.saturating_sub(1),
                Keyword::BETWEEN if cases == 0 => betweens += 1,
                Keyword::AND if cases == 0 && betweens > 0 => betweens -= 1,
                Keyword::AND => return cases == 0,
                _ => {}
            }
            false
        })
    }

    /// Whether a condition falls apart beside AND.
    pub(super) fn has_or(&self, part: &Part) -> bool {
        let depth = self.pieces.get(part.start).map_or(0, |piece| piece.depth);
        let mut own = self.pieces[part.clone()].iter().filter(|piece| piece.depth == depth);
        own.any(|piece| matches!(keyword(piece), Keyword::OR | Keyword::XOR))
    }

    fn split(&self, part: &Part, mut is_between: impl FnMut(&Piece) -> bool) -> Vec<Part> {
        let depth = self.pieces.get(part.start).map_or(0, |piece| piece.depth);
        let (mut parts, mut start) = (vec![], part.start);
        for place in part.clone() {
            let piece = &self.pieces[place];
            if piece.depth == depth && is_between(piece) {
                parts.push(start..place);
                start = place + 1;
            }
        }
        parts.push(start..part.end);
        parts.retain(|part| !part.is_empty());
        parts
    }

    /// The clauses of the SELECT that begins there.
    pub(super) fn clauses(&self, start: Location) -> Option<Clauses> {
        let select = self.pieces.iter().position(|piece| piece.start == start)?;
        let depth = self.pieces[select].depth;
        let (mut found, mut end) = (vec![], self.pieces.len());
        for place in select + 1..self.pieces.len() {
            let begins = match self.pieces[place].depth.cmp(&depth) {
                Ordering::Less => Some(Begins::End),
                Ordering::Equal => self.begins(place),
                Ordering::Greater => None,
            };
            match begins {
                Some(Begins::End) => {
                    end = place;
                    break;
                }
                Some(begins) => found.push((begins, place)),
                None => {}
            }
        }
        let clause = |kind: Begins| {
            let at = found.iter().position(|(begins, _)| *begins == kind)?;
            let start = found[at].1;
            let words = if matches!(kind, Begins::Group | Begins::Order) { 2 } else { 1 };
            let behind = found.get(at + 1).map_or(end, |(_, next)| *next);
            Some(Clause { start, body: start + words..behind })
        };
        let from = clause(Begins::From)?;
        let behind = keyword(self.pieces.get(select + 1)?);
        let distinct = usize::from(matches!(behind, Keyword::DISTINCT | Keyword::ALL));
        Some(Clauses {
            list: select + 1 + distinct..from.start,
            from,
            filter: clause(Begins::Filter),
            group: clause(Begins::Group),
            order: clause(Begins::Order),
        })
    }

    fn begins(&self, place: usize) -> Option<Begins> {
        let at = |place: usize| self.pieces.get(place).map_or(Keyword::NoKeyword, keyword);
        let before = place.checked_sub(1).map_or(Keyword::NoKeyword, at);
        match at(place) {
            // IS DISTINCT FROM.
            Keyword::FROM if before != Keyword::DISTINCT => Some(Begins::From),
            Keyword::WHERE => Some(Begins::Filter),
            Keyword::GROUP if at(place + 1) == Keyword::BY => Some(Begins::Group),
            Keyword::ORDER if at(place + 1) == Keyword::BY => Some(Begins::Order),
            Keyword::HAVING | Keyword::QUALIFY | Keyword::LIMIT | Keyword::OFFSET | Keyword::FETCH => {
                Some(Begins::Other)
            }
            Keyword::WINDOW if at(place + 2) == Keyword::AS => Some(Begins::Other),
            Keyword::UNION | Keyword::EXCEPT | Keyword::INTERSECT | Keyword::MINUS => Some(Begins::End),
            Keyword::ON if self.begins_sensors(place) => Some(Begins::End),
            _ if self.pieces[place].token == Token::SemiColon => Some(Begins::End),
            _ => None,
        }
    }

    /// Whether ON SENSORS is there, which is of the whole statement.
    fn begins_sensors(&self, place: usize) -> bool {
        let Some([on, sensors]) = self.pieces.get(place..place + 2) else { return false };
        let behind = self.pieces.get(place + 2).map(|behind| &behind.token);
        begins_sensors(&on.token, &sensors.token, behind)
    }

    /// An item of a SELECT list without the name that it is given, if it is given one.
    pub(super) fn unnamed(&self, item: &Part, is_named: bool) -> Part {
        if !is_named {
            return item.clone();
        }
        let end = item.end.saturating_sub(1);
        let before = end.checked_sub(1).and_then(|before| self.pieces.get(before));
        let has_as = before.is_some_and(|piece| keyword(piece) == Keyword::AS);
        item.start..(end - usize::from(has_as && end > item.start)).max(item.start)
    }
}

/// Where each character stands.
fn offsets(sql: &str) -> HashMap<Location, usize> {
    let mut offsets = HashMap::with_capacity(sql.len() + 1);
    let (mut line, mut column) = (1, 1);
    for (offset, character) in sql.char_indices() {
        offsets.insert(Location { line, column }, offset);
        (line, column) = if character == '\n' { (line + 1, 1) } else { (line, column + 1) };
    }
    offsets.insert(Location { line, column }, sql.len());
    offsets
}

const fn opens(token: &Token) -> bool {
    matches!(token, Token::LParen | Token::LBracket | Token::LBrace)
}

const fn closes(token: &Token) -> bool {
    matches!(token, Token::RParen | Token::RBracket | Token::RBrace)
}

const fn is_word(piece: &Piece) -> bool {
    matches!(piece.token, Token::Word(_))
}

fn is_window(piece: &Piece) -> bool {
    let Token::Word(word) = &piece.token else { return false };
    WINDOWS.iter().any(|known| word.value.eq_ignore_ascii_case(known))
}

/// The word of the language that it is.
const fn keyword(piece: &Piece) -> Keyword {
    match &piece.token {
        Token::Word(Word { keyword, .. }) => *keyword,
        _ => Keyword::NoKeyword,
    }
}
