//! What makes rows of a query an alarm, as somebody writes it.
//!
//! In one line, as an option of a query has it, with what is not as it usually is behind the condition:
//!
//! ```text
//! rows
//! ports > 100, to pager mail
//! "count(*)" >= 1000, by whole, cool_down 1h, resolve_after 5, to pager
//! ```

use crate::duration::{duration_text, parse_duration};
use crate::error::{CatalogError, nearest};
use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;
use tapline_engine::ResultColumns;
use tapline_sinks::{Alert, AlertBy, Comparison, Condition, Firing};

/// Octets of a condition.
const CONDITION_OCTETS_MAX: usize = 256;
/// What stands for all rows.
const ROWS: &str = "rows";

/// Which rows are alarms, by the names of columns.
#[derive(Clone, Debug, PartialEq)]
pub enum AlertCondition {
    /// All of them.
    Rows,
    /// Those in which this holds of the number in a column.
    Column(String, Comparison, f64),
}

/// What makes rows of a query an alarm, and who is told.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertOption {
    /// Which rows.
    pub condition: AlertCondition,
    /// What is one alarm.
    pub by: AlertBy,
    /// How long one that goes on is not told again.
    pub cool_down: Duration,
    /// After so many windows without such rows it is over.
    pub resolve_after: u32,
    /// The sinks that tell somebody, by name.
    pub sinks: Vec<String>,
}

/// An alert that the configuration says.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfiguredAlert {
    /// Patterns of the names of the queries whose rows it is about.
    pub queries: Vec<String>,
    /// What makes them alarms.
    pub alert: AlertOption,
}

/// How an alert stands.
#[derive(Clone, Debug)]
pub struct AlertStatus {
    /// Whose rows it is about.
    pub query: String,
    /// What it is.
    pub alert: Arc<Alert>,
    /// What fires by it, and behind that what did lately, the latest first.
    pub alarms: Vec<Firing>,
}

impl AlertStatus {
    /// How many alarms fire.
    #[must_use]
    pub fn firing(&self) -> usize {
        self.alarms.iter().filter(|alarm| alarm.ended.is_none()).count()
    }
}

impl Default for AlertOption {
    fn default() -> Self {
        Self {
            condition: AlertCondition::Rows,
            by: AlertBy::Key,
            cool_down: Duration::from_secs(300),
            resolve_after: 3,
            sinks: vec![],
        }
    }
}

impl AlertCondition {
    /// The condition of a text: `rows`, or a column, a comparison and a number.
    ///
    /// # Errors
    /// What is wrong, and what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let long = || {
            format!("a condition is one line of at most {CONDITION_OCTETS_MAX} octets, such as ports > 100")
        };
        if text.len() > CONDITION_OCTETS_MAX || text.contains(char::is_control) {
            return Err(long());
        }
        if text == ROWS {
            return Ok(Self::Rows);
        }
        let wrong =
            || format!("`{text}` is no condition; write {ROWS}, or a column and a number: ports > 100");
        let (name, rest) = column(text).ok_or_else(wrong)?;
        let rest = rest.trim_start();
        let found = Comparison::ALL.into_iter().find(|comparison| rest.starts_with(comparison.text()));
        let comparison = found.ok_or_else(wrong)?;
        let number = rest.get(comparison.text().len()..).unwrap_or_default().trim().replace('_', "");
        let value = number.parse::<f64>().ok().filter(|value| value.is_finite()).ok_or_else(wrong)?;
        let condition = Self::Column(name, comparison, value);
        // It is read again as it is written, which may be longer: so is 1e300.
        if condition.to_string().len() > CONDITION_OCTETS_MAX { Err(long()) } else { Ok(condition) }
    }

    /// The same by the place of its column.
    fn over(&self, columns: &ResultColumns) -> Result<Condition, CatalogError> {
        let Self::Column(name, comparison, value) = self else { return Ok(Condition::Rows) };
        let fields = columns.rows();
        let mut named = fields.iter().enumerate().filter(|(_, field)| field.name() == name);
        let (found, another) = (named.next(), named.next());
        let Some((place, field)) = found else {
            let nearest = nearest(name, fields.iter().map(|field| field.name().as_str()));
            let all: Vec<&str> = fields.iter().map(|field| field.name().as_str()).collect();
            let hint = nearest.map_or_else(
                || format!("it has {}", all.join(", ")),
                |nearest| format!("did you mean `{nearest}`?"),
            );
            return Err(CatalogError::wrong(format!("alert: the result has no column `{name}`; {hint}")));
        };
        if another.is_some() {
            let message = format!("alert: the result has two columns `{name}`; give one another name");
            return Err(CatalogError::wrong(message));
        }
        if !field.data_type().is_numeric() {
            let message =
                format!("alert: `{name}` is no number; compare a column that is one, or write {ROWS}");
            return Err(CatalogError::wrong(message));
        }
        Ok(Condition::Column { place, comparison: *comparison, value: *value })
    }
}

