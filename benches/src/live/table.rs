//! The table of `bench live`.
//!
//! Takes the runs of every watcher, gives Markdown: medians of what was sent and counted in a second and of the CPU
//! time, and what SQL over `AF_XDP` reaches of what reading alone does. A ratio is the median of those of each turn,
//! since a turn's runs have the same neighbours on the machine.

use std::fmt::Write as _;

use tapline_benches::floors;

use super::watcher::Watcher;
use super::{Outcome, Series};
use crate::median;

/// What is compared, by the names of the marks: SQL with reading alone, flows of the table with a count by it, and with
/// softflowd.
const SQL: &str = "live: SQL over AF_XDP";
const SENDER: &str = "live: flows, sender";
const CPU: &str = "live: flows, CPU";
const SOFTFLOWD: &str = "live: flows, softflowd";
/// A few flows by `AF_XDP`, of which the kernel leaves out the others: what part of them is counted, and what the watcher
/// takes beside one that counts all.
const FEW: &str = "live: a few flows by AF_XDP, counted";
const FEW_CPU: &str = "live: a few flows by AF_XDP, CPU";

pub(super) fn markdown(all: &[Series]) -> String {
    let mut text = "\nOne processor sends as fast as it goes, which includes what the kernel and an XDP program do with \
         a frame; the watcher has the other one. CPU time is the watcher's own with all its children, start and end \
         included.\n\n\
         | watcher | M frames/s sent | M frames/s counted | counted | CPU s | × tapline, flow table |\n\
         |---|--:|--:|--:|--:|--:|\n"
        .to_owned();
    for series in all {
        let cells = match &series.runs {
            Ok(runs) => cells(series, runs, all),
            Err(error) => format!("– | – | – | – | {}", error.to_string().replace(['\n', '|'], " ")),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "| {} | {cells} |", series.watcher.name());
    }
    if let Some(ratio) = ratio(all, Watcher::XdpCount, Watcher::XdpNothing, Outcome::rate) {
        let verdict = floors::verdict(SQL, ratio);
        let _ = writeln!(text, "\nSQL over AF_XDP counts {ratio:.2} of what reading alone does ({verdict}).");
    }
    if let Some(told) = few(all) {
        let _ = writeln!(text, "\n{told}");
    }
    if let Some(told) = flows(all) {
        let _ = writeln!(text, "\n{told}");
    }
    text
}

/// What a query over a few flows counts and costs, of which the kernel leaves out the others.
fn few(all: &[Series]) -> Option<String> {
    let runs = |wanted: Watcher| {
        let series = all.iter().find(|series| series.watcher == wanted)?;
        series.runs.as_ref().ok().filter(|runs| !runs.is_empty())
    };
    let share = |wanted: Watcher| {
        let shares = runs(wanted)?.iter().map(|run| run.counted as f64 / run.sent as f64);
        Some(median(shares.collect(), f64::total_cmp))
    };
    let (told, untold) = (share(Watcher::XdpFew)?, share(Watcher::XdpFewUntold)?);
    let cpu = ratio(all, Watcher::XdpFew, Watcher::XdpCount, |run| run.cost.cpu.as_secs_f64())?;
    Some(format!(
        "Of a few flows AF_XDP counts {:.1} % where the kernel leaves out the others ({}), and {:.1} % where it does not, \
         for {cpu:.2} times the CPU time of one that counts all ({}).",
        100.0 * told,
        floors::verdict(FEW, told),
        100.0 * untold,
        floors::verdict(FEW_CPU, cpu)
    ))
}

