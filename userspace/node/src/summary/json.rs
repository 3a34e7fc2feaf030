//! The account of a run as one JSON object, for programs.
//!
//! Keys never change their meaning; new ones may come. Counts are numbers, fates are named as everywhere: offered,
//! delivered, filtered, control, undecodable, dropped, lost of a source or an exporter; delivered, used, filtered, late, dropped of a
//! query. What else was counted stands under `remarks`, each with its count and what it is.

use super::account::{Account, ExportsRead, PacketsRead};
use super::{Remark, exports, interface};
use serde_json::{Map, Value, json};
use tapline_capture::End;
use tapline_decode::export::{ExportAccount, SentBy, version_name};
use tapline_decode::flow_meter::FlowMeterCounters;
use tapline_engine::QuerySnapshot;
use tapline_interface::kernel::{CardUse, FilterState};
use tapline_record::address::to_ip;
use tapline_record::ledger::SourceLedger;
use tapline_sources::{InterfaceReport, KernelReport, ListenerReport, PacketReport, TemplateReport};

/// The whole account.
pub(super) fn of(summary: &Account) -> Value {
    let mut object = json!({
        "elapsed_seconds": summary.elapsed.as_secs_f64(),
        "ended_early": summary.is_cut,
        "limits_reached": summary.queries.is_empty(),
        "disorder_ns": summary.disorder_ns,
        "rows_dropped": summary.rows_dropped,
        "sources": sources(summary),
        "exporters": [],
        "files": summary.files.iter().map(file).collect::<Vec<_>>(),
        "queries": summary.queries.iter().map(query).collect::<Vec<_>>(),
        "remarks": [],
        "warnings": warnings(summary),
    });
    if let Some(ExportsRead { accounts, sources, strays, files, templates, .. }) = &summary.exports {
        let mut remarks = prefixed("message of no exporter: ", &exports::of_reasons(&strays.reasons));
        remarks.extend(files.iter().flat_map(exports::parts).map(owned));
        remarks.extend(templates.iter().flat_map(of_templates).map(owned));
        object["remarks"] = list(remarks);
        let exporters = accounts.iter().zip(sources);
        object["exporters"] = exporters.map(|(account, source)| exporter(account, source)).collect();
        object["strays"] = json!({ "messages": strays.messages, "octets": strays.octets });
    }
    object
}

/// What was read, each source apart.
fn sources(summary: &Account) -> Vec<Value> {
    let packets = summary.packets.iter().map(|read| match read {
        PacketsRead::Table(report) => of_kernel(report),
        PacketsRead::Frames(report) => of_frames(report),
    });
    let files = summary.exports.iter().flat_map(|exports| &exports.files).map(|counters| {
        json!({
            "kind": "exports",
            "messages": counters.messages,
            "frames": counters.frames,
            "frames_without_exports": counters.other,
        })
    });
    let listeners = summary.exports.iter().flat_map(|exports| &exports.listeners).map(of_listener);
    packets.chain(files).chain(listeners).collect()
}

fn of_frames(frames: &PacketReport) -> Value {
    let kind = if frames.interface.is_some() { "packets" } else { "captures" };
    let mut remarks: Vec<(u64, String)> = vec![];
    let damage: Vec<Remark> = frames.damage.iter().map(|(damage, frames)| (frames, damage.text())).collect();
    remarks.extend(prefixed("damaged: ", &damage));
    remarks.extend(frames.unread.iter().map(|(what, frames)| (frames, format!("not read: {what}"))));
    remarks.extend(frames.interface.iter().flat_map(interface::of_reader).map(owned));
    let mut object = fates(&frames.ledger);
    object.extend([
        ("kind".to_owned(), json!(kind)),
        ("source".to_owned(), json!(frames.source)),
        ("frame_octets".to_owned(), json!(frames.frame_octets)),
        ("remarks".to_owned(), list(remarks)),
    ]);
    if let Some(report) = &frames.interface {
        object.extend(of_reader(report));
    }
    if let Some(flows) = &frames.flows {
        object.insert("flows".to_owned(), of_flows(flows));
    }
    Value::Object(object)
}

