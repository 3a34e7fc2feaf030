//! What a query is called, what it asks, and what was said besides.
//!
//! As text, comments stand before the statement: lines of the note, and options, a line each, such as
//! `-- early: 10s` or `-- groups_max: 100_000`.

use crate::alert::AlertOption;
use crate::duration::{duration_text, parse_duration};
use crate::error::{CatalogError, nearest};
use crate::limits::Allowance;
use std::fmt::Write as _;
use std::time::Duration;
use tapline_query::ContinuousQuery;
use tapline_sinks::Origin;

/// Octets of a name, and of a statement with its note.
const NAME_OCTETS_MAX: usize = 64;
const TEXT_OCTETS_MAX: usize = 1 << 20;
/// Alerts of a query.
const ALERTS_MAX: usize = 16;
/// The options that say whether the newest window is given as metrics, and whether history keeps results.
const METRICS: &str = "metrics";
const HISTORY: &str = "history";
/// The option that makes rows alarms; there may be several of it.
const ALERT: &str = "alert";

/// What was said of a query besides its text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QueryOptions {
    /// Each time that so much of a window has passed, the window so far is given.
    pub early: Option<Duration>,
    /// Whether its newest window is given as metrics.
    pub metrics: bool,
    /// What it may take, where that is less than all may.
    pub allowance: Allowance,
    /// Whether history keeps its results; unless something is said, those that have windows.
    pub history: Option<bool>,
    /// What makes its rows alarms; each has another condition.
    pub alerts: Vec<AlertOption>,
    /// What it is for; may have several lines.
    pub note: String,
}

/// A query as somebody wrote it.
#[derive(Clone, Debug, PartialEq)]
pub struct Definition {
    /// What it is called.
    pub name: String,
    /// One statement.
    pub sql: String,
    /// What was said besides.
    pub options: QueryOptions,
}

impl Definition {
    /// A query of this name.
    ///
    /// # Errors
    /// When the name, or the text's length, is not allowed.
    pub fn new(name: &str, sql: &str, options: QueryOptions) -> Result<Self, CatalogError> {
        check_name(name)?;
        let octets = sql.len() + options.note.len();
        if octets > TEXT_OCTETS_MAX {
            let message =
                format!("a query of {octets} octets is too long; at most {TEXT_OCTETS_MAX} are read");
            return Err(CatalogError::wrong(message));
        }
        // In its file, it would be none of the note.
        let is_option = |line: &&str| !matches!(QueryOptions::default().take(line), Ok(false));
        if let Some(line) = options.note.lines().find(is_option) {
            let message = format!("the line `{line}` of the note reads as an option; say it otherwise");
            return Err(CatalogError::wrong(message));
        }
        check_alerts(&options.alerts)?;
        Ok(Self { name: name.to_owned(), sql: sql.trim().to_owned(), options })
    }

    /// The same with these alerts.
    ///
    /// # Errors
    /// When there are too many, or two with the same condition.
    pub(crate) fn with_alerts(&self, alerts: Vec<AlertOption>) -> Result<Self, CatalogError> {
        check_alerts(&alerts)?;
        Ok(Self { options: QueryOptions { alerts, ..self.options.clone() }, ..self.clone() })
    }

    /// Whether it is the same but for its alerts.
    pub(crate) fn differs_in_alerts(&self, other: &Self) -> bool {
        let alerts = other.options.alerts.clone();
        let options = QueryOptions { alerts, ..self.options.clone() };
        self != other && Self { options, ..self.clone() } == *other
    }

