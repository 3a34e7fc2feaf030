//! `ON SENSORS 'pop-*', 'lab-?'` at the end of a statement: on which sensors of an aggregator it runs.
//!
//! SQL has no such clause, so it is taken out of the text before that is parsed. What is left of the text stands where it
//! stood: places of errors are those of the whole.

use crate::continuous::ContinuousQuery;
use crate::error::SqlError;
use crate::tokens::tokens;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan};
use std::borrow::Cow;
use std::fmt;

/// Names of sensors, in which `*` stands for any letters and `?` for one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SensorPattern(String);

impl SensorPattern {
    /// Whether a sensor of this name is meant.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let (pattern, name): (Vec<char>, Vec<char>) = (self.0.chars().collect(), name.chars().collect());
        let (mut at, mut next) = (0, 0);
        // The last star, and up to where it stands for letters.
        let mut star = None;
        while let Some(letter) = name.get(next) {
            match pattern.get(at) {
                Some('*') => {
                    star = Some((at, next));
                    at += 1;
                }
                Some(wanted) if *wanted == '?' || wanted == letter => (at, next) = (at + 1, next + 1),
                _ => {
                    let Some((place, reached)) = star else { return false };
                    star = Some((place, reached + 1));
                    (at, next) = (place + 1, reached + 1);
                }
            }
        }
        pattern.get(at..).is_some_and(|rest| rest.iter().all(|letter| *letter == '*'))
    }
}

impl fmt::Display for SensorPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}'", self.0.replace('\'', "''"))
    }
}

impl ContinuousQuery {
    /// Refuses to choose among sensors where there are none: on a node that is no aggregator.
    ///
    /// # Errors
    /// Where the statement does, and where that works.
    pub fn check_names_no_sensors(&self) -> Result<(), SqlError> {
        if self.sensors.is_none() {
            return Ok(());
        }
        let message = "ON SENSORS chooses among the sensors of an aggregator, and this node has none";
        let error = SqlError::new(message, "leave ON SENSORS out, or add the query at the aggregator");
        Err(match find(&code(&self.sql)) {
            Some(clause) => error.at(&self.sql, clause.start),
            None => error,
        })
    }

    /// The sensors on which it runs, as they are written behind ON SENSORS; `None` where it runs on all.
    pub(crate) fn written_sensors(&self) -> Option<String> {
        let patterns = self.sensors.as_ref()?.iter();
        Some(patterns.map(ToString::to_string).collect::<Vec<_>>().join(", "))
    }
}

/// The text of one statement without the clause: another one, where it has it.
///
/// # Errors
/// When the clause is not at the end, or names no patterns.
pub fn without_sensors(statement: &str) -> Result<Cow<'_, str>, SqlError> {
    take_sensors(statement).map(|(text, _)| text)
}

/// The text of a statement without the clause, and what that says.
///
/// # Errors
/// When the clause is not at the end, or names no patterns.
pub(crate) fn take_sensors(sql: &str) -> Result<(Cow<'_, str>, Option<Vec<SensorPattern>>), SqlError> {
    let tokens = code(sql);
    let Some(clause) = find(&tokens) else { return Ok((Cow::Borrowed(sql), None)) };
    let mut behind = tokens.iter().skip_while(|token| token.span.start <= clause.end);
    let (mut patterns, mut end) = (vec![], clause.end);
    loop {
        let token = behind.next();
        let Some((pattern, token)) = token.and_then(|token| Some((text(token)?, token))) else {
            let start = token.map_or(clause.start, |token| token.span.start);
            let help = "write ON SENSORS 'pop-*', 'lab-?', in which * stands for any letters and ? for one";
            let error =
                SqlError::new("ON SENSORS takes names of sensors in quotes, or patterns of them", help);
            return Err(error.at(sql, start));
        };
        patterns.push(SensorPattern(pattern.to_owned()));
        end = token.span.end.max(end);
        match behind.next() {
            Some(token) if token.token == Token::Comma => {}
            // What is behind a semicolon is another statement, of which the parser speaks.
            None => break,
            Some(token) if token.token == Token::SemiColon => break,
            Some(token) => {
                let message = "ON SENSORS says where a whole statement runs, so it stands at its very end";
                let help = "write it once, behind ORDER BY and LIMIT and outside of brackets";
                return Err(SqlError::new(message, help).at(sql, token.span.start));
            }
        }
    }
    Ok((Cow::Owned(without(sql, clause.start, end)), Some(patterns)))
}

