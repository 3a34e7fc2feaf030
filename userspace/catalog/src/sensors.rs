//! What an aggregator and its sensors tell each other of queries, and how sensors stand.
//!
//! Both ends write it as JSON. What one of them does not know of the other's, it passes over: a newer one may say more.

use crate::limits::Allowance;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use tapline_delivery::{Patience, SensorName};
use tapline_engine::{DATAFUSION_VERSION, QueryLimits, STATES_VERSION};
use tapline_record::EventTime;

/// What two ends run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Versions {
    /// Of tapline.
    pub tapline: String,
    /// Of the states of aggregates.
    pub states: u32,
    /// Of DataFusion, whose states some of them are.
    pub datafusion: String,
}

impl Versions {
    /// Those of this process.
    #[must_use]
    pub fn own() -> Self {
        Self {
            tapline: env!("CARGO_PKG_VERSION").to_owned(),
            states: STATES_VERSION,
            datafusion: DATAFUSION_VERSION.to_owned(),
        }
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tapline, states, datafusion } = self;
        write!(formatter, "tapline {tapline} (states {states}, DataFusion {datafusion})")
    }
}

/// What sensors are to run: all of it, each time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Assignments {
    /// Which one it is; a later one has a greater number.
    pub revision: u64,
    /// What the aggregator runs.
    pub by: Versions,
    /// The queries.
    pub queries: Vec<Assigned>,
}

/// A query that sensors are to run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Assigned {
    /// Which one it is: of one life of the query, and of no other one ever.
    pub id: u64,
    /// What it is called.
    pub name: String,
    /// Its text.
    pub sql: String,
    /// What `now()` is in it, in nanoseconds since the epoch.
    pub starting_ns: i64,
    /// What it may take, where somebody said so.
    pub limits: BTreeMap<String, String>,
    /// Patterns of the names of sensors that run it; `None`: all.
    pub sensors: Option<Vec<String>>,
    /// What each of its lower halves is.
    pub fingerprints: Vec<u64>,
}

impl Assigned {
    /// Whether a sensor is to run it.
    #[must_use]
    pub fn is_for(&self, sensor: &str) -> bool {
        let (sensor, mut patterns) = (SensorName::new(sensor), self.sensors.iter().flatten());
        self.sensors.is_none() || patterns.any(|pattern| sensor.is_like(pattern))
    }

    /// What it may take of what others may, where that can be read.
    #[must_use]
    pub fn query_limits(&self, others: QueryLimits) -> QueryLimits {
        self.allowance().unwrap_or_default().limits(others)
    }

    /// What it may take.
    pub(crate) fn allowance(&self) -> Result<Allowance, String> {
        let mut allowance = Allowance::default();
        for (key, value) in self.limits.iter().filter(|(key, _)| Allowance::KEYS.contains(&key.as_str())) {
            allowance.say(key, value).map_err(|wrong| format!("{key}: {wrong}"))?;
        }
        Ok(allowance)
    }
}

/// What a sensor says of itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SensorReport {
    /// What it runs.
    pub versions: Versions,
    /// Where it is.
    pub site: Option<String>,
    /// What else is said of it.
    pub tags: BTreeMap<String, String>,
    /// Its own name, where it is known by another one here.
    pub node: Option<String>,
    /// When it said so, in nanoseconds since the epoch by its own clock.
    pub now_ns: i64,
    /// No row that it takes in later is earlier; where that is known of all its queries.
    pub watermark_ns: Option<i64>,
    /// Octets of what it keeps until a checkpoint has it.
    pub spool_octets: u64,
    /// Records that it had no room for.
    pub lost: u64,
    /// What it reads.
    pub sources: Vec<ReportedSource>,
    /// What it makes of its queries.
    pub queries: Vec<ReportedQuery>,
    /// The sensors behind it, where it hands on what these send.
    pub sensors: Option<Vec<ReportedSensor>>,
}

/// A sensor behind one that hands on what it sends.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReportedSensor {
    /// What it is called.
    pub name: String,
    /// By whom it comes there, where it is not connected there itself.
    pub through: Option<String>,
    /// Whether it is connected.
    pub is_connected: bool,
    /// Since when, or when it was heard last, in nanoseconds since the epoch.
    pub since_ns: Option<i64>,
    /// Whence it came.
    pub address: Option<String>,
    /// How far what is safe of it lies behind, in nanoseconds.
    pub lag_ns: Option<i64>,
    /// How far its clock is ahead, in nanoseconds, about.
    pub clock_offset_ns: Option<i64>,
    /// How often something of it was refused, by the reason's name.
    pub refused: BTreeMap<String, u64>,
    /// What it says of itself.
    pub report: SensorReport,
}

impl From<SensorStatus> for ReportedSensor {
    fn from(status: SensorStatus) -> Self {
        let SensorStatus { name, through, is_connected, since, address, lag_ns, clock_offset_ns, .. } =
            status;
        let since_ns = since.map(|since| since.0);
        let (refused, report) = (status.refused, status.report);
        Self { name, through, is_connected, since_ns, address, lag_ns, clock_offset_ns, refused, report }
    }
}

/// A source of a sensor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReportedSource {
    /// What its rows name as their source.
    pub name: String,
    /// Whether it is read: `open`, `unused` or `absent`.
    pub state: String,
    /// Records that reached it.
    pub offered: u64,
    /// Those that became rows.
    pub delivered: u64,
    /// Those that there was no room for.
    pub dropped: u64,
    /// Those that never arrived.
    pub lost: u64,
}

