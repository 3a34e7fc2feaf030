//! What an aggregator gave of each window, as its API says it.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use anyhow::{Context, Result};
use serde_json::Value;

/// Records and their octets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Number of records.
    pub records: u64,
    /// Octets that they tell of.
    pub octets: u64,
}

/// Amounts by the starts of windows, in nanoseconds since the epoch.
pub type Windows = BTreeMap<i64, Amount>;

/// A window as it was given last.
#[derive(Clone, Debug, PartialEq)]
pub struct Given {
    /// Of each sensor; under the empty name where the query does not tell them apart.
    pub by_sensor: BTreeMap<String, Amount>,
    /// `final`, `partial` or `revised`.
    pub status: String,
    /// Which one it is; 0 is the first.
    pub revision: u64,
    /// The part of the records that is in it; `None` where nobody knows.
    pub completeness: Option<f64>,
}

/// The windows of one query, each as it was given last, whichever process gave it.
#[derive(Clone, Debug, Default)]
pub struct Books(BTreeMap<i64, Given>);

impl AddAssign for Amount {
    fn add_assign(&mut self, other: Self) {
        self.records += other.records;
        self.octets += other.octets;
    }
}

impl Given {
    /// Of all sensors.
    pub fn amount(&self) -> Amount {
        self.by_sensor.values().fold(Amount::default(), |mut sum, amount| {
            sum += *amount;
            sum
        })
    }

    /// Whether it says that something is missing, or may be.
    pub fn tells_of_loss(&self) -> bool {
        self.completeness.is_none_or(|part| part < 1.0)
    }
}

impl Books {
    /// Takes an answer of `/api/v1/queries/NAME/results`; of a window that is known, what was given later counts.
    ///
    /// # Errors
    /// When it is none.
    pub fn take(&mut self, answer: &Value) -> Result<()> {
        let windows = answer["windows"].as_array().with_context(|| format!("no windows: {answer}"))?;
        for window in windows {
            let start = nanoseconds(window["window_start"].as_str().unwrap_or_default())?;
            let given = given(window)?;
            let is_newer = self.0.get(&start).is_none_or(|known| known.revision <= given.revision);
            if is_newer {
                self.0.insert(start, given);
            }
        }
        Ok(())
    }

    /// All of them.
    pub const fn windows(&self) -> &BTreeMap<i64, Given> {
        &self.0
    }
}

fn given(window: &Value) -> Result<Given> {
    let mut by_sensor = BTreeMap::<String, Amount>::new();
    for row in window["rows"].as_array().into_iter().flatten() {
        let records = row["records"].as_u64().with_context(|| format!("no records: {row}"))?;
        // Not each query asks for octets.
        let amount = Amount { records, octets: row["octets"].as_u64().unwrap_or_default() };
        *by_sensor.entry(row["sensor"].as_str().unwrap_or_default().to_owned()).or_default() += amount;
    }
    Ok(Given {
        by_sensor,
        status: window["status"].as_str().unwrap_or_default().to_owned(),
        revision: window["revision"].as_u64().unwrap_or_default(),
        completeness: window["completeness"].as_f64(),
    })
}

/// A time such as `2026-11-29T16:00:02Z` or `2026-11-29T16:00:02.250Z`, in nanoseconds since the epoch.
///
/// # Errors
/// When it is none.
pub fn nanoseconds(text: &str) -> Result<i64> {
    let parts = || -> Option<i64> {
        let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<i64>().ok();
        let days = days_since_epoch(number(0..4)?, number(5..7)?, number(8..10)?);
        let seconds = number(11..13)? * 3600 + number(14..16)? * 60 + number(17..19)?;
        let fraction = text.get(19..)?.trim_end_matches('Z').trim_start_matches('.');
        let fraction = format!("{fraction:0<9}").get(..9)?.parse::<i64>().ok()?;
        Some((days * 86_400 + seconds) * 1_000_000_000 + fraction)
    };
    parts().with_context(|| format!("{text:?} is no time"))
}

/// Days of the Gregorian calendar since 1970 (Howard Hinnant's days_from_civil).
const fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year - era * 400;
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn times_are_read() {
        assert_eq!(nanoseconds("1970-01-01T00:00:00Z").unwrap(), 0);
        assert_eq!(nanoseconds("2026-11-29T16:00:02Z").unwrap(), 1_795_968_002_000_000_000);
        assert_eq!(nanoseconds("1970-01-01T00:00:01.25Z").unwrap(), 1_250_000_000);
        assert!(nanoseconds("soon").is_err());
    }

    #[test]
    fn what_is_given_later_counts() {
        let window = |records: u64, revision: u64, completeness: Option<f64>| {
            let rows =
                json!([{ "sensor": "a", "records": records, "octets": 7 }, { "sensor": "b", "records": 1 }]);
            json!({ "windows": [{
                "window_start": "1970-01-01T00:00:02Z", "status": "final", "revision": revision,
                "completeness": completeness, "rows": rows
            }] })
        };
        let mut books = Books::default();
        for (records, revision) in [(3, 0), (5, 2), (4, 1)] {
            books.take(&window(records, revision, Some(0.5))).unwrap();
        }
        let given = &books.windows()[&2_000_000_000];
        assert_eq!((given.amount(), given.revision), (Amount { records: 6, octets: 7 }, 2));
        assert!(given.tells_of_loss());
        books.take(&window(6, 3, Some(1.0))).unwrap();
        assert!(!books.windows()[&2_000_000_000].tells_of_loss());
        assert!(books.take(&json!({})).is_err());
    }
}
