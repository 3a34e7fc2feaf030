//! Says what was sent.
//!
//! Takes the truth and what sending took, gives sentences for standard error.

use std::fmt::Write;
use std::time::Duration;

use tapline_trafficgen::exports::{Amount, ExportPlan, Truth};

use super::sender::Sent;

/// The summary of a load.
pub(super) fn summary(plan: &ExportPlan, sent: &Sent) -> String {
    let Sent { truth, wall, cpu, is_plain } = sent;
    let mut text = String::new();
    let records = truth.sent.records;
    line(&mut text, &plan.protocol.to_string(), &amount(&truth.sent));
    line(
        &mut text,
        "in all",
        &format!("{} datagrams, {} octets of payload", truth.datagrams(), truth.payload_octets),
    );
    line(
        &mut text,
        "time",
        &format!("{:.3} s, {} records/s", wall.as_secs_f64(), per_second(records, *wall)),
    );
    if !cpu.is_zero() {
        let how = if *is_plain { "one datagram a call" } else { "segmentation offload" };
        let rate = per_second(records, *cpu);
        line(&mut text, "CPU", &format!("{:.3} s, {rate} records per CPU-second, {how}", cpu.as_secs_f64()));
    }
    control(&mut text, truth);
    faults(&mut text, truth);
    text
}

fn control(text: &mut String, truth: &Truth) {
    let control = &truth.control;
    if control.datagrams > 0 {
        let counts = format!(
            "{} datagrams: {} templates, {} options templates, {} options records, {} counter samples",
            control.datagrams,
            control.templates,
            control.options_templates,
            control.options_records,
            control.counter_samples
        );
        line(text, "control", &counts);
    }
}

fn faults(text: &mut String, truth: &Truth) {
    let faults = [
        ("lost", truth.lost),
        ("reordered", truth.reordered),
        ("duplicated", truth.duplicated),
        ("withheld", truth.withheld),
    ];
    for (name, fault) in faults.iter().filter(|(_, fault)| fault.datagrams > 0) {
        line(text, name, &amount(fault));
    }
    for (name, count) in [("restarts", truth.restarts), ("redefinitions", truth.redefinitions)] {
        if count > 0 {
            line(text, name, &count.to_string());
        }
    }
}

fn amount(amount: &Amount) -> String {
    let Amount { datagrams, records, packets, octets } = amount;
    format!("{records} records in {datagrams} datagrams, {packets} packets, {octets} octets")
}

fn line(text: &mut String, name: &str, what: &str) {
    writeln!(text, "{name:>13}  {what}").expect("invariant: a string takes all that is written");
}

/// A number a second, rounded.
fn per_second(number: u64, time: Duration) -> u64 {
    (number as f64 / time.as_secs_f64().max(f64::EPSILON)).round() as u64
}