/// Whether these words begin the clause: ON, SENSORS, and what is behind them.
pub(crate) fn begins_sensors(on: &Token, sensors: &Token, behind: Option<&Token>) -> bool {
    let is_on = matches!(on, Token::Word(word) if word.keyword == Keyword::ON);
    let is_sensors = matches!(sensors, Token::Word(word)
        if word.quote_style.is_none() && word.value.eq_ignore_ascii_case("sensors"));
    // A table or a column behind the ON of a join may be called so; what follows it tells them apart.
    let is_name = |behind: &Token| match behind {
        Token::Word(word) => word.keyword == Keyword::NoKeyword,
        Token::SingleQuotedString(_) | Token::Number(..) | Token::Comma | Token::SemiColon => true,
        _ => false,
    };
    is_on && is_sensors && behind.is_none_or(is_name)
}

/// Where the words of the first clause stand.
fn find(tokens: &[TokenWithSpan]) -> Option<Span> {
    (0..tokens.len()).find_map(|place| {
        let (on, sensors) = (tokens.get(place)?, tokens.get(place + 1)?);
        let behind = tokens.get(place + 2).map(|behind| &behind.token);
        let span = Span::new(on.span.start, sensors.span.start);
        begins_sensors(&on.token, &sensors.token, behind).then_some(span)
    })
}

/// The tokens that are no white space and no comments.
fn code(sql: &str) -> Vec<TokenWithSpan> {
    let mut tokens = tokens(sql);
    tokens.retain(|found| !matches!(found.token, Token::Whitespace(_) | Token::EOF));
    tokens
}

/// The text in quotes that a token is, unless there is nothing in them.
fn text(found: &TokenWithSpan) -> Option<&str> {
    match &found.token {
        Token::SingleQuotedString(text) => Some(text.as_str()).filter(|text| !text.is_empty()),
        _ => None,
    }
}

