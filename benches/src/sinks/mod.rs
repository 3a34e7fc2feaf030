//! `cargo xtask bench sinks`: how fast results leave by each sink.
//!
//! Takes a number of rows, makes results of them from a seed, and gives these to the sinks of the product, to servers by
//! way of a spool, as a node does; then lets the disk or the server take the same rows by itself.

mod files;
mod give;
#[cfg(feature = "kafka")]
mod kafka;
mod results;
mod servers;

use std::time::Duration;

use anyhow::{Result, ensure};
use results::Results;
use tapline_benches::floors;
use tapline_programs::style;
use tapline_sinks::FileFormat;

/// Rows that leave by each sink, beside what servers take by themselves.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Rows, in millions; ten take some 5 GB, in the target folder and in that for temporary files
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=1000))]
    millions: u64,
    /// Rows of a result
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    rows: u64,
    /// What rows are made from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Measure only sinks with one of these words in their names
    #[arg(value_name = "WORD")]
    words: Vec<String>,
}

/// Rows that leave in a second, unless the server takes fewer.
const RATE: f64 = 200_000.0;
/// Who leaves a server so little to do besides is as fast as it is.
const PART_OF_LIMIT: f64 = 0.9;

/// How long all rows took, and how long without a sink.
struct Times {
    rows: u64,
    sink: Duration,
    alone: Duration,
    /// What took them then.
    by: &'static str,
}

/// Measures a sink; `None` where its server is not there.
type Measure = fn(&Results) -> Result<Option<Times>>;

/// By the names of their marks.
const SINKS: [(&str, Measure); 6] = [
    ("files, JSON", |results| files::measure(results, FileFormat::Json)),
    ("files, CSV", |results| files::measure(results, FileFormat::Csv)),
    ("files, Parquet", |results| files::measure(results, FileFormat::Parquet)),
    ("PostgreSQL", servers::postgresql),
    ("ClickHouse", servers::clickhouse),
    ("Kafka", KAFKA),
];

#[cfg(feature = "kafka")]
const KAFKA: Measure = kafka::measure;
#[cfg(not(feature = "kafka"))]
const KAFKA: Measure = |_| {
    println!("skipped: this program was built without Kafka (`cargo xtask bench sinks` builds it with it)");
    Ok(None)
};

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let Arguments { millions, rows, seed, words } = arguments;
    let results = Results::new(millions * 1_000_000, *rows, *seed)?;
    let is_chosen = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word.as_str()));
    let (mut lines, mut failed) = (vec![], 0);
    for (name, measure) in SINKS.into_iter().filter(|(name, _)| is_chosen(name)) {
        eprintln!("{} {name}", style::step("Now"));
        let outcome = measure(&results);
        failed += usize::from(outcome.is_err());
        lines.push(line(name, &outcome));
    }
    println!("| sink | M rows | k rows/s | without it, k rows/s | by | mark |\n|---|--:|--:|--:|---|---|");
    lines.iter().for_each(|line| println!("{line}"));
    ensure!(failed == 0, "{failed} of the sinks could not be measured");
    Ok(())
}

/// A line of the table.
fn line(name: &str, outcome: &Result<Option<Times>>) -> String {
    match outcome {
        Ok(Some(times)) => row(name, times),
        Ok(None) => format!("| {name} | – | – | – | – | not installed |"),
        Err(error) => {
            format!("| {name} | – | – | – | – | {} |", format!("{error:#}").replace(['\n', '|'], " "))
        }
    }
}

/// What was measured, with the verdict.
fn row(name: &str, times: &Times) -> String {
    let rate = |time: Duration| times.rows as f64 / time.as_secs_f64();
    let (sink, alone) = (rate(times.sink), rate(times.alone));
    let verdict = floors::verdict(&format!("sinks: {name}"), sink / RATE.min(alone * PART_OF_LIMIT));
    let (rows, by) = (times.rows as f64 / 1e6, times.by);
    format!("| {name} | {rows:.1} | {:.0} | {:.0} | {by} | {verdict} |", sink / 1e3, alone / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sink_has_its_mark() {
        assert!(SINKS.map(|(name, _)| name).into_iter().eq(floors::names_of("sinks")));
    }

    #[test]
    fn a_server_that_takes_little_is_its_own_measure() {
        let times = |sink, alone| Times {
            rows: 1_000_000,
            sink: Duration::from_secs(sink),
            alone: Duration::from_secs(alone),
            by: "it",
        };
        let expected = "| Kafka | 1.0 | 250 | 1000 | it | ≥ 1 reached |";
        assert_eq!(row("Kafka", &times(4, 1)), expected);
        let expected = "| Kafka | 1.0 | 95 | 100 | it | ≥ 1 reached |";
        assert_eq!(row("Kafka", &Times { sink: Duration::from_millis(10_500), ..times(0, 10) }), expected);
    }
}
