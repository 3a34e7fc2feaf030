//! The account of a run, on standard error: sentences for a person, or one JSON object.

mod account;
mod clocks;
mod exports;
mod interface;
mod json;

pub(crate) use account::{Account, Telling};

use crate::arguments::{QueryPlan, SummaryFormat};
use crate::message::say;
use account::{ExportsRead, PacketsRead};
use std::time::Duration;
use tapline_capture::End;
use tapline_decode::flow_meter::FlowMeterCounters;
use tapline_decode::{DamageCounts, UnreadCounts};

use tapline_engine::QuerySnapshot;
use tapline_sources::{Notice, PacketReport};

/// Of fewer, and of slower ones, no rate is given.
const COUNT_WITH_RATE_MIN: u64 = 1000;
const RATE_MIN: f64 = 10.0;

/// How often something occurred, and what.
type Remark = (u64, &'static str);

/// Prints what was read, how fast, and the fate of every record.
pub(crate) fn print(plan: &QueryPlan, summary: &Account) {
    if plan.summary == SummaryFormat::Json {
        return say!("{}", json::of(summary));
    }
    for warning in warnings(summary) {
        say!("warning: {warning}");
    }
    if !plan.quiet {
        print_text(plan, summary);
    }
}

/// What somebody should hear of while a run goes on.
pub(crate) fn notice(notice: &Notice, allowed_lateness_ms: u32) -> String {
    match notice {
        Notice::Times(account) => clocks::line(account, allowed_lateness_ms),
        Notice::TimesOfMore => {
            "times of more exporters are too late, or of no use; ledger tells of each".to_owned()
        }
        Notice::Captures(what) | Notice::Card(what) | Notice::Filter(what) => what.clone(),
    }
}

/// What is said of a source that ended before its input did.
pub(crate) fn of_failure(name: &str, failure: &str) -> String {
    format!("{name} could not be read any more: {failure}")
}

fn print_text(plan: &QueryPlan, summary: &Account) {
    for read in &summary.packets {
        match read {
            PacketsRead::Table(report) => {
                interface::print_kernel(summary, report);
                report.flows.iter().for_each(print_counted_flows);
            }
            PacketsRead::Frames(report) => print_packets(summary, report),
        }
    }
    if let Some(read) = &summary.exports {
        print_exports(plan, summary, read);
    }
    if summary.is_cut {
        say!("ended before the input did; windows that were open are marked partial");
    }
    if summary.queries.is_empty() {
        say!("every LIMIT is reached; the rest was not read");
    }
    summary.queries.iter().for_each(print_query);
}

fn print_exports(plan: &QueryPlan, summary: &Account, read: &ExportsRead) {
    exports::print(summary.elapsed, read);
    clocks::print(&read.accounts, plan.source_options.exports_lateness_ms());
    read.files.iter().for_each(exports::print_files);
    read.listeners.iter().for_each(exports::print_listener);
    read.templates.iter().for_each(exports::print_templates);
}

/// What went wrong on the way, in sentences.
fn warnings(summary: &Account) -> Vec<String> {
    let ends = summary.files.iter().filter_map(warning_of_end);
    let folds = summary.queries.iter().filter_map(warning_of_folds);
    let joined = interface::warnings_of_joined(summary);
    let of_packets = summary.frames().filter_map(|frames| frames.flows.as_ref());
    let of_tables = summary.tables().filter_map(|table| table.flows.as_ref());
    let clocks = of_packets.chain(of_tables).filter_map(warning_of_clock);
    ends.chain(clocks).chain(folds).chain(joined).collect()
}

/// Flows do not go on over a step of the clock.
fn warning_of_clock(flows: &FlowMeterCounters) -> Option<String> {
    if flows.clock_steps == 0 {
        return None;
    }
    let (steps, seconds) = (grouped(flows.clock_steps), flows.clock_step_max_ns as f64 / 1e9);
    Some(format!("steps of the clock back: {steps}, by up to {seconds:.0} s; every flow ends there"))
}

/// Results without a window have no column that says it.
fn warning_of_folds(QuerySnapshot { name, ledger, .. }: &QuerySnapshot) -> Option<String> {
    let is_folded = ledger.folded > 0;
    is_folded.then(|| {
        format!("{name} has more groups than --groups-max, or than --octets-max has room for; what rests on those beyond it is not exact")
    })
}

fn print_packets(summary: &Account, frames: &PacketReport) {
    let PacketReport { ledger, frame_octets, damage, unread, flows, interface, .. } = frames;
    let seconds = summary.elapsed.as_secs_f64();
    interface.iter().for_each(interface::print_reader);
    say!(
        "{} packets, {} octets in {seconds:.3} s{}",
        grouped(ledger.delivered),
        grouped(*frame_octets),
        rate(ledger.delivered, summary.elapsed, "packets")
    );
    let (lost, fate) =
        if interface.is_some() { (ledger.dropped, "dropped") } else { (ledger.undecodable, "undecodable") };
    let filtered = there_is(ledger.filtered, |frames| format!(" + filtered {frames}"));
    say!(
        "source: offered {} = delivered {}{filtered} + {fate} {}",
        grouped(ledger.offered),
        grouped(ledger.delivered),
        grouped(lost)
    );
    interface.iter().for_each(interface::print_drops);
    print_damage(damage);
    print_unread(unread);
    flows.iter().for_each(print_flows);
}

/// Flows of what the kernel counted, which says by itself what belongs to none.
fn print_counted_flows(flows: &FlowMeterCounters) {
    say!("flows: {} from {} packets", grouped(flows.flows), grouped(flows.packets));
}

fn print_flows(flows: &FlowMeterCounters) {
    let damaged = match flows.frames_with_damaged_ip {
        0 => String::new(),
        frames => format!(" and {} with a damaged one", grouped(frames)),
    };
    say!(
        "flows: {} from {} packets; {} frames without an IP header{damaged} belong to none",
        grouped(flows.flows),
        grouped(flows.packets),
        grouped(flows.frames_without_ip)
    );
}

fn print_unread(unread: &UnreadCounts) {
    let kinds: Vec<String> =
        unread.iter().map(|(what, frames)| format!("{} {what}", grouped(frames))).collect();
    if !kinds.is_empty() {
        say!("frames of kinds that are not read, delivered all the same: {}", kinds.join(", "));
    }
}

/// What is to be said of a file that was not read to its end, if that is so.
fn warning_of_end((name, end): &(String, Option<End>)) -> Option<String> {
    let how = match end.as_ref()? {
        End::CutOff { at_octet } => format!("cut off within the record at octet {at_octet}"),
        End::Damaged { at_octet, reason } => format!("damaged at octet {at_octet}: {reason}"),
        End::Complete => return None,
    };
    Some(format!("{name} is {how}; everything before it was read"))
}

fn print_damage(damage: &DamageCounts) {
    let reasons = texts(&damage.iter().map(|(damage, frames)| (frames, damage.text())).collect::<Vec<_>>());
    if !reasons.is_empty() {
        say!("damaged frames, delivered all the same: {}", reasons.join(", "));
    }
}

fn print_query(QuerySnapshot { name, ledger, results_lost, .. }: &QuerySnapshot) {
    let dropped = there_is(ledger.dropped, |rows| format!(" + dropped {rows}, raise --waiting-rows-max"));
    let folded = there_is(ledger.folded, |rows| {
        format!("; {rows} of the rows used are of groups beyond the cap, raise --groups-max or --octets-max")
    });
    let lost = there_is(*results_lost, |results| format!("; {results} results were not taken in time"));
    say!(
        "{name}: delivered {} = used {} + filtered {} + late {}{dropped}{folded}{lost}",
        grouped(ledger.delivered),
        grouped(ledger.used),
        grouped(ledger.filtered),
        grouped(ledger.late)
    );
}

/// A part of a sentence about so many, nothing about none.
fn there_is(count: u64, text: fn(String) -> String) -> String {
    if count == 0 { String::new() } else { text(grouped(count)) }
}

/// What there is any of, in words.
fn texts(remarks: &[Remark]) -> Vec<String> {
    let there_is = remarks.iter().filter(|(count, _)| *count > 0);
    there_is.map(|(count, what)| format!("{} {what}", grouped(*count))).collect()
}

/// How many a second, to follow the time that they took; nothing of few, whose rate says how long nothing came.
fn rate(count: u64, elapsed: Duration, what: &str) -> String {
    let rate = count as f64 / elapsed.as_secs_f64().max(1e-9);
    if count < COUNT_WITH_RATE_MIN || rate < RATE_MIN {
        return String::new();
    }
    format!(": {} {what}/s", grouped(rate as u64))
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
    use std::time::Duration;

    #[test]
    fn few_have_no_rate() {
        let rate = |count, seconds| super::rate(count, Duration::from_secs(seconds), "packets");
        assert_eq!([rate(3, 1), rate(999, 1), rate(5000, 3600)], [""; 3]);
        assert!(rate(1000, 0).ends_with(" packets/s"));
        assert_eq!(rate(240_000, 2), ": 120 000 packets/s");
    }

    #[test]
    fn digits_are_grouped_by_three() {
        let texts = [0, 12, 123, 1234, 1_234_567].map(super::grouped);
        assert_eq!(texts, ["0", "12", "123", "1 234", "1 234 567"]);
    }
}