    /// The query of a text.
    ///
    /// # Errors
    /// When the name is not allowed, or an option cannot be read; with the line.
    pub fn of_text(name: &str, text: &str) -> Result<Self, CatalogError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let (mut options, mut notes, mut rest) = (QueryOptions::default(), vec![], text);
        for (number, line) in (1..).zip(text.lines()) {
            let Some(comment) = line.trim().strip_prefix("--") else { break };
            rest = rest.split_once('\n').map_or("", |(_, rest)| rest);
            let comment = comment.strip_prefix(' ').unwrap_or(comment).trim_end();
            let said = |message| CatalogError::wrong(format!("line {number}: {message}"));
            if !options.take(comment).map_err(said)? {
                notes.push(comment);
            }
        }
        options.note = notes.join("\n");
        Self::new(name, rest, options)
    }

    /// The query, for whoever stores or sends its results.
    pub(crate) fn origin(&self, query: &ContinuousQuery) -> Origin {
        let origin = Origin::of(&self.name, query);
        let is_stored = self.options.history.unwrap_or(origin.is_stored);
        Origin { note: self.options.note.clone(), is_stored, ..origin }
    }

    /// As text; [`Self::of_text`] reads it.
    pub(crate) fn to_text(&self) -> String {
        let mut text = String::new();
        for line in self.options.note.lines() {
            text.push_str(if line.is_empty() { "--" } else { "-- " });
            text.push_str(line);
            text.push('\n');
        }
        if let Some(early) = self.options.early {
            let _ = writeln!(text, "-- early: {}", duration_text(early));
        }
        if self.options.metrics {
            let _ = writeln!(text, "-- {METRICS}: {}", switch_text(true));
        }
        for (key, value) in self.options.allowance.said() {
            let _ = writeln!(text, "-- {key}: {value}");
        }
        if let Some(is_on) = self.options.history {
            let _ = writeln!(text, "-- {HISTORY}: {}", switch_text(is_on));
        }
        for alert in &self.options.alerts {
            let _ = writeln!(text, "-- {ALERT}: {alert}");
        }
        text.push_str(&self.sql);
        text.push('\n');
        text
    }
}

impl QueryOptions {
    /// Takes a comment if it is an option; says whether it is.
    fn take(&mut self, comment: &str) -> Result<bool, String> {
        let Some((key, value)) = comment.split_once(':') else { return Ok(false) };
        if key == "early" {
            let early = parse_duration(value.trim()).map_err(|wrong| format!("early: {wrong}"))?;
            self.early = Some(early);
            return Ok(true);
        }
        if key == HISTORY {
            self.history = Some(parse_switch(value.trim()).map_err(|wrong| format!("{HISTORY}: {wrong}"))?);
            return Ok(true);
        }
        if key == ALERT {
            self.alerts.push(AlertOption::parse(value).map_err(|wrong| format!("{ALERT}: {wrong}"))?);
            return Ok(true);
        }
        if key == METRICS {
            self.metrics = parse_switch(value.trim()).map_err(|wrong| format!("{METRICS}: {wrong}"))?;
            return Ok(true);
        }
        if Allowance::KEYS.contains(&key) {
            self.allowance.say(key, value.trim()).map_err(|wrong| format!("{key}: {wrong}"))?;
            return Ok(true);
        }
        let is_word = |character: char| character.is_ascii_lowercase() || character == '_';
        let is_word = !key.is_empty() && key.chars().all(is_word);
        match nearest(key, ["early", METRICS, HISTORY, ALERT].into_iter().chain(Allowance::KEYS))
            .filter(|_| is_word)
        {
            Some(option) => Err(format!("there is no option `{key}`; did you mean `{option}`?")),
            None => Ok(false),
        }
    }
}

fn check_alerts(alerts: &[AlertOption]) -> Result<(), CatalogError> {
    if alerts.len() > ALERTS_MAX {
        return Err(CatalogError::wrong(format!("a query has {ALERTS_MAX} alerts at the most")));
    }
    for (place, AlertOption { condition, .. }) in alerts.iter().enumerate() {
        if alerts.iter().take(place).any(|before| before.condition == *condition) {
            let message = format!("there are two alerts on `{condition}`; leave one of them out");
            return Err(CatalogError::wrong(message));
        }
    }
    Ok(())
}

/// Whether history keeps results, as it is written.
///
/// # Errors
/// What would be right.
pub fn parse_switch(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("write on or off".to_owned()),
    }
}

