//! What requests and answers look like.

use crate::alert_shapes::{AlertBody, bodies};
use crate::diagram::DiagramShape;
use crate::sensor_shapes::{ForwardShape, PartShape};
use arrow_schema::Schema;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Number, Value};
use std::collections::BTreeMap;
use std::time::Duration;
use tapline_catalog::{
    Allowance, Definition, Explained, QueryOptions, QueryStatus, Snapshot, SourceStatus, duration_text,
    parse_duration, parse_switch, switch_text,
};
use tapline_engine::ResultColumns;
use tapline_lookup::TableStatus;
use tapline_sinks::{OutletState, OutletStatus, time_text};

/// A query to add.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewQuery {
    pub(crate) name: String,
    pub(crate) sql: String,
    #[serde(default, deserialize_with = "object")]
    pub(crate) options: Options,
}

/// A query to put in the place of another one, or to explain.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct QueryBody {
    pub(crate) sql: String,
    #[serde(default, deserialize_with = "object")]
    pub(crate) options: Options,
}

/// What is said of a query besides its text.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Options {
    /// Such as `10s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) early: Option<String>,
    /// Whether its newest window is given as metrics.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) metrics: bool,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "whole")]
    pub(crate) groups_max: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "whole")]
    pub(crate) octets_max: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "whole")]
    pub(crate) rows_per_second_max: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "whole")]
    pub(crate) work_max_ns: Option<u64>,
    /// `fold`, `sample` or `stop`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) beyond: Option<String>,
    /// `on` or `off`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) history: Option<String>,
    /// What makes its rows alarms.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "bodies")]
    pub(crate) alerts: Vec<AlertBody>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) note: String,
}

impl Options {
    pub(crate) fn read(self) -> Result<QueryOptions, String> {
        let early = self.early.as_deref().map(parse_duration).transpose();
        let early: Option<Duration> = early.map_err(|wrong| format!("early: {wrong}"))?;
        let mut allowance = Allowance::default();
        let numbers = [self.groups_max, self.octets_max, self.rows_per_second_max, self.work_max_ns];
        let values = numbers.map(|number| number.map(|number| number.to_string())).into_iter();
        for (key, value) in Allowance::KEYS.into_iter().zip(values.chain([self.beyond])) {
            let said = value.map_or(Ok(()), |value| allowance.say(key, &value));
            said.map_err(|wrong| format!("{key}: {wrong}"))?;
        }
        let history = self.history.as_deref().map(parse_switch).transpose();
        let history = history.map_err(|wrong| format!("history: {wrong}"))?;
        let alerts = self.alerts.into_iter().map(AlertBody::read).collect::<Result<_, _>>();
        let alerts = alerts.map_err(|wrong| format!("alert: {wrong}"))?;
        Ok(QueryOptions { early, metrics: self.metrics, allowance, history, alerts, note: self.note })
    }

    fn of(options: &QueryOptions) -> Self {
        let QueryOptions { early, metrics, allowance, history, alerts, note } = options;
        Self {
            early: early.map(duration_text),
            metrics: *metrics,
            groups_max: allowance.groups_max,
            octets_max: allowance.octets_max,
            rows_per_second_max: allowance.rows_per_second_max,
            work_max_ns: allowance.work_max_ns,
            beyond: allowance.beyond.map(|beyond| beyond.to_string()),
            history: history.map(|is_on| switch_text(is_on).to_owned()),
            alerts: alerts.iter().map(AlertBody::of).collect(),
            note: note.clone(),
        }
    }
}

/// Reads a whole number, which JSON may write as `16.0`, too.
pub(crate) fn whole<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    let Some(number) = Option::<Number>::deserialize(from)? else { return Ok(None) };
    let rounded = number.as_f64().filter(|value| value.fract() == 0.0 && (0.0..1e18).contains(value));
    let whole = number.as_u64().or_else(|| rounded.map(|value| value as u64));
    whole.map(Some).ok_or_else(|| D::Error::custom(format!("{number} is no whole number from 1")))
}

