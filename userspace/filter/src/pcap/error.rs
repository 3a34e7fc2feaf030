//! What is wrong with a filter: one sentence, the place in its text, and what would be right.

use std::fmt;
use std::ops::Range;

/// Characters of a line that are shown on either side of a place.
const SHOWN_MAX: usize = 60;

/// A filter that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterError {
    message: String,
    help: String,
    /// The line's text around the place, and there the first character and how many.
    shown: String,
    indent: usize,
    width: usize,
    /// Line and column, from 1, in characters.
    line: usize,
    column: usize,
}

impl FilterError {
    /// At these octets of a text.
    pub(super) fn new(
        text: &str,
        place: Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        let before = text.get(..place.start).unwrap_or(text);
        let meant = text.get(place).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = text.get(line_start..).unwrap_or_default().lines().next().unwrap_or_default();
        let column = before.get(line_start..).unwrap_or_default().chars().count();
        let width = meant.lines().next().unwrap_or_default().chars().count().clamp(1, SHOWN_MAX);
        let skipped = column.saturating_sub(SHOWN_MAX);
        let shown = line.chars().skip(skipped).take(column - skipped + width + SHOWN_MAX);
        Self {
            message: message.into(),
            help: help.into(),
            shown: shown.map(|c| if c.is_control() { ' ' } else { c }).collect(),
            indent: column - skipped,
            width,
            line: before.matches('\n').count() + 1,
            column: column + 1,
        }
    }
}

impl std::error::Error for FilterError {}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { message, help, shown, indent, width, line, column } = self;
        let (indent, mark) = (" ".repeat(*indent), "^".repeat(*width));
        write!(f, "{message}\n  at line {line}, column {column}:\n  | {shown}\n  | {indent}{mark}")?;
        write!(f, "\n  help: {help}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_underlined() {
        let text = "tcp\nand gateway a";
        let error = FilterError::new(text, 8..15, "a gateway is no column", "write a host");
        let expected = "a gateway is no column\n  at line 2, column 5:\n  | and gateway a\n  |     ^^^^^^^\n  help: write a host";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn of_a_long_line_a_part_is_shown() {
        let text = format!("{}wrong{}", "port 80 or ".repeat(100), " or port 80".repeat(100));
        let error = FilterError::new(&text, 1100..1105, "it is wrong", "leave it out").to_string();
        assert!(error.lines().all(|line| line.len() < 140), "{error}");
        assert!(error.contains("column 1101") && error.contains("wrong"), "{error}");
    }
}