fn of_flows(flows: &FlowMeterCounters) -> Value {
    json!({
        "flows": flows.flows,
        "packets": flows.packets,
        "frames_without_ip": flows.frames_without_ip,
        "clock_steps": flows.clock_steps,
    })
}

fn of_reader(report: &InterfaceReport) -> [(String, Value); 8] {
    let description = &report.description;
    [
        ("interface".to_owned(), json!(description.interface)),
        ("by".to_owned(), json!(description.mode.to_string())),
        ("queues".to_owned(), json!(description.queues)),
        ("readers".to_owned(), json!(description.readers)),
        ("reasons".to_owned(), json!(description.reasons)),
        ("card".to_owned(), of_card(&description.card, report.counters.stamped)),
        ("kernel_filter".to_owned(), report.filter.as_ref().map_or(Value::Null, of_filter)),
        ("failure".to_owned(), json!(report.failure)),
    ]
}

/// What the driver told of frames besides their octets, so many of which have its time.
fn of_card(card: &CardUse, stamped: u64) -> Value {
    let CardUse { tags, times, drawback } = card;
    json!({ "tags": tags, "times": times, "frames_stamped": stamped, "drawback": drawback })
}

/// What the kernel leaves out, or why it does not.
fn of_filter(filter: &FilterState) -> Value {
    match filter {
        FilterState::Open => Value::Null,
        FilterState::Placed { sql, instructions, lists, widened } => {
            let widened = widened.as_ref().map(ToString::to_string);
            json!({ "sql": sql, "instructions": instructions, "lists": lists, "widened": widened })
        }
        FilterState::Refused(why) => json!({ "refused": why }),
    }
}

fn of_kernel(report: &KernelReport) -> Value {
    let mut object = fates(&report.ledger);
    object.extend([
        ("kind".to_owned(), json!("flow table")),
        ("source".to_owned(), json!(report.interface)),
        ("interface".to_owned(), json!(report.interface)),
        ("by".to_owned(), json!(interface::programs(report, ""))),
        ("frame_octets".to_owned(), json!(report.counters.seen_octets)),
        ("remarks".to_owned(), list(interface::of_kernel(report).into_iter().map(owned))),
        ("card".to_owned(), of_card(&report.card, report.counters.stamped_packets)),
        ("kernel_filter".to_owned(), of_filter(&report.filter)),
        ("failure".to_owned(), json!(report.failure)),
    ]);
    if let Some(flows) = &report.flows {
        // What belongs to none, the kernel has counted.
        let flows = FlowMeterCounters { frames_without_ip: report.counters.not_ip_packets, ..*flows };
        object.insert("flows".to_owned(), of_flows(&flows));
    }
    Value::Object(object)
}

fn of_listener(report: &ListenerReport) -> Value {
    let mut object = json!({
        "kind": "listener",
        "source": report.source,
        "address": report.address,
        "rows_delivered": report.rows.delivered,
        "rows_dropped": report.rows.dropped,
        "messages": report.messages,
        "octets": report.octets,
        "packets_dropped_by_kernel": report.socket_drops,
        "receive_buffer_octets": report.receive_buffer_octets,
        "failure": report.failure,
        "remarks": [],
    });
    if let Some(counters) = &report.connections {
        object["remarks"] = list([owned(exports::of_connections(counters))]);
        object["connections"] = json!({
            "accepted": counters.connections,
            "refused": counters.refused,
            "foreign": counters.foreign,
            "timed_out": counters.timed_out,
        });
    }
    object
}

