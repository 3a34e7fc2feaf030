//! Windows: how a query cuts its stream into finite pieces.
//!
//! Time windows are aligned to the epoch. Sensors only compute panes, tumbling intervals of the
//! greatest width from which every window of the query can be put together.

use tapline_record::EventTime;

/// Panes that one window may be put together from.
const PANES_PER_WINDOW_MAX: i64 = 10_000;

/// The window clause of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Window {
    /// `tumble('size')`: adjacent intervals.
    Tumble {
        /// Width in nanoseconds.
        size: i64,
    },
    /// `hop('slide', 'size')`: overlapping intervals.
    Hop {
        /// Distance between the starts of two windows, in nanoseconds.
        slide: i64,
        /// Width in nanoseconds.
        size: i64,
    },
    /// `tumble_rows(n)`: so many rows after WHERE, in input order.
    Rows {
        /// Rows of a window.
        count: u64,
    },
}

impl Window {
    /// A tumbling window, from the text of its size.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the text and what would be right.
    pub fn tumble(size: &str) -> Result<Self, String> {
        Ok(Self::Tumble { size: parse_interval(size)? })
    }

    /// A hopping window, from the texts of its slide and size.
    ///
    /// # Errors
    /// A sentence that says what is wrong and what would be right.
    pub fn hop(slide: &str, size: &str) -> Result<Self, String> {
        let (slide, size) = (parse_interval(slide)?, parse_interval(size)?);
        if slide > size {
            return Err(format!(
                "hop slides by {} over windows of {}, so records between two windows would be lost; write hop('slide', 'size') with slide <= size",
                format_interval(slide),
                format_interval(size)
            ));
        }
        let pane = greatest_common_divisor(slide, size);
        if size / pane > PANES_PER_WINDOW_MAX {
            let better = size - size % slide;
            return Err(format!(
                "hop('{}', '{}') needs {} panes of {} a window, more than {PANES_PER_WINDOW_MAX}; take a size that is a multiple of a longer slide, the nearest is '{}'",
                format_interval(slide),
                format_interval(size),
                size / pane,
                format_interval(pane),
                format_interval(better.max(slide * (size / PANES_PER_WINDOW_MAX / slide).max(1)))
            ));
        }
        Ok(Self::Hop { slide, size })
    }

    /// A window of `count` rows.
    ///
    /// # Errors
    /// A sentence when `count` is not positive.
    pub fn rows(count: i64) -> Result<Self, String> {
        match u64::try_from(count) {
            Ok(count) if count > 0 => Ok(Self::Rows { count }),
            _ => Err(format!("tumble_rows takes a number of rows from 1, not {count}")),
        }
    }

    /// Width of a pane in nanoseconds; `None` for windows that count rows.
    #[must_use]
    pub fn pane_width(self) -> Option<i64> {
        match self {
            Self::Tumble { size } => Some(size),
            Self::Hop { slide, size } => Some(greatest_common_divisor(slide, size)),
            Self::Rows { .. } => None,
        }
    }

    /// Width and slide in nanoseconds; `None` for windows that count rows.
    #[must_use]
    pub const fn size_and_slide(self) -> Option<(i64, i64)> {
        match self {
            Self::Tumble { size } => Some((size, size)),
            Self::Hop { slide, size } => Some((size, slide)),
            Self::Rows { .. } => None,
        }
    }

    /// Starts of the time windows that hold the pane which starts at `pane`, earliest first.
    pub fn starts_of(self, pane: EventTime) -> impl Iterator<Item = EventTime> {
        let (size, slide) = self.size_and_slide().unwrap_or((1, 1));
        let last = pane.align_down(slide);
        let count = (last.0.saturating_sub(pane.0).saturating_add(size) + slide - 1) / slide;
        (0..count).rev().map(move |back| last.plus(-back * slide))
    }
}

impl std::fmt::Display for Window {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Self::Tumble { size } => write!(f, "tumble('{}')", format_interval(size)),
            Self::Hop { slide, size } => {
                write!(f, "hop('{}', '{}')", format_interval(slide), format_interval(size))
            }
            Self::Rows { count } => write!(f, "tumble_rows({count})"),
        }
    }
}

