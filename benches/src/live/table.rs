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

/// What is compared with reading alone, by the name of its mark.
const MEASURED: &str = "live: SQL over AF_XDP";

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
    if let Some(ratio) = ratio(all, Watcher::XdpCount, Watcher::XdpNothing) {
        let verdict = floors::verdict(MEASURED, ratio);
        let _ = writeln!(text, "\nSQL over AF_XDP counts {ratio:.2} of what reading alone does ({verdict}).");
    }
    text
}

fn cells(series: &Series, runs: &[Outcome], all: &[Series]) -> String {
    let of = |value: fn(&Outcome) -> f64| median(runs.iter().map(value).collect(), f64::total_cmp);
    let sent = of(|run| run.sent as f64 / run.sending.as_secs_f64() / 1e6);
    let counted = of(|run| run.rate() / 1e6);
    let share = of(|run| 100.0 * run.counted as f64 / run.sent as f64);
    let cpu = of(|run| run.cost.cpu.as_secs_f64());
    let factor = ratio(all, series.watcher, Watcher::FlowTable)
        .map_or_else(String::new, |factor| format!("{factor:.2}"));
    format!("{sent:.2} | {counted:.2} | {share:.1} % | {cpu:.2} | {factor}")
}

/// How many times the rate of another watcher one reaches.
fn ratio(all: &[Series], one: Watcher, other: Watcher) -> Option<f64> {
    let runs = |watcher| {
        let series = all.iter().find(|series| series.watcher == watcher);
        series.and_then(|series| series.runs.as_ref().ok()).filter(|runs: &&Vec<_>| !runs.is_empty())
    };
    let turns = runs(one)?.iter().zip(runs(other)?);
    Some(median(turns.map(|(one, other)| one.rate() / other.rate()).collect(), f64::total_cmp))
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
            series(Watcher::Pmacctd, 500_000),
            series(Watcher::XdpCount, 850_000),
            series(Watcher::XdpNothing, 1_000_000),
        ]);
        assert!(text.contains("| pmacctd | 2.00 | 0.50 | 25.0 % | 1.00 | 0.25 |\n"), "{text}");
        assert!(text.contains("| AF_XDP, nothing | 2.00 | 1.00 | 50.0 % | 1.00 | 0.50 |\n"), "{text}");
        assert!(text.contains("counts 0.85 of what reading alone does (≥ 0.9 MISSED)"), "{text}");
    }

    #[test]
    fn what_is_measured_has_its_mark() {
        assert!(floors::names_of("live").eq(MEASURED.strip_prefix("live: ")));
    }

    #[test]
    fn what_failed_is_told() {
        let failed = Series { runs: Err(anyhow::anyhow!("not there")), ..series(Watcher::Pmacctd, 1) };
        assert!(markdown(&[failed]).contains("| pmacctd | – | – | – | – | not there |\n"));
    }
}