/// What flows of the table cost, beside a count by it and beside softflowd.
fn flows(all: &[Series]) -> Option<String> {
    let sent = ratio(all, Watcher::Flows, Watcher::FlowTable, |run| run.sent as f64)?;
    let cpu = ratio(all, Watcher::Flows, Watcher::FlowTable, |run| run.cost.cpu.as_secs_f64())?;
    let verdicts = [floors::verdict(SENDER, sent), floors::verdict(CPU, cpu)];
    let mut told = format!(
        "While flows of the table are read, {sent:.2} of the frames are sent that are sent while it is counted ({}), for \
         {cpu:.2} times the CPU time ({}).",
        verdicts[0], verdicts[1]
    );
    let of_a_packet = |run: &Outcome| run.cost.cpu.as_secs_f64() / run.counted as f64;
    if let Some(more) = ratio(all, Watcher::Softflowd, Watcher::Flows, of_a_packet) {
        let verdict = floors::verdict(SOFTFLOWD, more);
        let _ = write!(told, " softflowd takes {more:.1} times that for a packet ({verdict}).");
    }
    Some(told)
}

fn cells(series: &Series, runs: &[Outcome], all: &[Series]) -> String {
    let of = |value: fn(&Outcome) -> f64| median(runs.iter().map(value).collect(), f64::total_cmp);
    let sent = of(|run| run.sent as f64 / run.sending.as_secs_f64() / 1e6);
    let counted = of(|run| run.rate() / 1e6);
    let share = of(|run| 100.0 * run.counted as f64 / run.sent as f64);
    let cpu = of(|run| run.cost.cpu.as_secs_f64());
    let factor = ratio(all, series.watcher, Watcher::FlowTable, Outcome::rate)
        .map_or_else(String::new, |factor| format!("{factor:.2}"));
    format!("{sent:.2} | {counted:.2} | {share:.1} % | {cpu:.2} | {factor}")
}

/// How many times what another watcher comes to one does.
fn ratio(all: &[Series], one: Watcher, other: Watcher, value: impl Fn(&Outcome) -> f64) -> Option<f64> {
    let runs = |watcher| {
        let series = all.iter().find(|series| series.watcher == watcher);
        series.and_then(|series| series.runs.as_ref().ok()).filter(|runs: &&Vec<_>| !runs.is_empty())
    };
    let turns = runs(one)?.iter().zip(runs(other)?);
    Some(median(turns.map(|(one, other)| value(one) / value(other)).collect(), f64::total_cmp))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use tapline_programs::usage::Cost;

    fn series(watcher: Watcher, counted: u64) -> Series {
        let second = Duration::from_secs(1);
        let cost = Cost { cpu: second, wall: second, memory_octets: 0 };
        Series { watcher, runs: Ok(vec![Outcome { cost, sent: 2_000_000, counted, sending: second }]) }
    }

    #[test]
    fn shares_and_ratios_are_told() {
        let text = markdown(&[
            series(Watcher::FlowTable, 2_000_000),
            series(Watcher::Flows, 2_000_000),
            series(Watcher::Pmacctd, 500_000),
            series(Watcher::Softflowd, 500_000),
            series(Watcher::XdpCount, 850_000),
            series(Watcher::XdpNothing, 1_000_000),
        ]);
        assert!(text.contains("| pmacctd | 2.00 | 0.50 | 25.0 % | 1.00 | 0.25 |\n"), "{text}");
        assert!(text.contains("| AF_XDP, nothing | 2.00 | 1.00 | 50.0 % | 1.00 | 0.50 |\n"), "{text}");
        assert!(text.contains("counts 0.85 of what reading alone does (≥ 0.9 MISSED)"), "{text}");
        let flows = "read, 1.00 of the frames are sent that are sent while it is counted (≥ 0.95 reached), for 1.00 times \
                     the CPU time (≤ 1.3 reached). softflowd takes 4.0 times that for a packet (≥ 8 MISSED).";
        assert!(text.contains(flows), "{text}");
    }

    #[test]
    fn what_is_measured_has_its_mark() {
        let measured = [SQL, SENDER, CPU, SOFTFLOWD, FEW, FEW_CPU]
            .map(|name| name.strip_prefix("live: ").unwrap_or_default());
        assert!(floors::names_of("live").eq(measured));
    }

    #[test]
    fn what_failed_is_told() {
        let failed = Series { runs: Err(anyhow::anyhow!("not there")), ..series(Watcher::Pmacctd, 1) };
        assert!(markdown(&[failed]).contains("| pmacctd | – | – | – | – | not there |\n"));
    }
}
