//! Windows: how a query cuts its stream into finite pieces.
//!
//! Time windows are aligned to the epoch. Sensors only compute panes, tumbling intervals of the
//! greatest width from which every window of the query can be put together.

use tapline_record::EventTime;
use tapline_record::time::greatest_common_divisor;

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
        let pane = common_pane(slide, size);
        if size / pane > PANES_PER_WINDOW_MAX {
            return Err(format!(
                "hop('{}', '{}') needs {} panes of {} a window, more than {PANES_PER_WINDOW_MAX}; {}",
                format_interval(slide),
                format_interval(size),
                size / pane,
                format_interval(pane),
                nearest_hop(slide, size)
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
            Self::Hop { slide, size } => Some(common_pane(slide, size)),
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

    /// Whether results can be given each time that so many nanoseconds of a window have passed.
    ///
    /// # Errors
    /// A sentence that says why not, and what would be right.
    pub(crate) fn check_early(self, every: i64) -> Result<(), String> {
        let (Some((size, _)), Some(whole)) = (self.size_and_slide(), self.pane_width()) else {
            return Err(format!("{self} counts rows, and early results are of windows of time"));
        };
        let interval = format_interval(every);
        if every <= 0 {
            return Err("write an interval longer than nothing, such as 5s".to_owned());
        }
        if every >= size {
            let window = format_interval(size);
            return Err(format!("after {interval} a window of {window} is over: write a shorter interval"));
        }
        let panes = size / common_pane(whole, every);
        if panes > PANES_PER_WINDOW_MAX {
            let nearest = format_interval(nearest_early(every, whole, size));
            return Err(format!(
                "early results each {interval} of {self} need {panes} panes a window, more than \
                 {PANES_PER_WINDOW_MAX}; the nearest interval with few enough is '{nearest}'"
            ));
        }
        Ok(())
    }

    /// Starts of the time windows that hold the pane which starts at `pane`, earliest first.
    pub fn starts_of(self, pane: EventTime) -> impl Iterator<Item = EventTime> {
        let (size, slide) = self.size_and_slide().unwrap_or((1, 1));
        let last = pane.align_down(slide);
        // The latest window begins at or before the pane; so many earlier ones still reach it.
        let earlier = size.saturating_sub(1).saturating_sub(pane.0.saturating_sub(last.0)).max(0) / slide;
        (0..=earlier).rev().map(move |back| last.plus(-back * slide))
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

/// A hop like that one, of few panes enough: the size is kept if it can be, else the slide.
fn nearest_hop(slide: i64, size: i64) -> String {
    let whole = size - size % slide;
    if whole / slide <= PANES_PER_WINDOW_MAX {
        let (slide, size) = (format_interval(slide), format_interval(whole));
        return format!(
            "the nearest size that is a multiple of the slide is '{size}': write hop('{slide}', '{size}')"
        );
    }
    let slide = round_up(size.div_euclid(PANES_PER_WINDOW_MAX) + 1);
    let (slide, size) = (format_interval(slide), format_interval(size - size % slide));
    format!("take a longer slide: write hop('{slide}', '{size}')")
}

/// The part of `whole` nearest to `every` of which few enough make `size`.
fn nearest_early(every: i64, whole: i64, size: i64) -> i64 {
    let parts = 1..=(PANES_PER_WINDOW_MAX / (size / whole)).max(1);
    let widths = parts.filter(|parts| whole % parts == 0).map(|parts| whole / parts);
    widths.min_by_key(|width| width.abs_diff(every)).unwrap_or(whole)
}

/// The interval, or the next longer one that is 1, 2 or 5 times a power of ten of its unit.
fn round_up(interval: i64) -> i64 {
    let unit = UNITS.iter().map(|(_, _, unit)| *unit).find(|unit| *unit <= interval).unwrap_or(1);
    let powers = std::iter::successors(Some(unit), |power| power.checked_mul(10));
    let mut round = powers.flat_map(|power| [power, power.saturating_mul(2), power.saturating_mul(5)]);
    round.find(|round| *round >= interval).unwrap_or(interval)
}

/// Unit names, their short forms and their nanoseconds, longest first.
const UNITS: [(&str, &[&str], i64); 8] = [
    ("week", &["w"], 604_800_000_000_000),
    ("day", &["d"], 86_400_000_000_000),
    ("hour", &["h", "hr", "hrs"], 3_600_000_000_000),
    ("minute", &["min", "mins", "m"], 60_000_000_000),
    ("second", &["sec", "secs", "s"], 1_000_000_000),
    ("millisecond", &["ms", "msec", "msecs"], 1_000_000),
    ("microsecond", &["us", "µs", "usec", "usecs"], 1_000),
    ("nanosecond", &["ns"], 1),
];

/// Nanoseconds of a text such as `60 seconds`, `1m`, `1.5 hours` or `1 hour 30 minutes`.
///
/// # Errors
/// A sentence that names the text and what would be right.
pub(crate) fn parse_interval(text: &str) -> Result<i64, String> {
    let wrong = || format!("'{text}' is not an interval; write e.g. '60 seconds', '5 minutes' or '500 ms'");
    let mut nanoseconds: i128 = 0;
    let mut rest = text.trim();
    while nanoseconds == 0 || !rest.is_empty() {
        let (number, behind) = split_where(rest, |c| !c.is_ascii_digit() && c != '.');
        let (unit, behind) = split_where(behind.trim_start(), |c| !c.is_alphabetic());
        let term = term(number, unit).ok_or_else(wrong)?;
        if term == 0 && behind.trim().is_empty() && nanoseconds == 0 {
            return Err(format!("the interval '{text}' is empty; write e.g. '1 second'"));
        }
        nanoseconds = nanoseconds.saturating_add(term);
        rest = behind.trim_start_matches(|c: char| c.is_whitespace() || c == ',');
    }
    let longest = i64::MAX / UNITS[1].2;
    i64::try_from(nanoseconds).map_err(|_| {
        format!("the interval '{text}' is longer than '{longest} days', the longest that there is")
    })
}

/// Nanoseconds of a number of units.
fn term(number: &str, unit: &str) -> Option<i128> {
    let unit = unit.to_lowercase();
    let is_named = |(name, short, _): &&(&str, &[&str], i64)| {
        unit.strip_suffix('s').unwrap_or(&unit) == *name || short.contains(&unit.as_str())
    };
    let unit = i128::from(UNITS.iter().find(is_named)?.2);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let is_number = |text: &str| text.bytes().all(|digit| digit.is_ascii_digit());
    if !(is_number(whole) && is_number(fraction)) || whole.len() + fraction.len() == 0 || fraction.len() > 15
    {
        return None;
    }
    let scale = 10_i128.pow(u32::try_from(fraction.len()).ok()?);
    // More digits are longer than all of time.
    let digits = format!("{whole}{fraction}");
    let digits: i128 = if digits.len() > 20 + fraction.len() {
        i128::from(i64::MAX) * scale
    } else {
        digits.parse().ok()?
    };
    let nanoseconds = digits.checked_mul(unit)?;
    (nanoseconds % scale == 0).then_some(nanoseconds / scale)
}

/// The text up to the first character of a kind, and the rest.
fn split_where(text: &str, is_end: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(is_end).unwrap_or(text.len()))
}

/// The interval in the largest unit that divides it: `60 seconds` is `1 minute`.
#[must_use]
pub(crate) fn format_interval(nanoseconds: i64) -> String {
    let divides = |(_, _, unit): &&(&str, &[&str], i64)| nanoseconds % unit == 0;
    // Days are what everybody counts with; a week is only read.
    let (name, _, unit) = UNITS[1..].iter().find(divides).unwrap_or(&UNITS[UNITS.len() - 1]);
    let count = nanoseconds / unit;
    format!("{count} {name}{}", if count == 1 { "" } else { "s" })
}

/// The widest pane of which intervals of both lengths consist.
pub(crate) const fn common_pane(one: i64, other: i64) -> i64 {
    greatest_common_divisor(one.unsigned_abs(), other.unsigned_abs()).cast_signed()
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
            ("1 week", 604_800_000_000_000, "7 days"),
            ("1.5 seconds", 1_500_000_000, "1500 milliseconds"),
            (".25 h", 900_000_000_000, "15 minutes"),
            ("1 hour 30 minutes", 5_400_000_000_000, "90 minutes"),
            ("1h30m", 5_400_000_000_000, "90 minutes"),
            ("106751 days", 9_223_286_400_000_000_000, "106751 days"),
        ] {
            assert_eq!(parse_interval(text), Ok(nanoseconds));
            assert_eq!(format_interval(nanoseconds), written);
        }
        for text in ["", "seconds", "0 seconds", "-1 s", "1 parsec", "1.2.3 s", ". s", "1.5 ns", "é", "1 s 2"]
        {
            assert!(parse_interval(text).is_err(), "{text}");
        }
        for text in ["99999999999 days", "106752 days", "99999999999999999999999999999999999999999999 s"] {
            assert!(parse_interval(text).unwrap_err().contains("106751 days"), "{text}");
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
        let days = |days: i64| days * 86_400_000_000_000;
        assert_eq!(starts(Window::Tumble { size: days(60_000) }, 0), [0]);
        assert_eq!(starts(Window::Tumble { size: i64::MAX }, 0), [0]);
        assert_eq!(starts(hop(days(30_000), days(90_000)), days(30_000)), [days(-30_000), 0, days(30_000)]);
    }

    #[test]
    fn unreasonable_windows_are_refused() {
        assert!(Window::hop("2 s", "1 s").is_err());
        for (slide, size, better) in [
            ("1 ms", "1 day", "hop('10 seconds', '1 day')"),
            ("7 s", "86401 s", "hop('10 seconds', '1 day')"),
            ("9 s", "86401 s", "hop('9 seconds', '1 day')"),
            ("1 ns", "1 s", "hop('200 microseconds', '1 second')"),
            ("60 s", "60000000001 ns", "hop('1 minute', '1 minute')"),
        ] {
            let refusal = Window::hop(slide, size).unwrap_err();
            assert!(refusal.contains("panes") && refusal.contains(better), "{refusal}");
            let arguments: Vec<&str> = better.split('\'').collect();
            assert!(Window::hop(arguments[1], arguments[3]).is_ok(), "{better}");
        }
        assert!(Window::rows(0).is_err());
    }

    #[test]
    fn windows_are_given_early_by_panes_that_are_few_enough() {
        let early = |window: Window, every: &str| window.check_early(parse_interval(every).unwrap());
        let minute = Window::tumble("1 minute").unwrap();
        let hop = Window::hop("10 seconds", "1 minute").unwrap();
        for (window, every) in
            [(minute, "5 s"), (minute, "7 s"), (minute, "59 s"), (hop, "5 s"), (hop, "15 s")]
        {
            assert_eq!(early(window, every), Ok(()));
        }
        for (window, every, said) in [
            (minute, "1 minute", "after 1 minute a window of 1 minute is over"),
            (hop, "2 minutes", "after 2 minutes a window of 1 minute is over"),
            (
                minute,
                "999 us",
                "need 20000000 panes a window, more than 10000; the nearest interval with few enough is '6 milliseconds'",
            ),
            (Window::rows(5).unwrap(), "1 s", "tumble_rows(5) counts rows"),
        ] {
            let refusal = early(window, every).unwrap_err();
            assert!(refusal.contains(said), "{refusal}");
        }
    }
}