/// The name that a text begins with, as SQL writes it, and the rest.
fn column(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(|letter: char| letter.is_whitespace() || "<>=,\"".contains(letter))?;
        let (name, rest) = text.split_at_checked(end)?;
        return (!name.is_empty()).then(|| (name.to_owned(), rest));
    };
    let (mut name, mut rest) = (String::new(), quoted);
    loop {
        let (part, behind) = rest.split_once('"')?;
        name.push_str(part);
        // Two of them are one that belongs to the name.
        let Some(more) = behind.strip_prefix('"') else { return Some((name, behind)) };
        name.push('"');
        rest = more;
    }
}

impl fmt::Display for AlertCondition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Column(name, comparison, value) = self else { return formatter.write_str(ROWS) };
        let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
        if !name.is_empty() && name.chars().all(is_word) {
            write!(formatter, "{name} {comparison} {value}")
        } else {
            write!(formatter, "\"{}\" {comparison} {value}", name.replace('"', "\"\""))
        }
    }
}

impl AlertOption {
    /// The alert of a line.
    ///
    /// # Errors
    /// What is wrong, and what would be right.
    pub fn parse(line: &str) -> Result<Self, String> {
        let (condition, mut rest) = halves(line);
        let mut alert = Self { condition: AlertCondition::parse(condition)?, ..Self::default() };
        while !rest.is_empty() {
            // Names of sinks may have commas in them.
            if let Some(names) = rest.strip_prefix("to ") {
                alert.sinks = names.split_whitespace().map(str::to_owned).collect();
                break;
            }
            let (part, behind) = halves(rest);
            alert.say(part)?;
            rest = behind;
        }
        Ok(alert)
    }

    /// Takes a part of a line that stands behind the condition.
    fn say(&mut self, part: &str) -> Result<(), String> {
        let (key, value) = part.split_once(' ').unwrap_or((part, ""));
        match key {
            "by" => self.by = parse_by(value.trim())?,
            "cool_down" => self.cool_down = parse_cool_down(value.trim())?,
            "resolve_after" => self.resolve_after = parse_resolve_after(value.trim())?,
            "to" => return Err("to: name the sinks that tell of it, such as to pager".to_owned()),
            _ => {
                return Err(match nearest(key, ["by", "cool_down", "resolve_after", "to"].into_iter()) {
                    Some(nearest) => format!("there is no `{key}` of an alert; did you mean `{nearest}`?"),
                    None => format!(
                        "`{part}` says nothing of an alert; write by, cool_down, resolve_after, and at the end to SINK"
                    ),
                });
            }
        }
        Ok(())
    }

    /// All of it but who is told.
    fn text(&self) -> String {
        let usual = Self::default();
        let mut text = self.condition.to_string();
        if self.by != usual.by {
            let _ = write!(text, ", by {}", self.by.name());
        }
        if self.cool_down != usual.cool_down {
            let _ = write!(text, ", cool_down {}", duration_text(self.cool_down));
        }
        if self.resolve_after != usual.resolve_after {
            let _ = write!(text, ", resolve_after {}", self.resolve_after);
        }
        text
    }

    /// The alert over the columns of a query's results.
    pub(crate) fn over(
        &self,
        columns: &ResultColumns,
        is_configured: bool,
    ) -> Result<Arc<Alert>, CatalogError> {
        Ok(Arc::new(Alert {
            text: self.text(),
            said: self.condition.to_string(),
            condition: self.condition.over(columns)?,
            by: self.by,
            cool_down: self.cool_down,
            resolve_after: self.resolve_after,
            sinks: self.sinks.clone(),
            is_configured,
        }))
    }
}

impl fmt::Display for AlertOption {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text())?;
        if self.sinks.is_empty() { Ok(()) } else { write!(formatter, ", to {}", self.sinks.join(" ")) }
    }
}

/// What stands before the first comma that is in no quoted name, and what stands behind it.
fn halves(text: &str) -> (&str, &str) {
    let mut is_quoted = false;
    let is_end = |(_, letter): &(usize, char)| {
        is_quoted ^= *letter == '"';
        *letter == ',' && !is_quoted
    };
    let end = text.char_indices().find(is_end).map(|(end, _)| end);
    let (before, behind) = end.and_then(|end| text.split_at_checked(end)).unwrap_or((text, ""));
    (before.trim(), behind.trim_start_matches(',').trim())
}