fn exporter(account: &ExportAccount, source: &str) -> Value {
    let mut object = fates(&account.ledger());
    let mut remarks: Vec<_> = exports::of_account(account).into_iter().map(owned).collect();
    remarks.extend(exports::of_rates(account));
    remarks.extend(prefixed("undecodable: ", &exports::of_reasons(&account.counts.reasons)));
    object.extend([
        ("source".to_owned(), json!(source)),
        ("exporter".to_owned(), json!(account.exporter.map(|address| to_ip(address).to_string()))),
        ("sender".to_owned(), json!(sender(account))),
        ("port".to_owned(), json!(account.port)),
        ("domain".to_owned(), json!(account.domain)),
        ("protocol".to_owned(), json!(version_name(account.version))),
        ("unit".to_owned(), json!(account.unit.name())),
        ("messages".to_owned(), json!(account.counts.messages)),
        ("octets".to_owned(), json!(account.counts.octets)),
        ("records".to_owned(), json!(account.counts.records)),
        ("rows".to_owned(), json!(account.counts.rows)),
        ("late_rows".to_owned(), json!(account.extract.rows_late)),
        ("moved_rows".to_owned(), json!(account.extract.rows_shifted)),
        ("mended_rows".to_owned(), json!(account.extract.times_mended)),
        ("clock_behind_ns".to_owned(), json!(account.clock_behind_ns)),
        ("remarks".to_owned(), list(remarks)),
    ]);
    Value::Object(object)
}

/// The one address that sent its messages; none where they were several.
fn sender(account: &ExportAccount) -> Option<String> {
    match account.sent_by {
        SentBy::One(sender) => Some(to_ip(sender).to_string()),
        _ => None,
    }
}

fn of_templates(report: &TemplateReport) -> [Remark; 2] {
    [
        (report.restored.templates, "templates of an earlier run"),
        (report.restored.refused, "lines of no use among the templates of an earlier run"),
    ]
}

fn file((name, end): &(String, Option<End>)) -> Value {
    match end {
        None => json!({ "name": name, "end": "not reached" }),
        Some(End::Complete) => json!({ "name": name, "end": "complete" }),
        Some(End::CutOff { at_octet }) => json!({ "name": name, "end": "cut off", "at_octet": at_octet }),
        Some(End::Damaged { at_octet, reason }) => {
            json!({ "name": name, "end": "damaged", "at_octet": at_octet, "reason": reason.to_string() })
        }
    }
}

fn query(QuerySnapshot { name, ledger, results_lost, .. }: &QuerySnapshot) -> Value {
    json!({
        "query": name.as_ref(),
        "delivered": ledger.delivered,
        "used": ledger.used,
        "filtered": ledger.filtered,
        "late": ledger.late,
        "dropped": ledger.dropped,
        "folded": ledger.folded,
        "results_lost": results_lost,
    })
}

/// What went wrong on the way, in sentences.
fn warnings(summary: &Account) -> Vec<String> {
    let mut warnings = super::warnings(summary);
    if let Some(ExportsRead { templates, .. }) = &summary.exports {
        let failures = templates.iter().filter_map(|report| report.failure.as_ref());
        warnings.extend(failures.map(|failure| format!("templates could not be kept: {failure}")));
    }
    warnings
}

fn fates(ledger: &SourceLedger) -> Map<String, Value> {
    ledger.by_name().map(|(name, count)| (name.to_owned(), json!(count))).into_iter().collect()
}

fn owned((count, what): Remark) -> (u64, String) {
    (count, what.to_owned())
}

fn prefixed(prefix: &str, remarks: &[Remark]) -> Vec<(u64, String)> {
    remarks.iter().map(|(count, what)| (*count, format!("{prefix}{what}"))).collect()
}

/// What there is any of.
fn list(remarks: impl IntoIterator<Item = (u64, String)>) -> Value {
    let there_is = remarks.into_iter().filter(|(count, _)| *count > 0);
    there_is.map(|(count, what)| json!({ "count": count, "what": what })).collect()
}
