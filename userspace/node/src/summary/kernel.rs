//! The account of packets that the kernel counted.

use super::grouped;
use tapline_capture::kernel::AttachMode;
use tapline_pipeline::{KernelReport, Summary};

/// Prints what came in all, and the fate of every frame.
pub(super) fn print(summary: &Summary, report: &KernelReport) {
    let seconds = summary.elapsed.as_secs_f64();
    let (counters, ledger) = (&report.counters, report.ledger());
    let mode = match report.mode {
        AttachMode::Native => "native XDP",
        AttachMode::Generic => "generic XDP, since the driver has none: slower",
    };
    eprintln!(
        "{}: {mode}; {} frames, {} octets in {seconds:.3} s: {} frames/s",
        report.interface,
        grouped(counters.seen_packets),
        grouped(counters.seen_octets),
        grouped((counters.seen_packets as f64 / seconds.max(1e-9)) as u64)
    );
    eprintln!(
        "source: offered {} = delivered {} + dropped {}",
        grouped(ledger.offered),
        grouped(ledger.delivered),
        grouped(ledger.dropped)
    );
    let numbers = [
        (report.entries, "entries of the flow table"),
        (counters.evicted_entries, "made room for others early"),
        (counters.filtered_packets, "frames refused by the pre-filter"),
        (counters.not_ip_packets, "frames without an IP header"),
        (counters.too_deep_packets, "frames with more headers than are looked through"),
    ];
    let there_is = numbers.into_iter().filter(|(number, _)| *number > 0);
    let remarks: Vec<String> = there_is.map(|(number, what)| format!("{} {what}", grouped(number))).collect();
    if !remarks.is_empty() {
        eprintln!("  {}", remarks.join("; "));
    }
    if let Some(failure) = &report.failure {
        eprintln!("warning: {} could not be read any more: {failure}", report.interface);
    }
}
