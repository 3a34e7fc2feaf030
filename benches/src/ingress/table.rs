//! The table of `bench ingress`.
//!
//! Takes the runs of every collector, gives Markdown: medians of the CPU time and of the records a CPU-second,
//! what was lost, how many times a peer's rate tapline's is, and whether the marks are reached. The factor is
//! the median of those of each turn, since a turn's runs have the same neighbours on the machine.

use std::fmt::{self, Write};

use anyhow::Result;
use tapline_benches::floors;
use tapline_trafficgen::exports::Protocol;

use super::collector::Collector;
use super::live::Outcome;
use crate::median;

/// Records that tapline lost, by the name of their mark.
const LOST: &str = "ingress: lost";

/// What is sent, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Case {
    pub(super) protocol: Protocol,
    /// One datagram a system call, as routers send.
    pub(super) is_plain: bool,
}

/// All runs of a collector in a case, or why there are none.
pub(super) struct Series {
    pub(super) case: Case,
    pub(super) collector: Collector,
    pub(super) runs: Result<Vec<Outcome>>,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.protocol, if self.is_plain { "plain" } else { "GSO" })
    }
}

impl Case {
    /// What is measured of a peer, by the name of its mark.
    fn measured(self, collector: Collector) -> String {
        format!("ingress: {}, {}", self.protocol, collector.name())
    }
}

pub(super) fn markdown(all: &[Series]) -> String {
    let mut text = "\nCPU time of the collector with all its children, start and idle time included; \
         records a CPU-second of those that it got. Drops are packets as the kernel queues them: with \
         merged segments, tapline's are several datagrams. Queues: tapline's own default, the \
         peers' 4 MiB. nfacctd is sent fewer records, since it loses them inside at a higher rate; what it \
         got is told from octets.\n\n\
         | sent | collector | CPU s | M records / CPU s | M records/s sent | lost | drops | tapline × | mark |\n\
         |---|---|--:|--:|--:|--:|--:|--:|---|\n"
        .to_owned();
    for series in all {
        let cells = match &series.runs {
            Ok(runs) => cells(series, runs, all),
            Err(error) => format!("– | – | – | – | – | – | {}", error.to_string().replace(['\n', '|'], " ")),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "| {} | {} | {cells} |", series.case, series.collector.name());
    }
    text
}

fn cells(series: &Series, runs: &[Outcome], all: &[Series]) -> String {
    let of = |value: fn(&Outcome) -> f64| median(runs.iter().map(value).collect(), f64::total_cmp);
    let (lost, sent) = (of(|run| run.lost_records() as f64), of(|run| run.sent_records as f64));
    format!(
        "{:.2} | {:.2} | {:.2} | {:.1} % | {} | {}",
        of(|run| run.cost.cpu.as_secs_f64()),
        of(Outcome::rate) / 1e6,
        of(|run| run.sent_records as f64 / run.sending.as_secs_f64() / 1e6),
        100.0 * lost / sent,
        of(|run| run.drops as f64),
        verdict(series, runs, all)
    )
}

/// The factor to tapline and whether it is enough; of tapline itself, whether it lost nothing.
fn verdict(series: &Series, runs: &[Outcome], all: &[Series]) -> String {
    if series.collector == Collector::Tapline {
        let lost: u64 = runs.iter().map(Outcome::lost_records).sum();
        return format!(" | lost: {}", floors::verdict(LOST, lost as f64));
    }
    let Some(tapline) = tapline_of(series.case, all) else {
        return "– | tapline was not measured".to_owned();
    };
    let factors = tapline.iter().zip(runs).map(|(own, peer)| own.rate() / peer.rate());
    let factor = median(factors.collect(), f64::total_cmp);
    format!("{factor:.1} | {}", floors::verdict(&series.case.measured(series.collector), factor))
}

fn tapline_of(case: Case, all: &[Series]) -> Option<&[Outcome]> {
    let own = all.iter().find(|series| series.case == case && series.collector == Collector::Tapline);
    own?.runs.as_deref().ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::collector::Found;
    use super::*;
    use tapline_programs::usage::Cost;

    const CASE: Case = Case { protocol: Protocol::NetflowV9, is_plain: true };

    fn series(collector: Collector, cpu_ms: u64, records: u64) -> Series {
        let time = Duration::from_millis(cpu_ms);
        let outcome = Outcome {
            cost: Cost { cpu: time, wall: time, memory_octets: 0 },
            sent_records: 1_000_000,
            found: Found { records, octets: 0 },
            drops: 3,
            sending: Duration::from_secs(1),
        };
        Series { case: CASE, collector, runs: Ok(vec![outcome]) }
    }

    #[test]
    fn factors_marks_and_losses_are_told() {
        let all = [series(Collector::Tapline, 200, 1_000_000), series(Collector::Nfcapd, 500, 900_000)];
        let text = markdown(&all);
        let own = "| NetFlow v9, plain | tapline | 0.20 | 5.00 | 1.00 | 0.0 % | 3 |  | lost: ≤ 0 reached |\n";
        let peer = "| NetFlow v9, plain | nfcapd | 0.50 | 1.80 | 1.00 | 10.0 % | 3 | 2.8 | ≥ 3 MISSED |\n";
        assert!(text.contains(own) && text.contains(peer), "{text}");
    }

    #[test]
    fn each_peer_has_its_mark_with_each_protocol() {
        let protocols = || super::super::PROTOCOLS.map(|(_, protocol)| Case { protocol, is_plain: true });
        let peers = [Collector::Nfcapd, Collector::Nfacctd];
        let measured = peers.iter().flat_map(|&peer| protocols().map(|case| case.measured(peer)));
        let measured: Vec<_> = measured.chain([LOST.to_owned()]).collect();
        let known: Vec<_> = floors::names_of("ingress").map(|name| format!("ingress: {name}")).collect();
        assert_eq!(measured, known);
    }

    #[test]
    fn what_is_missing_is_told() {
        let missing = Series { runs: Err(anyhow::anyhow!("not there")), ..series(Collector::Tapline, 1, 1) };
        let text = markdown(&[missing, series(Collector::Nfacctd, 1, 1)]);
        assert!(text.contains("| tapline | – | – | – | – | – | – | not there |"), "{text}");
        assert!(text.contains("tapline was not measured"), "{text}");
    }
}
