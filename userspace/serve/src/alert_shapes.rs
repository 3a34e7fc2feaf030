//! What alerts and alarms look like in requests and answers.

use crate::shapes::whole;
use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tapline_catalog::{AlertCondition, AlertOption, AlertStatus, duration_text, parse_by, parse_cool_down};
use tapline_sinks::{Firing, time_text};

/// What makes rows of a query an alarm.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AlertBody {
    /// `rows`, or such as `ports > 100`.
    condition: String,
    /// `key` or `whole`.
    #[serde(default)]
    by: Option<String>,
    /// Such as `5m`.
    #[serde(default)]
    cool_down: Option<String>,
    #[serde(default, deserialize_with = "whole")]
    resolve_after: Option<u64>,
    /// Who tells of it.
    #[serde(default)]
    sinks: Vec<String>,
}

/// The same of a query, to be added to it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewAlert {
    query: String,
    condition: String,
    #[serde(default)]
    by: Option<String>,
    #[serde(default)]
    cool_down: Option<String>,
    #[serde(default, deserialize_with = "whole")]
    resolve_after: Option<u64>,
    #[serde(default)]
    sinks: Vec<String>,
}

impl NewAlert {
    /// The query, and the alert.
    pub(crate) fn read(self) -> Result<(String, AlertOption), String> {
        let Self { query, condition, by, cool_down, resolve_after, sinks } = self;
        Ok((query, AlertBody { condition, by, cool_down, resolve_after, sinks }.read()?))
    }
}

impl AlertBody {
    pub(crate) fn read(self) -> Result<AlertOption, String> {
        let Self { condition, by, cool_down, resolve_after, sinks } = self;
        let usual = AlertOption::default();
        let windows = resolve_after.map(|windows| u32::try_from(windows).ok().filter(|windows| *windows > 0));
        let right = "resolve_after: write a number of windows, at least 1";
        Ok(AlertOption {
            condition: AlertCondition::parse(&condition)?,
            by: by.as_deref().map(parse_by).transpose()?.unwrap_or(usual.by),
            cool_down: cool_down.as_deref().map(parse_cool_down).transpose()?.unwrap_or(usual.cool_down),
            resolve_after: windows.unwrap_or(Some(usual.resolve_after)).ok_or(right)?,
            sinks,
        })
    }

    pub(crate) fn of(alert: &AlertOption) -> Self {
        let AlertOption { condition, by, cool_down, resolve_after, sinks } = alert;
        Self {
            condition: condition.to_string(),
            by: Some(by.name().to_owned()),
            cool_down: Some(duration_text(*cool_down)),
            resolve_after: Some(u64::from(*resolve_after)),
            sinks: sinks.clone(),
        }
    }
}

/// Reads a list of objects; a list of what their fields hold is none of them.
pub(crate) fn bodies<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<AlertBody>, D::Error> {
    let all = Vec::<Map<String, Value>>::deserialize(from)?;
    let read = |fields| AlertBody::deserialize(Value::Object(fields)).map_err(D::Error::custom);
    all.into_iter().map(read).collect()
}

/// An alert of a query.
#[derive(Debug, Serialize)]
pub(crate) struct RuleShape {
    query: String,
    condition: String,
    by: &'static str,
    cool_down: String,
    resolve_after: u32,
    sinks: Vec<String>,
    /// Whether the configuration says it.
    configured: bool,
    /// How many alarms fire by it.
    firing: usize,
}

impl From<&AlertStatus> for RuleShape {
    fn from(status: &AlertStatus) -> Self {
        let alert = &status.alert;
        Self {
            query: status.query.clone(),
            condition: alert.said.clone(),
            by: alert.by.name(),
            cool_down: duration_text(alert.cool_down),
            resolve_after: alert.resolve_after,
            sinks: alert.sinks.clone(),
            configured: alert.is_configured,
            firing: status.firing(),
        }
    }
}

/// An alarm that fires, or did.
#[derive(Debug, Serialize)]
pub(crate) struct AlarmShape {
    query: String,
    condition: String,
    /// The keys of its rows; `null` for the query as a whole.
    key: Value,
    since: String,
    /// The end of the last window with rows.
    last: String,
    told: String,
    /// When it was over; `null` where it fires.
    ended: Option<String>,
    /// The newest row of it.
    row: Value,
    /// Who tells of it.
    sinks: Vec<String>,
}

impl AlarmShape {
    pub(crate) fn of(alarm: &Firing, sinks: &[String]) -> Result<Self, serde_json::Error> {
        let object = |text: &Option<String>| text.as_deref().map_or(Ok(Value::Null), serde_json::from_str);
        let [since, last, told] = [alarm.since, alarm.last, alarm.told].map(time_text);
        Ok(Self {
            query: alarm.query.clone(),
            condition: alarm.condition.clone(),
            key: object(&alarm.key)?,
            since,
            last,
            told,
            ended: alarm.ended.map(time_text),
            row: object(&alarm.row)?,
            sinks: sinks.to_vec(),
        })
    }
}
