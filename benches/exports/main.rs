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

use std::process::ExitCode;
use std::time::Instant;
use tapline_benches::floors;
use tapline_trafficgen::exports::Protocol;
use workload::Workload;

const TURNS: usize = 15;

/// Rows of a batch, of both.
const BATCH_ROWS: usize = 8192;

const PROTOCOLS: [Protocol; 3] = [Protocol::NetflowV5, Protocol::NetflowV9, Protocol::Ipfix];

fn main() -> ExitCode {
    println!("| protocol | tapline, M records/s | netflow_parser, M records/s | ratio | floor |");
    println!("|---|---:|---:|---:|---|");
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let is_chosen = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word));
    PROTOCOLS.into_iter().filter(|protocol| is_chosen(&protocol.to_string())).for_each(measure);
    floors::exit_code()
}

fn measure(protocol: Protocol) {
    let workload = Workload::new(protocol);
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
        "| {protocol} | {rate:.1} | {:.2} | {ratio:.1} | {} |",
        median(&mut theirs),
        floors::verdict(&format!("decode: {protocol}, netflow_parser"), ratio)
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

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