/// A text with blanks from one place to another.
fn without(sql: &str, start: Location, end: Location) -> String {
    let mut here = Location { line: 1, column: 1 };
    let blank = |letter: char| {
        let is_gone = start <= here && here < end && letter != '\n';
        here = match letter {
            '\n' => Location { line: here.line + 1, column: 1 },
            _ => Location { column: here.column + 1, ..here },
        };
        if is_gone { ' ' } else { letter }
    };
    sql.chars().map(blank).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Planner;

    const COUNT: &str = "SELECT sensor, count(*) AS n FROM packets GROUP BY sensor, tumble('1 second')";

    fn matches(pattern: &str, name: &str) -> bool {
        SensorPattern(pattern.to_owned()).matches(name)
    }

    #[test]
    fn a_star_stands_for_any_letters_and_a_question_mark_for_one() {
        for (pattern, name, expected) in [
            ("pop-1", "pop-1", true),
            ("pop-1", "pop-12", false),
            ("pop-*", "pop-", true),
            ("pop-*", "pop-12", true),
            ("pop-?", "pop-1", true),
            ("pop-?", "pop-12", false),
            ("pop-?", "pop-", false),
            ("*", "", true),
            ("*-1", "a-1-1", true),
            ("*ab*ab", "abab", true),
            ("*ab*ab", "abcab", true),
            ("*ab*ab", "ab", false),
            ("a*?c", "abc", true),
            ("a*?c", "ac", false),
            ("ü?", "üß", true),
            ("Pop", "pop", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn the_clause_stands_at_the_end() {
        let written = |end: &str| {
            let query = Planner::new().plan(&format!("{COUNT}{end}"));
            query.unwrap_or_else(|error| panic!("{end}\n{error}")).written_sensors()
        };
        assert_eq!(written(""), None);
        for (end, expected) in [
            (" ON SENSORS 'pop-*'", "'pop-*'"),
            (" ORDER BY n DESC LIMIT 5 on sensors 'pop-*', -- all\n 'lab-?' ;", "'pop-*', 'lab-?'"),
            ("\nON SENSORS 'it''s'\n-- done", "'it''s'"),
        ] {
            assert_eq!(written(end).as_deref(), Some(expected), "{end}");
        }
        let query = Planner::new().plan(&format!("EXPLAIN {COUNT} ON SENSORS 'a'")).unwrap();
        assert!(query.explain && query.describe().contains("on sensors: 'a'\n"), "{}", query.describe());
    }

    #[test]
    fn what_others_parse_is_the_text_with_blanks_in_the_place_of_the_clause() {
        let without = |text| without_sensors(text).unwrap();
        assert_eq!(without("SELECT 1 ON SENSORS 'a' ;"), "SELECT 1                ;");
        assert!(matches!(without("SELECT 1"), Cow::Borrowed("SELECT 1")));
        assert!(without_sensors("SELECT 1 ON SENSORS 'a' LIMIT 1").is_err());
    }

    #[test]
    fn a_join_on_what_is_called_so_is_none() {
        let side = |name: &str| {
            format!("(SELECT src_ip, count(*) AS n FROM packets GROUP BY src_ip, tumble('1 second')) {name}")
        };
        let join = format!(
            "SELECT a.n FROM {} JOIN {} ON sensors.src_ip = a.src_ip ON SENSORS 'x'",
            side("a"),
            side("sensors")
        );
        let query = Planner::new().plan(&join).unwrap();
        assert_eq!(query.written_sensors().as_deref(), Some("'x'"));
    }

    #[test]
    fn what_is_wrong_with_it_is_told_with_its_place() {
        let places = |end: &str| {
            let error = Planner::new().plan(&format!("{COUNT}\n{end}")).unwrap_err();
            let place = error.place.clone().unwrap_or_else(|| panic!("{end}\n{error}"));
            (error.message.clone(), place.line, place.column)
        };
        for (end, message, column) in [
            ("ON SENSORS", "in quotes", 1),
            ("ON SENSORS pop", "in quotes", 12),
            ("ON SENSORS 'a',", "in quotes", 1),
            ("ON SENSORS ''", "in quotes", 12),
            ("ON SENSORS 'a' LIMIT 5", "at its very end", 16),
            ("ON SENSORS 'a' ON SENSORS 'b'", "at its very end", 16),
            ("ORDER BY m ON SENSORS 'a'", "there is no column 'm'", 10),
        ] {
            let (said, line, at) = places(end);
            assert!(said.contains(message), "{end}: {said}");
            assert_eq!((line, at), (2, column), "{end}");
        }
        let inner = "SELECT sum(n) FROM (SELECT count(*) AS n FROM packets ON SENSORS 'a')";
        assert!(Planner::new().plan(inner).unwrap_err().message.contains("at its very end"));
    }

    #[test]
    fn where_there_are_no_sensors_it_is_refused() {
        let planned = |sql: &str| Planner::new().plan(sql).unwrap();
        assert_eq!(planned(COUNT).check_names_no_sensors(), Ok(()));
        let error = planned(&format!("{COUNT} ON SENSORS 'a'")).check_names_no_sensors().unwrap_err();
        assert!(error.message.contains("among the sensors of an aggregator"), "{error}");
        assert_eq!(error.place.map(|place| place.column), Some(COUNT.len() + 2));
    }
}
