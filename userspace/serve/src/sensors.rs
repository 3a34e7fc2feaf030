//! The sensors of an aggregator, and whom a sensor forwards to.

use crate::api::{Node, on};
use crate::problem::Problem;
use crate::request::Sent;
use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use tapline_catalog::{Catalog, ForwardStatus, Joined, ReportedQuery, ReportedSource, SensorStatus};
use tapline_record::EventTime;
use tapline_sinks::time_text;

/// A sensor that is spoken of.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SensorBody {
    name: String,
}

/// How a sensor stands.
#[derive(Debug, Serialize)]
struct SensorShape {
    name: String,
    /// `connected` or `away`.
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// The name of the node, where it is another one.
    node: Option<String>,
    site: Option<String>,
    tags: BTreeMap<String, String>,
    since: Option<String>,
    address: Option<String>,
    version: String,
    states_version: u32,
    datafusion: String,
    watermark: Option<String>,
    lag_seconds: Option<f64>,
    clock_offset_seconds: Option<f64>,
    spool_octets: u64,
    lost: u64,
    refused: BTreeMap<String, u64>,
    sources: Vec<ReportedSource>,
    queries: Vec<PartShape>,
}

/// A query on a sensor, by the name of whichever of the two is asked for.
#[derive(Debug, Serialize)]
pub(crate) struct PartShape {
    name: String,
    /// `running`, `waiting` or `failed`.
    state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// How a sensor stands with whom it forwards to.
#[derive(Debug, Serialize)]
pub(crate) struct ForwardShape {
    to: String,
    name: String,
    /// `connected` or `away`.
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    spool_octets: u64,
    spool_octets_max: u64,
    lost: u64,
}

/// Nanoseconds in seconds.
const NS: f64 = 1e9;

impl From<SensorStatus> for SensorShape {
    fn from(status: SensorStatus) -> Self {
        let (state, reason) = (status.state(), status.reason());
        let SensorStatus { name, since, address, report, queries, refused, .. } = status;
        let seconds = |ns: Option<i64>| ns.map(|ns| ns as f64 / NS);
        Self {
            name,
            state,
            reason,
            node: report.node,
            site: report.site,
            tags: report.tags,
            since: since.map(time_text),
            address,
            version: report.versions.tapline,
            states_version: report.versions.states,
            datafusion: report.versions.datafusion,
            watermark: report.watermark_ns.map(|ns| time_text(EventTime(ns))),
            lag_seconds: seconds(status.lag_ns),
            clock_offset_seconds: seconds(status.clock_offset_ns),
            spool_octets: report.spool_octets,
            lost: report.lost,
            refused,
            sources: report.sources,
            queries: queries.into_iter().map(PartShape::from).collect(),
        }
    }
}

impl From<(String, ReportedQuery)> for PartShape {
    fn from((name, query): (String, ReportedQuery)) -> Self {
        Self { name, state: query.state, reason: query.reason }
    }
}

impl From<ForwardStatus> for ForwardShape {
    fn from(status: ForwardStatus) -> Self {
        let ForwardStatus { to, name, is_connected, spool_octets, lost, reason } = status;
        let [spool_octets, spool_octets_max] = spool_octets;
        let state = if is_connected { "connected" } else { "away" };
        Self { to, name, state, reason, spool_octets, spool_octets_max, lost }
    }
}

/// All sensors.
pub(crate) async fn sensors(node: Node) -> Result<Response, Problem> {
    let sensors = on(node, Catalog::sensors).await?;
    let sensors: Vec<SensorShape> = sensors.into_iter().map(SensorShape::from).collect();
    Ok(Json(json!({ "sensors": sensors })).into_response())
}

/// Lets a sensor join: gives the token that it brings.
pub(crate) async fn join(node: Node, Sent(body): Sent<SensorBody>) -> Result<Response, Problem> {
    let SensorBody { name } = body;
    let asked = name.clone();
    let joined = on(node, move |catalog| catalog.join_sensor(&asked)).await?;
    let Joined { to, token, file, line } = joined?;
    let answer = json!({ "name": name, "to": to, "token": token, "file": file, "line": line });
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

/// Lets nobody wait for a sensor, nor miss it, until it comes back.
pub(crate) async fn rest(node: Node, Sent(body): Sent<SensorBody>) -> Result<StatusCode, Problem> {
    on(node, move |catalog| catalog.rest_sensor(&body.name)).await??;
    Ok(StatusCode::NO_CONTENT)
}
