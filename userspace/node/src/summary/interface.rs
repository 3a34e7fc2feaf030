//! The account of an interface: packets that the kernel counted, and packets that were read.

use super::account::Account;
use super::{Remark, grouped, rate, texts, there_is};
use crate::message::say;
use std::fmt::Write as _;
use tapline_interface::kernel::{AttachMode, CardUse, FilterState};
use tapline_interface::link::{self, Tampering};
use tapline_sources::{InterfaceReport, KernelReport};

/// What is said of frames that have our time though the card told another one.
const MISTRUSTED: &str = "frames with our time, as the clock of the card is not near to it";

/// Prints what came in all, and the fate of every frame.
pub(super) fn print_kernel(summary: &Account, report: &KernelReport) {
    let seconds = summary.elapsed.as_secs_f64();
    let (counters, ledger) = (&report.counters, report.ledger);
    say!(
        "{}: {}; {} frames, {} octets in {seconds:.3} s{}",
        report.interface,
        programs(report, ", since the driver has none: slower"),
        grouped(counters.seen_packets),
        grouped(counters.seen_octets),
        rate(counters.seen_packets, summary.elapsed, "frames")
    );
    let filtered = there_is(ledger.filtered, |frames| format!(" + filtered {frames}"));
    say!(
        "source: offered {} = delivered {}{filtered} + dropped {}",
        grouped(ledger.offered),
        grouped(ledger.delivered),
        grouped(ledger.dropped)
    );
    print_card(&report.card, counters.stamped_packets);
    print_filter(&report.filter, if report.sent.is_some() { ", of what is received" } else { "" });
    print_remarks(&of_kernel(report));
}

/// What counted in the kernel; `why` is added where the kernel runs for the driver.
pub(super) fn programs(report: &KernelReport, why: &str) -> String {
    let received = report.mode.map(|mode| match mode {
        AttachMode::Native => "native XDP".to_owned(),
        AttachMode::Generic => format!("generic XDP{why}"),
    });
    let sent = report.sent.map(|_| "tcx".to_owned());
    received.into_iter().chain(sent).collect::<Vec<_>>().join(" and ")
}

/// What else the kernel counted.
pub(super) fn of_kernel(report: &KernelReport) -> Vec<Remark> {
    let counters = &report.counters;
    vec![
        (report.sent.map_or(0, |sent| sent.seen_packets), "frames that the interface sent"),
        (report.entries, "entries of the flow table"),
        (counters.evicted_entries, "made room for others early"),
        (counters.filtered_packets, "frames refused by the pre-filter"),
        (
            counters.unwanted_packets + counters.uncounted_packets,
            "frames that the filter does not keep or no query needs, left out in the kernel",
        ),
        (counters.mistrusted_packets, MISTRUSTED),
        (counters.not_ip_packets, "frames without an IP header"),
        (counters.too_deep_packets, "frames with more headers than are looked through"),
    ]
}

/// Prints how packets were read.
pub(super) fn print_reader(report: &InterfaceReport) {
    let description = &report.description;
    let readers = match description.readers {
        0 | 1 => String::new(),
        readers => format!(", {readers} readers"),
    };
    let (mode, queues) = (description.mode, description.queues);
    say!("{}: packets by {mode}, {queues} queues{readers}", description.interface);
    description.reasons.iter().for_each(|reason| say!("  since {reason}"));
    print_card(&description.card, report.counters.stamped);
    report.filter.iter().for_each(|filter| print_filter(filter, ""));
}

/// Prints what the driver told of frames besides their octets.
fn print_card(card: &CardUse, stamped: u64) {
    let times = card.times.then(|| format!("times of {} frames by its own clock", grouped(stamped)));
    let told: Vec<_> = card.tags.then(|| "VLAN tags".to_owned()).into_iter().chain(times).collect();
    if !told.is_empty() {
        say!("  from the card: {}", told.join(", "));
    }
}

/// Prints what the kernel leaves out, and of what.
fn print_filter(filter: &FilterState, of_what: &str) {
    match filter {
        FilterState::Open => {}
        FilterState::Placed { sql, instructions, lists, widened } => {
            let lists = there_is(*lists as u64, |lists| format!(", long lists: {lists}"));
            say!("  filtered in the kernel{of_what}: WHERE {sql}, {instructions} instructions{lists}");
            widened.iter().for_each(|what| say!("  {what}"));
        }
        FilterState::Refused(why) => say!("  not filtered in the kernel: {why}"),
    }
}

/// Prints where packets were lost.
pub(super) fn print_drops(report: &InterfaceReport) {
    print_remarks(&of_reader(report));
}

/// What else the reader counted.
pub(super) fn of_reader(report: &InterfaceReport) -> Vec<Remark> {
    let (counters, drops) = (&report.counters, &report.counters.drops);
    vec![
        (counters.filtered, "frames refused by the pre-filter"),
        (
            counters.unwanted,
            "frames that the filter does not keep or no query needs as packets, left out in the kernel",
        ),
        (counters.mistrusted, MISTRUSTED),
        (drops.interface, "frames that the interface lost"),
        (drops.program, "frames of queues that nobody reads"),
        (drops.memory, "frames that no memory was there for"),
        (drops.ring, "frames that found the ring full"),
        (counters.cut, "frames longer than what is read of one"),
        (counters.interruptions, "times that the interface was switched off"),
    ]
}

/// That frames were several packets, what joined them, and what would end it.
pub(super) fn warnings_of_joined(summary: &Account) -> Vec<String> {
    let counted = summary.tables().map(|report| (report.interface.as_str(), report.joined));
    let reports = summary.frames().filter_map(|frames| frames.interface.as_ref());
    let read = reports.map(|report| (report.description.interface.as_str(), report.counters.joined));
    let has_program = |interface: &str| summary.tables().any(|report| report.interface == interface);
    let joined = counted.chain(read).filter(|(_, frames)| *frames > 0);
    joined.map(|(interface, frames)| warning_of_joined(interface, frames, has_program(interface))).collect()
}

fn warning_of_joined(interface: &str, frames: u64, has_program: bool) -> String {
    let mut warning = format!(
        "{} frames are longer than the packets of {interface}, or the kernel says that they are several: each of them \
         counts as one packet",
        grouped(frames)
    );
    let link = link::find(interface).ok().flatten();
    let found = link.map(|link| link::joined_packets(&link, has_program)).unwrap_or_default();
    for Tampering { what, mend } in &found {
        let _ = write!(warning, "; {what}; to mend it: {mend}");
    }
    if found.is_empty() {
        let _ = write!(warning, "; `tapline doctor {interface}` says what joins them, while it is watched");
    }
    warning
}

/// Prints what there is any of.
fn print_remarks(remarks: &[Remark]) {
    let remarks = texts(remarks);
    if !remarks.is_empty() {
        say!("  {}", remarks.join("; "));
    }
}
