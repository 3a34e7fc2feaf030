//! Decoding of flow exports alone, on one core and over datagrams in memory, against `netflow_parser` into
//! the same columns in the same run.
//!
//! Prints one line a protocol: records a second of both, and their ratio, medians of several turns. Both must
//! come to the same columns, or there is no line. Words on the command line choose the protocols whose names
//! hold one of them.

mod ours;
mod sums;
mod theirs;
mod workload;

use std::time::Instant;
use tapline_trafficgen::exports::Protocol;
use workload::Workload;

const TURNS: usize = 15;

/// Rows of a batch, of both.
const BATCH_ROWS: usize = 8192;

/// A protocol, and what must be reached.
struct Scenario {
    protocol: Protocol,
    /// M records a second.
    mark: f64,
    /// Times what `netflow_parser` does.
    ratio_mark: f64,
}

const SCENARIOS: [Scenario; 3] = [
    Scenario { protocol: Protocol::NetflowV5, mark: 20.0, ratio_mark: 2.0 },
    Scenario { protocol: Protocol::NetflowV9, mark: 15.0, ratio_mark: 20.0 },
    Scenario { protocol: Protocol::Ipfix, mark: 15.0, ratio_mark: 20.0 },
];

fn main() {
    println!("| protocol | tapline, M records/s | mark | netflow_parser, M records/s | ratio | mark |");
    println!("|---|---:|---|---:|---:|---|");
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let is_chosen = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word));
    SCENARIOS.iter().filter(|scenario| is_chosen(&scenario.protocol.to_string())).for_each(measure);
}

fn measure(scenario: &Scenario) {
    let workload = Workload::new(scenario.protocol);
    assert_eq!(ours::sums(&workload), theirs::sums(&workload), "the columns differ");
    let (mut ours, mut theirs, mut ratios) = (vec![], vec![], vec![]);
    for _ in 0..TURNS {
        let turn = (rate(&workload, ours::rows), rate(&workload, theirs::rows));
        ours.push(turn.0);
        theirs.push(turn.1);
        ratios.push(turn.0 / turn.1);
    }
    let (rate, ratio) = (median(&mut ours), median(&mut ratios));
    println!(
        "| {} | {rate:.1} | {} | {:.2} | {ratio:.1} | {} |",
        scenario.protocol,
        verdict(rate, scenario.mark),
        median(&mut theirs),
        verdict(ratio, scenario.ratio_mark)
    );
}

/// M records a second.
fn rate(workload: &Workload, decode: fn(&Workload) -> usize) -> f64 {
    let started = Instant::now();
    let rows = decode(workload);
    let elapsed = started.elapsed();
    assert_eq!(rows as u64, workload.records, "every record is a row");
    rows as f64 / elapsed.as_secs_f64() / 1e6
}

fn verdict(found: f64, mark: f64) -> String {
    format!("≥ {mark} {}", if found >= mark { "reached" } else { "MISSED" })
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
