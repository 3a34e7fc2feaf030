//! The account of a run, on standard error.

mod clocks;
mod exports;
mod interface;

use crate::arguments::QueryPlan;
use tapline_capture::End;
use tapline_decode::DamageCounts;
use tapline_decode::flow_meter::FlowMeterCounters;
use tapline_pipeline::{FrameSummary, SourceSummary, Summary};
use tapline_record::ledger::QueryLedger;

/// Prints what was read, how fast, and the fate of every record.
pub(crate) fn print(plan: &QueryPlan, summary: &Summary) {
    for (name, end) in &summary.files {
        warn_of_end(name, end.as_ref());
    }
    if plan.quiet {
        return;
    }
    match &summary.source {
        SourceSummary::Packets(frames) => print_packets(summary, frames),
        SourceSummary::Interface { kernel, frames } => {
            kernel.iter().for_each(|report| interface::print_kernel(summary, report));
            frames.iter().for_each(|frames| print_packets(summary, frames));
        }
        SourceSummary::Exports { accounts, strays, files, listeners, templates } => {
            exports::print(summary, accounts, strays);
            clocks::print(accounts, plan.options.exports_lateness_ms());
            files.iter().for_each(exports::print_files);
            listeners.iter().for_each(exports::print_listener);
            templates.iter().for_each(exports::print_templates);
        }
    }
    if summary.is_cut {
        eprintln!("ended before the input did; windows that were open are marked partial");
    }
    if summary.queries.is_empty() {
        eprintln!("every LIMIT is reached; the rest was not read");
    }
    for ((name, _), ledger) in plan.queries.iter().zip(&summary.queries) {
        print_query(name, ledger);
    }
}

fn print_packets(summary: &Summary, frames: &FrameSummary) {
    let FrameSummary { ledger, frame_octets, damage, flows, interface } = frames;
    let seconds = summary.elapsed.as_secs_f64();
    let rate = ledger.delivered as f64 / seconds.max(1e-9);
    interface.iter().for_each(interface::print_reader);
    eprintln!(
        "{} packets, {} octets in {seconds:.3} s: {} packets/s",
        grouped(ledger.delivered),
        grouped(*frame_octets),
        grouped(rate as u64)
    );
    let (lost, fate) =
        if interface.is_some() { (ledger.dropped, "dropped") } else { (ledger.undecodable, "undecodable") };
    eprintln!(
        "source: offered {} = delivered {} + {fate} {}",
        grouped(ledger.offered),
        grouped(ledger.delivered),
        grouped(lost)
    );
    interface.iter().for_each(interface::print_drops);
    print_damage(damage);
    flows.iter().for_each(print_flows);
}

fn print_flows(flows: &FlowMeterCounters) {
    eprintln!(
        "flows: {} from {} packets; {} frames without an IP header belong to none",
        grouped(flows.flows),
        grouped(flows.packets),
        grouped(flows.frames_without_ip)
    );
}

fn warn_of_end(name: &str, end: Option<&End>) {
    match end {
        Some(End::CutOff { at_octet }) => eprintln!(
            "warning: {name} is cut off within the record at octet {at_octet}; everything before it was read"
        ),
        Some(End::Damaged { at_octet, reason }) => {
            eprintln!(
                "warning: {name} is damaged at octet {at_octet}: {reason}; everything before it was read"
            );
        }
        Some(End::Complete) | None => {}
    }
}

fn print_damage(damage: &DamageCounts) {
    let reasons: Vec<String> = damage
        .iter()
        .filter(|(_, frames)| *frames > 0)
        .map(|(damage, frames)| format!("{} {}", grouped(frames), damage.text()))
        .collect();
    if !reasons.is_empty() {
        eprintln!("damaged frames, delivered all the same: {}", reasons.join(", "));
    }
}

fn print_query(name: &str, ledger: &QueryLedger) {
    let folded = match ledger.folded {
        0 => String::new(),
        rows => format!("; {} of the rows used are in the folded row, raise --groups-max", grouped(rows)),
    };
    eprintln!(
        "{name}: delivered {} = used {} + filtered {} + late {}{folded}",
        grouped(ledger.delivered),
        grouped(ledger.used),
        grouped(ledger.filtered),
        grouped(ledger.late)
    );
}

/// `1234567` as `1 234 567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let head = digits.len() % 3;
    let mut text = digits[..head].to_owned();
    for chunk in digits.as_bytes()[head..].chunks(3) {
        if !text.is_empty() {
            text.push(' ');
        }
        text.extend(chunk.iter().map(|&digit| char::from(digit)));
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn digits_are_grouped_by_three() {
        let texts = [0, 12, 123, 1234, 1_234_567].map(super::grouped);
        assert_eq!(texts, ["0", "12", "123", "1 234", "1 234 567"]);
    }
}
