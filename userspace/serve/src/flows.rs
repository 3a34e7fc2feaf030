//! The flows that are active, in one answer.

use crate::problem::Problem;
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use serde::{Deserialize, Serialize};
use tapline_catalog::{ActiveFlows, FlowOrder, SeenFlow};
use tapline_record::address::to_ip;
use tapline_sinks::time_text;

/// Flows that are given where nothing is said, and at the most.
const FLOWS: u32 = 100;
const FLOWS_MAX: u32 = 10_000;

/// How many flows are asked for, and which come first.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Asked {
    limit: Option<u32>,
    order: Option<String>,
}

/// The same, as far as it can be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) limit: usize,
    pub(crate) order: FlowOrder,
}

impl Asked {
    fn wanted(self) -> Result<Wanted, String> {
        let limit = self.limit.unwrap_or(FLOWS);
        if limit > FLOWS_MAX {
            return Err(format!(
                "limit: one answer has at most {FLOWS_MAX} flows; the table active_flows has more, for POST /api/v1/sql and \
                 for clients of PostgreSQL's protocol"
            ));
        }
        let order = self.order.map_or(Ok(FlowOrder::default()), |order| order.parse());
        let order = order.map_err(|wrong: String| format!("order: {wrong}"))?;
        Ok(Wanted { limit: limit as usize, order })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Wanted {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let asked = Query::<Asked>::from_request_parts(parts, state).await;
        let Query(asked) = asked.map_err(|wrong: QueryRejection| Problem::wrong(wrong.body_text()))?;
        asked.wanted().map_err(Problem::wrong)
    }
}

/// The answer.
#[derive(Debug, Serialize)]
pub(crate) struct FlowsShape {
    as_of: String,
    complete: bool,
    /// Why it is not.
    reasons: Vec<String>,
    /// How many are known.
    total: usize,
    flows: Vec<FlowShape>,
}

#[derive(Debug, Serialize)]
struct FlowShape {
    source: String,
    state: &'static str,
    ip_version: Option<u8>,
    src_ip: String,
    dst_ip: String,
    src_port: Option<u16>,
    dst_port: Option<u16>,
    protocol: Option<u8>,
    icmp_type: Option<u8>,
    icmp_code: Option<u8>,
    vlan: Option<u16>,
    direction: Option<u8>,
    start_time: String,
    last_time: String,
    age: f64,
    idle: f64,
    packets: u64,
    octets: u64,
    packets_sent: u64,
    records_sent: u64,
    octets_rate_1s: Option<f64>,
    octets_rate_10s: Option<f64>,
    packets_rate_1s: Option<f64>,
    packets_rate_10s: Option<f64>,
    tcp_flags: Option<u16>,
    end_reason: Option<&'static str>,
}

impl From<ActiveFlows> for FlowsShape {
    fn from(active: ActiveFlows) -> Self {
        let ActiveFlows { as_of, complete, reasons, total, flows } = active;
        let flows = flows.into_iter().map(FlowShape::from).collect();
        Self { as_of: time_text(as_of), complete, reasons, total, flows }
    }
}

impl From<SeenFlow> for FlowShape {
    fn from(flow: SeenFlow) -> Self {
        let ([octets_rate_1s, octets_rate_10s], [packets_rate_1s, packets_rate_10s]) =
            (flow.rates.octets, flow.rates.packets);
        Self {
            source: flow.source.to_string(),
            state: flow.state(),
            ip_version: flow.ip_version,
            src_ip: to_ip(flow.src_ip).to_string(),
            dst_ip: to_ip(flow.dst_ip).to_string(),
            src_port: flow.src_port,
            dst_port: flow.dst_port,
            protocol: flow.protocol,
            icmp_type: flow.icmp_type,
            icmp_code: flow.icmp_code,
            vlan: flow.vlan,
            direction: flow.direction,
            start_time: time_text(flow.start_time),
            last_time: time_text(flow.last_time),
            age: seconds(flow.age_ns),
            idle: seconds(flow.idle_ns),
            packets: flow.packets,
            octets: flow.octets,
            packets_sent: flow.packets_sent,
            records_sent: flow.records_sent,
            octets_rate_1s,
            octets_rate_10s,
            packets_rate_1s,
            packets_rate_10s,
            tcp_flags: flow.tcp_flags,
            end_reason: flow.end_reason,
        }
    }
}

fn seconds(ns: i64) -> f64 {
    ns as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_answered_is_said() {
        let wanted = |limit, order: Option<&str>| {
            let order = order.map(str::to_owned);
            Asked { limit, order }.wanted()
        };
        assert_eq!(wanted(None, None), Ok(Wanted { limit: 100, order: FlowOrder::Octets }));
        assert_eq!(wanted(Some(0), Some("rate")), Ok(Wanted { limit: 0, order: FlowOrder::Rate }));
        assert!(wanted(Some(10_001), None).unwrap_err().starts_with("limit: one answer has at most 10000"));
        assert!(wanted(None, Some("big")).unwrap_err().starts_with("order: `big` is no order"));
    }
}