/// The same in such words.
#[must_use]
pub const fn switch_text(is_on: bool) -> &'static str {
    if is_on { "on" } else { "off" }
}

/// Refuses names that are no file's, or that a command line takes for something else.
fn check_name(name: &str) -> Result<(), CatalogError> {
    let is_fine = |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | '-');
    let begins_well = name.starts_with(|first: char| first.is_ascii_alphanumeric());
    if begins_well && name.len() <= NAME_OCTETS_MAX && name.chars().all(is_fine) {
        return Ok(());
    }
    let message = format!(
        "`{name}` cannot be a query's name; take up to {NAME_OCTETS_MAX} letters, digits, - and _, and begin with a letter or a digit"
    );
    Err(CatalogError::wrong(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_reads_as_it_was_written() {
        let text = "-- Who talks most.\n--\n-- Look for: strangers.\n-- early: 10s\n-- metrics: on\n-- groups_max: 1000\n-- beyond: fold\n-- history: off\n-- alert: ports > 100, to pager\n-- alert: rows\nSELECT 1\n-- inside\nFROM flows;\n";
        let query = Definition::of_text("top-talkers_2", text).unwrap();
        assert_eq!(query.options.note, "Who talks most.\n\nLook for: strangers.");
        assert_eq!(query.options.early, Some(Duration::from_secs(10)));
        assert!(query.options.metrics);
        assert_eq!((query.options.allowance.groups_max, query.options.history), (Some(1000), Some(false)));
        assert_eq!(query.options.alerts.len(), 2);
        assert_eq!(query.sql, "SELECT 1\n-- inside\nFROM flows;");
        assert_eq!(query.to_text(), text);
        let plain = Definition::of_text("a", "\u{feff}SELECT 1").unwrap();
        assert_eq!((plain.sql.as_str(), &plain.options), ("SELECT 1", &QueryOptions::default()));
        assert_eq!(Definition::of_text("a", &plain.to_text()).unwrap(), plain);
    }

    #[test]
    fn what_is_mistyped_is_named() {
        let message = |text: &str| Definition::of_text("a", text).unwrap_err().to_string();
        assert_eq!(
            message("-- A note.\n-- erly: 10s\n"),
            "line 2: there is no option `erly`; did you mean `early`?"
        );
        assert_eq!(
            message("-- early: soon\n"),
            "line 1: early: write a number with ms, s, m or h, such as 30s"
        );
        assert_eq!(
            message("-- group_max: 10\n"),
            "line 1: there is no option `group_max`; did you mean `groups_max`?"
        );
        assert_eq!(message("-- beyond: x\n"), "line 1: beyond: write fold, sample or stop");
        assert_eq!(message("-- history: never\n"), "line 1: history: write on or off");
        assert_eq!(message("-- metrics: yes\n"), "line 1: metrics: write on or off");
        assert_eq!(
            message("-- alert: rows, to\n"),
            "line 1: alert: to: name the sinks that tell of it, such as to pager"
        );
        assert_eq!(
            message("-- alert: n > 1\n-- alert: n > 1, to pager\n"),
            "there are two alerts on `n > 1`; leave one of them out"
        );
        for name in ["", "a b", "../a", "-a", ".sql", "ä", &"a".repeat(65)] {
            let message = Definition::of_text(name, "").unwrap_err().to_string();
            assert!(message.contains("cannot be a query's name"), "{message}");
        }
        let note = QueryOptions { note: "Mine.\nbeyond: the usual".to_owned(), ..QueryOptions::default() };
        let refused = Definition::new("a", "SELECT 1", note).unwrap_err().to_string();
        assert!(refused.contains("the line `beyond: the usual` of the note reads as an option"), "{refused}");
        let long = Definition::new("a", &"x".repeat(TEXT_OCTETS_MAX + 1), QueryOptions::default());
        assert!(long.unwrap_err().to_string().contains("too long"));
    }
}