/// Unit names, their short forms and their nanoseconds, longest first.
const UNITS: [(&str, &[&str], i64); 7] = [
    ("day", &["d"], 86_400_000_000_000),
    ("hour", &["h"], 3_600_000_000_000),
    ("minute", &["min", "m"], 60_000_000_000),
    ("second", &["sec", "s"], 1_000_000_000),
    ("millisecond", &["ms"], 1_000_000),
    ("microsecond", &["us", "µs"], 1_000),
    ("nanosecond", &["ns"], 1),
];

/// Nanoseconds of a text such as `60 seconds`, `1m` or `500 milliseconds`.
///
/// # Errors
/// A sentence that names the text and what would be right.
pub fn parse_interval(text: &str) -> Result<i64, String> {
    let wrong = || format!("'{text}' is not an interval; write e.g. '60 seconds', '5 minutes' or '500 ms'");
    let trimmed = text.trim();
    let digits = trimmed.len() - trimmed.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let number: i64 = trimmed[..digits].parse().map_err(|_| wrong())?;
    let unit = trimmed[digits..].trim().to_ascii_lowercase();
    let matches = |(name, short, _): &&(&str, &[&str], i64)| {
        unit.strip_suffix('s').unwrap_or(&unit) == *name || short.contains(&unit.as_str())
    };
    let (_, _, nanoseconds) = UNITS.iter().find(matches).ok_or_else(wrong)?;
    let interval = number.checked_mul(*nanoseconds).ok_or_else(wrong)?;
    if interval > 0 {
        Ok(interval)
    } else {
        Err(format!("the interval '{text}' is empty; write e.g. '1 second'"))
    }
}

/// The interval in the largest unit that divides it: `60 seconds` is `1 minute`.
#[must_use]
pub fn format_interval(nanoseconds: i64) -> String {
    let divides = |(_, _, unit): &&(&str, &[&str], i64)| nanoseconds % unit == 0;
    let (name, _, unit) = UNITS.iter().find(divides).unwrap_or(&UNITS[UNITS.len() - 1]);
    let count = nanoseconds / unit;
    format!("{count} {name}{}", if count == 1 { "" } else { "s" })
}

const fn greatest_common_divisor(mut a: i64, mut b: i64) -> i64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_read_and_written() {
        for (text, nanoseconds, written) in [
            ("60 seconds", 60_000_000_000, "1 minute"),
            ("1s", 1_000_000_000, "1 second"),
            (" 5  Minutes ", 300_000_000_000, "5 minutes"),
            ("1500ms", 1_500_000_000, "1500 milliseconds"),
            ("2 days", 172_800_000_000_000, "2 days"),
        ] {
            assert_eq!(parse_interval(text), Ok(nanoseconds));
            assert_eq!(format_interval(nanoseconds), written);
        }
        for text in ["", "seconds", "0 seconds", "-1 s", "1 parsec", "1.5 s", "99999999999 days", "é"] {
            assert!(parse_interval(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_pane_belongs_to_every_window_that_holds_it() {
        let starts =
            |window: Window, pane| window.starts_of(EventTime(pane)).map(|t| t.0).collect::<Vec<_>>();
        let hop = |slide, size| Window::Hop { slide, size };
        assert_eq!(starts(Window::Tumble { size: 10 }, 20), [20]);
        assert_eq!(starts(hop(1, 3), 5), [3, 4, 5]);
        assert_eq!(starts(hop(10, 10), -10), [-10]);
        assert_eq!(hop(4, 6).pane_width(), Some(2));
        assert_eq!(starts(hop(4, 6), 4), [0, 4]);
        assert_eq!(starts(hop(4, 6), 6), [4]);
        assert_eq!(starts(hop(4, 6), -2), [-4]);
    }

    #[test]
    fn unreasonable_windows_are_refused() {
        assert!(Window::hop("2 s", "1 s").is_err());
        assert!(Window::hop("1 ms", "1 day").unwrap_err().contains("panes"));
        assert!(Window::rows(0).is_err());
    }
}
