//! `active_flows`: what flows now, before it ends.
//!
//! Each row says of which moment it is, and whether all flows that were active then are known. Where nothing is known,
//! there is one row, without a flow, that says why.

use crate::listing::{Cells, Listing, columns, signed};
use datafusion::arrow::array::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::common::{DataFusionError, Result};
use std::sync::Arc;
use tapline_catalog::{ActiveFlows, Catalog, FlowOrder, SeenFlow};
use tapline_record::EventTime;
use tapline_record::address::to_ip;

/// What the table is called.
pub(crate) const NAME: &str = "active_flows";

/// The table, whose flows are asked for when it is read.
pub(crate) fn table(catalog: &Arc<Catalog>) -> Result<Arc<dyn TableProvider>> {
    let none = ActiveFlows { as_of: EventTime(0), complete: true, reasons: vec![], total: 0, flows: vec![] };
    let (schema, catalog) = (rows(&none)?.schema(), Arc::clone(catalog));
    Ok(Arc::new(Listing::new(schema, move || {
        let flows = catalog.active_flows(usize::MAX, FlowOrder::Octets);
        rows(&flows.map_err(|error| DataFusionError::Execution(error.to_string()))?)
    })))
}

/// The flows, or a row in the place of those that are not known.
fn rows(active: &ActiveFlows) -> Result<RecordBatch> {
    let mut flows: Vec<Option<&SeenFlow>> = active.flows.iter().map(Some).collect();
    if flows.is_empty() && !active.complete {
        flows.push(None);
    }
    let text = |of: fn(&SeenFlow) -> Option<String>| Cells::Text(each(&flows, of));
    let number = |of: fn(&SeenFlow) -> Option<i64>| Cells::Number(each(&flows, of));
    let real = |of: fn(&SeenFlow) -> Option<f64>| Cells::Real(each(&flows, of));
    let time = |of: fn(&SeenFlow) -> EventTime| Cells::Time(flows.iter().map(|flow| flow.map(of)).collect());
    let rows = flows.len();
    let reason = (!active.complete).then(|| active.reasons.join("; "));
    columns([
        ("source", text(|flow| Some(flow.source.to_string()))),
        ("state", text(|flow| Some(flow.state().to_owned()))),
        ("ip_version", number(|flow| flow.ip_version.map(i64::from))),
        ("src_ip", text(|flow| Some(to_ip(flow.src_ip).to_string()))),
        ("dst_ip", text(|flow| Some(to_ip(flow.dst_ip).to_string()))),
        ("src_port", number(|flow| flow.src_port.map(i64::from))),
        ("dst_port", number(|flow| flow.dst_port.map(i64::from))),
        ("protocol", number(|flow| flow.protocol.map(i64::from))),
        ("icmp_type", number(|flow| flow.icmp_type.map(i64::from))),
        ("icmp_code", number(|flow| flow.icmp_code.map(i64::from))),
        ("vlan", number(|flow| flow.vlan.map(i64::from))),
        ("direction", number(|flow| flow.direction.map(i64::from))),
        ("start_time", time(|flow| flow.start_time)),
        ("last_time", time(|flow| flow.last_time)),
        ("age", real(|flow| Some(seconds(flow.age_ns)))),
        ("idle", real(|flow| Some(seconds(flow.idle_ns)))),
        ("packets", number(|flow| Some(signed(flow.packets)))),
        ("octets", number(|flow| Some(signed(flow.octets)))),
        ("packets_sent", number(|flow| Some(signed(flow.packets_sent)))),
        ("records_sent", number(|flow| Some(signed(flow.records_sent)))),
        ("octets_rate_1s", real(|flow| flow.rates.octets[0])),
        ("octets_rate_10s", real(|flow| flow.rates.octets[1])),
        ("packets_rate_1s", real(|flow| flow.rates.packets[0])),
        ("packets_rate_10s", real(|flow| flow.rates.packets[1])),
        ("tcp_flags", number(|flow| flow.tcp_flags.map(i64::from))),
        ("end_reason", text(|flow| flow.end_reason.map(str::to_owned))),
        ("as_of", Cells::Time(vec![Some(active.as_of); rows])),
        ("complete", Cells::Truth(vec![Some(active.complete); rows])),
        ("reason", Cells::Text(vec![reason; rows])),
    ])
}

/// A value of each flow, NULL where there is none.
fn each<T>(flows: &[Option<&SeenFlow>], of: fn(&SeenFlow) -> Option<T>) -> Vec<Option<T>> {
    flows.iter().map(|flow| flow.and_then(of)).collect()
}

fn seconds(ns: i64) -> f64 {
    ns as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::util::display::array_value_to_string;
    use tapline_catalog::Rates;
    use tapline_record::address::mapped_v4;

    fn flow() -> SeenFlow {
        SeenFlow {
            source: "far".into(),
            ip_version: Some(4),
            src_ip: mapped_v4([10, 0, 0, 1]),
            dst_ip: mapped_v4([10, 0, 0, 2]),
            src_port: Some(1234),
            dst_port: Some(53),
            protocol: Some(17),
            icmp_type: None,
            icmp_code: None,
            vlan: None,
            start_time: EventTime(0),
            last_time: EventTime(1),
            age_ns: 2_500_000_000,
            idle_ns: 0,
            packets: 7,
            octets: 700,
            packets_sent: 2,
            records_sent: 200,
            rates: Rates { octets: [Some(100.0), None], ..Rates::default() },
            tcp_flags: None,
            direction: None,
            end_reason: None,
        }
    }

    fn value(batch: &RecordBatch, column: &str) -> String {
        array_value_to_string(batch.column_by_name(column).unwrap(), 0).unwrap()
    }

    #[test]
    fn a_flow_is_a_row() {
        let active = ActiveFlows {
            as_of: EventTime(0),
            complete: true,
            reasons: vec![],
            total: 1,
            flows: vec![flow()],
        };
        let batch = rows(&active).unwrap();
        let expected = [
            ("source", "far"),
            ("state", "active"),
            ("src_ip", "10.0.0.1"),
            ("dst_port", "53"),
            ("vlan", ""),
            ("age", "2.5"),
            ("records_sent", "200"),
            ("octets_rate_1s", "100.0"),
            ("octets_rate_10s", ""),
            ("complete", "true"),
            ("reason", ""),
        ];
        for (column, text) in expected {
            assert_eq!(value(&batch, column), text, "{column}");
        }
    }

    #[test]
    fn where_nothing_is_known_a_row_says_why() {
        let reasons = vec!["far is not read: it is gone".to_owned()];
        let unknown = ActiveFlows { as_of: EventTime(0), complete: false, reasons, total: 0, flows: vec![] };
        let batch = rows(&unknown).unwrap();
        assert_eq!(batch.num_rows(), 1);
        assert_eq!(value(&batch, "reason"), "far is not read: it is gone");
        assert_eq!((value(&batch, "state"), value(&batch, "complete")), (String::new(), "false".to_owned()));
        assert_eq!(rows(&ActiveFlows { complete: true, ..unknown }).unwrap().num_rows(), 0);
    }
}
