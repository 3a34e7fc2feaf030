//! Sensors, and whom one forwards to, as JSON.

use serde::Serialize;
use std::collections::BTreeMap;
use tapline_catalog::{ForwardStatus, ReportedQuery, ReportedSource, SensorStatus};
use tapline_record::EventTime;
use tapline_sinks::time_text;

/// How a sensor stands.
#[derive(Debug, Serialize)]
pub(crate) struct SensorShape {
    name: String,
    /// `connected` or `away`.
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// The name of the node, where it is another one.
    node: Option<String>,
    site: Option<String>,
    /// Whose sensor it is, where it does not come here itself.
    through: Option<String>,
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
        let SensorStatus { name, through, since, address, report, queries, refused, .. } = status;
        let seconds = |ns: Option<i64>| ns.map(|ns| ns as f64 / NS);
        Self {
            name,
            state,
            reason,
            node: report.node,
            site: report.site,
            through,
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