/// A query on a sensor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReportedQuery {
    /// Which one.
    pub id: u64,
    /// `running`, `waiting` or `failed`.
    pub state: String,
    /// Why it does not run, or not on all rows.
    pub reason: Option<String>,
}

/// How a sensor stands, as its aggregator knows it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SensorStatus {
    /// What it is called.
    pub name: String,
    /// Whose sensor it is, where it does not come here itself: the names of those who hand on what it sends.
    pub through: Option<String>,
    /// Whether it is connected, and all who hand on what it sends.
    pub is_connected: bool,
    /// Since when, or when it was heard last; `None` where it was not since the aggregator began.
    pub since: Option<EventTime>,
    /// Whence it came.
    pub address: Option<String>,
    /// How far what is safe of it lies behind now, in nanoseconds.
    pub lag_ns: Option<i64>,
    /// How far its clock is ahead of ours, in nanoseconds, about.
    pub clock_offset_ns: Option<i64>,
    /// How often something of it was refused, by the reason's name.
    pub refused: BTreeMap<String, u64>,
    /// What it says of itself.
    pub report: SensorReport,
    /// Its queries by name, each with its state and why it is in that.
    pub queries: Vec<(String, ReportedQuery)>,
}

impl SensorStatus {
    /// `connected` or `away`.
    #[must_use]
    pub const fn state(&self) -> &'static str {
        if self.is_connected { "connected" } else { "away" }
    }

    /// Whether others are behind it, of whom it hands on what they send.
    #[must_use]
    pub const fn is_tier(&self) -> bool {
        self.report.sensors.is_some()
    }

    /// What is wrong with it, in a sentence.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        let failed = self.queries.iter().filter(|(_, query)| query.state == "failed");
        let failed =
            failed.map(|(name, query)| format!("{name}: {}", query.reason.as_deref().unwrap_or("it failed")));
        let all: Vec<String> = failed.chain(self.clock_offset_ns.and_then(clock_reason)).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}

/// What is wrong with a clock that is so far ahead, where something is: what sensors say of the time is believed as far as
/// an aggregator's patience with clocks goes.
#[must_use]
pub fn clock_reason(ahead_ns: i64) -> Option<String> {
    let skew_ns = Patience::default().skew_ns.unsigned_abs();
    if ahead_ns.unsigned_abs() <= skew_ns {
        return None;
    }
    let way = if ahead_ns > 0 { "ahead of" } else { "behind" };
    let seconds = ahead_ns.unsigned_abs() as f64 / 1e9;
    Some(format!(
        "its clock is {seconds:.1} s {way} its aggregator's, so that windows wait for it or are given without it; times of \
         its rows are left as they are: set the clock"
    ))
}

/// How a sensor stands with whom it forwards to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardStatus {
    /// Where that is.
    pub to: String,
    /// What it is called there.
    pub name: String,
    /// Whether it is connected.
    pub is_connected: bool,
    /// Octets that are kept until a checkpoint has them, and how many may be.
    pub spool_octets: [u64; 2],
    /// Records of parts that there was no room for.
    pub lost: u64,
    /// Why it is not connected, or nothing more is forwarded.
    pub reason: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_newer_ends_say_besides_is_passed_over() {
        let text = r#"{"revision": 3, "later": 1, "queries": [{"id": 7, "name": "a", "sql": "SELECT 1", "more": []}]}"#;
        let read: Assignments = serde_json::from_str(text).unwrap();
        assert_eq!((read.revision, read.queries[0].id, read.queries[0].is_for("x")), (3, 7, true));
        let again: Assignments = serde_json::from_str(&serde_json::to_string(&read).unwrap()).unwrap();
        assert_eq!(again, read);
    }

    #[test]
    fn a_clock_that_is_far_off_is_told_beside_what_failed() {
        const SECOND_NS: i64 = 1_000_000_000;
        let sensor = |ahead_ns| SensorStatus { clock_offset_ns: Some(ahead_ns), ..SensorStatus::default() };
        assert_eq!([59, 0, -60].map(|ahead| sensor(ahead * SECOND_NS).reason()), [None, None, None]);
        let ahead = sensor(75 * SECOND_NS).reason().unwrap();
        assert!(ahead.starts_with("its clock is 75.0 s ahead of its aggregator's"), "{ahead}");
        let query = ReportedQuery { state: "failed".to_owned(), ..ReportedQuery::default() };
        let behind = SensorStatus { queries: vec![("dns".to_owned(), query)], ..sensor(-61 * SECOND_NS) };
        let behind = behind.reason().unwrap();
        assert!(
            behind.starts_with("dns: it failed; its clock is 61.0 s behind its aggregator's"),
            "{behind}"
        );
        assert!(clock_reason(i64::MIN).is_some());
    }

    #[test]
    fn a_query_is_for_those_whom_it_names() {
        let sensors = Some(["pop-*", "l?b"].map(str::to_owned).into());
        let assigned = Assigned { sensors, ..Assigned::default() };
        assert!(assigned.is_for("pop-1") && assigned.is_for("lab") && !assigned.is_for("laab"));
    }

    #[test]
    fn limits_are_read_and_others_passed_over() {
        let limits = [("groups_max", "10"), ("later", "x")];
        let limits = limits.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        let assigned = Assigned { limits, ..Assigned::default() };
        assert_eq!(assigned.allowance().unwrap().groups_max, Some(10));
        let wrong = Assigned { limits: BTreeMap::from([("beyond".to_owned(), "x".to_owned())]), ..assigned };
        assert_eq!(wrong.allowance().unwrap_err(), "beyond: write fold, sample or stop");
    }
}