/// Reads an object; a list of what its fields hold is none.
pub(crate) fn object<'de, D: Deserializer<'de>, T: DeserializeOwned>(from: D) -> Result<T, D::Error> {
    let fields = Map::<String, Value>::deserialize(from)?;
    T::deserialize(Value::Object(fields)).map_err(D::Error::custom)
}

/// How a lookup table stands.
#[derive(Debug, Serialize)]
pub(crate) struct LookupShape {
    name: String,
    file: String,
    keys: usize,
    /// Why the file as it is was not taken.
    refused: Option<String>,
}

impl From<TableStatus> for LookupShape {
    fn from(status: TableStatus) -> Self {
        let TableStatus { name, file, keys, refused } = status;
        Self { name, file, keys, refused }
    }
}

/// A column of results.
#[derive(Debug, Serialize)]
pub(crate) struct ColumnShape {
    name: String,
    r#type: String,
}

/// The columns of results, with Arrow's names of types.
pub(crate) fn columns(columns: &ResultColumns) -> Vec<ColumnShape> {
    fields(columns.schema())
}

/// Columns, with Arrow's names of types.
pub(crate) fn fields(schema: &Schema) -> Vec<ColumnShape> {
    let fields = schema.fields().iter();
    fields
        .map(|field| ColumnShape { name: field.name().clone(), r#type: field.data_type().to_string() })
        .collect()
}

/// What a query does.
#[derive(Debug, Serialize)]
pub(crate) struct ExplainedShape {
    /// For a person, in lines.
    text: String,
    diagram: DiagramShape,
    schema: Vec<ColumnShape>,
    streams: Vec<&'static str>,
    sources: Vec<String>,
}

impl From<Explained> for ExplainedShape {
    fn from(explained: Explained) -> Self {
        let Explained { text, diagram, columns: of, streams, sources } = explained;
        Self { text, diagram: diagram.into(), schema: columns(&of), streams, sources }
    }
}

/// How a query stands.
#[derive(Debug, Serialize)]
pub(crate) struct QueryShape {
    name: String,
    sql: String,
    options: Options,
    /// `running`, `waiting` or `failed`.
    state: &'static str,
    /// Why it does not run, or not on all rows; for `waiting`, what it waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    since: String,
    streams: Vec<&'static str>,
    delivered: u64,
    used: u64,
    filtered: u64,
    late: u64,
    dropped: u64,
    folded: u64,
    octets_held: u64,
    groups_held: u64,
    ns_a_row: Option<u64>,
    work_ns: u64,
    window_work_ns: u64,
    results_lost: u64,
    last_window_start: Option<String>,
    last_window_end: Option<String>,
    /// The sensors that run it, where these do.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parts: Vec<PartShape>,
}

impl From<QueryStatus> for QueryShape {
    fn from(status: QueryStatus) -> Self {
        let (state, reason) = (status.state.word(), status.reason());
        let Definition { name, sql, options } = status.definition;
        let [last_window_start, last_window_end] = match status.last_window {
            Some(window) => [window.start, window.end].map(|time| Some(time_text(time))),
            None => [None, None],
        };
        let ledger = status.ledger;
        Self {
            name,
            sql,
            options: Options::of(&options),
            state,
            reason,
            since: time_text(status.since),
            streams: status.streams,
            delivered: ledger.delivered,
            used: ledger.used,
            filtered: ledger.filtered,
            late: ledger.late,
            dropped: ledger.dropped,
            folded: ledger.folded,
            octets_held: status.octets_held,
            groups_held: status.groups_held,
            ns_a_row: status.ns_a_row,
            work_ns: status.work_ns,
            window_work_ns: status.window_work_ns,
            results_lost: status.results_lost,
            last_window_start,
            last_window_end,
            parts: status.parts.into_iter().map(PartShape::from).collect(),
        }
    }
}

/// How a source stands.
#[derive(Debug, Serialize)]
pub(crate) struct SourceShape {
    name: String,
    kind: &'static str,
    /// `open`, `unused` or `absent`.
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    since: String,
    unit: &'static str,
    offered: u64,
    delivered: u64,
    filtered: u64,
    control: u64,
    undecodable: u64,
    dropped: u64,
    lost: u64,
    records_missing: u64,
    octets: u64,
    messages: u64,
    threads: Vec<String>,
    /// The filter whose frames alone are read, and the first of the rules that hold for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    filter: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rules: Vec<String>,
    rules_in_force: u64,
}

impl From<SourceStatus> for SourceShape {
    fn from(status: SourceStatus) -> Self {
        let ledger = status.ledger;
        Self {
            name: status.name,
            kind: status.kind,
            state: status.state.word(),
            reason: status.state.reason().map(str::to_owned),
            since: time_text(status.since),
            unit: status.unit,
            offered: ledger.offered,
            delivered: ledger.delivered,
            filtered: ledger.filtered,
            control: ledger.control,
            undecodable: ledger.undecodable,
            dropped: ledger.dropped,
            lost: ledger.lost_before_us,
            records_missing: status.records_missing,
            octets: status.octets,
            messages: status.messages,
            threads: status.threads,
            filter: status.filter,
            rules: status.rules,
            rules_in_force: status.rules_in_force,
        }
    }
}

/// How an outlet of results stands.
#[derive(Debug, Serialize)]
pub(crate) struct OutletShape {
    name: String,
    kind: &'static str,
    /// `running` or `failing`.
    state: &'static str,
    /// Why it does not do its work.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    given: u64,
    lost: u64,
    lost_by_query: BTreeMap<String, u64>,
    waiting: u64,
}

impl From<OutletStatus> for OutletShape {
    fn from(status: OutletStatus) -> Self {
        let (state, reason) = match status.state {
            OutletState::Running => ("running", None),
            OutletState::Failing(why) => ("failing", Some(why)),
        };
        Self {
            name: status.name,
            kind: status.kind,
            state,
            reason,
            given: status.given,
            lost: status.lost.values().sum(),
            lost_by_query: status.lost,
            waiting: status.waiting,
        }
    }
}

/// A thread that lives as long as what it works for.
#[derive(Debug, Serialize)]
pub(crate) struct ThreadShape {
    name: String,
    cpu_seconds: f64,
}

impl From<(String, f64)> for ThreadShape {
    fn from((name, cpu_seconds): (String, f64)) -> Self {
        Self { name, cpu_seconds }
    }
}

/// How a node stands.
#[derive(Debug, Serialize)]
pub(crate) struct StatusShape {
    version: &'static str,
    now: String,
    started: String,
    pub(crate) sources: Vec<SourceShape>,
    pub(crate) queries: Vec<QueryShape>,
    outlets: Vec<OutletShape>,
    /// Whom it forwards to, where it is a sensor.
    #[serde(skip_serializing_if = "Option::is_none")]
    forwards: Option<ForwardShape>,
    /// What it is asked by those.
    pub(crate) forwarded: Vec<QueryShape>,
    pub(crate) threads: Vec<ThreadShape>,
    /// Requests that brought a wrong token.
    pub(crate) tokens_refused: u64,
}

impl From<Snapshot> for StatusShape {
    fn from(snapshot: Snapshot) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            now: time_text(snapshot.now),
            started: time_text(snapshot.started),
            sources: snapshot.sources.into_iter().map(SourceShape::from).collect(),
            queries: snapshot.queries.into_iter().map(QueryShape::from).collect(),
            outlets: snapshot.outlets.into_iter().map(OutletShape::from).collect(),
            forwards: snapshot.forwards.map(ForwardShape::from),
            forwarded: snapshot.forwarded.into_iter().map(QueryShape::from).collect(),
            threads: vec![],
            tokens_refused: 0,
        }
    }
}

/// A query that was added or replaced.
#[derive(Debug, Serialize)]
pub(crate) struct Added {
    pub(crate) name: String,
    #[serde(flatten)]
    pub(crate) explained: ExplainedShape,
}