/// What is one alarm, as it is written.
///
/// # Errors
/// What would be right.
pub fn parse_by(text: &str) -> Result<AlertBy, String> {
    let found = AlertBy::ALL.into_iter().find(|by| by.name() == text);
    found.ok_or_else(|| "by: write key, each group by itself, or whole, the query".to_owned())
}

/// How long an alarm that goes on is not told again, as it is written.
///
/// # Errors
/// What would be right.
pub fn parse_cool_down(text: &str) -> Result<Duration, String> {
    let time = parse_duration(text).map_err(|wrong| format!("cool_down: {wrong}"))?;
    if time > Duration::ZERO {
        Ok(time)
    } else {
        Err("cool_down: write a time that is longer than nothing, such as 5m".to_owned())
    }
}

fn parse_resolve_after(text: &str) -> Result<u32, String> {
    let windows = text.parse().ok().filter(|windows| *windows > 0);
    windows.ok_or_else(|| "resolve_after: write a number of windows, at least 1".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_query::Planner;

    const SQL: &str = "SELECT src_ip, count(*) AS ports, max(octets) AS \"the most\" FROM packets \
        GROUP BY src_ip, tumble('1 second')";

    #[test]
    fn a_line_reads_as_it_was_written() {
        for line in [
            "rows",
            "rows, to pager",
            "ports > 100",
            "ports <= 0.5, by whole, cool_down 1h, resolve_after 5, to pager mail,2",
            "\"count(*)\" <> -3, to pager",
            "\"a \"\"b\"\", c\" = 1000000, cool_down 500ms",
        ] {
            assert_eq!(AlertOption::parse(line).unwrap().to_string(), line);
        }
        let loose = AlertOption::parse("  ports>1_000 ,to  a  b ").unwrap();
        assert_eq!(loose.to_string(), "ports > 1000, to a b");
        assert_eq!(loose.sinks, ["a", "b"]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (line, said) in [
            ("", "`` is no condition; write rows"),
            ("ports", "`ports` is no condition"),
            ("ports > many", "`ports > many` is no condition"),
            ("ports > nan", "`ports > nan` is no condition"),
            ("> 5", "`> 5` is no condition"),
            ("\"ports > 5", "`\"ports > 5` is no condition"),
            ("rows, bye key", "there is no `bye` of an alert; did you mean `by`?"),
            ("rows, every day", "`every day` says nothing of an alert"),
            ("rows, by row", "by: write key"),
            ("rows, to", "to: name the sinks that tell of it"),
            ("rows, cool_down soon", "cool_down: write a number"),
            ("rows, cool_down 0s", "cool_down: write a time that is longer"),
            ("rows, resolve_after 0", "resolve_after: write a number of windows"),
        ] {
            let wrong = AlertOption::parse(line).unwrap_err();
            assert!(wrong.starts_with(said), "{line}: {wrong}");
        }
        for text in [format!("{} > 1", "x".repeat(300)), "n > 1e300".to_owned(), "n < -1e-300".to_owned()] {
            let long = AlertCondition::parse(&text).unwrap_err();
            assert!(long.contains("at most 256 octets"), "{text}: {long}");
        }
    }

    #[test]
    fn columns_are_found_by_their_names_once() {
        let columns = ResultColumns::of(&Planner::new().plan(SQL).unwrap(), true);
        let over = |line: &str| AlertOption::parse(line).unwrap().over(&columns, false);
        let place = |line: &str| match over(line).unwrap().condition {
            Condition::Rows => None,
            Condition::Column { place, .. } => Some(place),
        };
        assert_eq!((place("rows"), place("ports > 1"), place("\"the most\" > 1")), (None, Some(1), Some(2)));
        for (line, said) in [
            ("port > 1", "alert: the result has no column `port`; did you mean `ports`?"),
            ("latency > 1", "alert: the result has no column `latency`; it has src_ip, ports, the most"),
            ("src_ip > 1", "alert: `src_ip` is no number; compare a column that is one"),
        ] {
            let wrong = over(line).unwrap_err().to_string();
            assert!(wrong.starts_with(said), "{line}: {wrong}");
        }
        let [plain, told] = ["ports > 1", "ports > 1, to pager"].map(|line| over(line).unwrap().text.clone());
        assert_eq!(plain, told, "who is told is not what it is");
    }
}
