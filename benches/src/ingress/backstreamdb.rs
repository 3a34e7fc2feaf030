//! `cargo xtask bench backstreamdb`: the first experiment of BackStreamDB, records counted in windows of ten
//! seconds, from 1 000 to 60 000 records/s, and on to twenty times as many.
//!
//! Takes a time, sends flow records at each rate for so long, and prints what was counted beside what was sent.
//! A difference makes the command fail.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tapline_load::exports::collect::{Collected, collect};
use tapline_load::exports::sender::{self, Options};
use tapline_load::exports::socket;
use tapline_load::pace::{Limit, Rate};
use tapline_programs::style;
use tapline_trafficgen::csv::Csv;
use tapline_trafficgen::exports::{ExportPlan, Protocol};

use crate::offline;

/// Records counted in windows of ten seconds, at rates up to twenty times those of BackStreamDB.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Seconds at each rate
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Ask this tapline instead of building one
    #[arg(long, value_name = "FILE")]
    tapline: Option<PathBuf>,
}

/// Records in a second.
const RATES: [u64; 9] = [1_000, 5_000, 10_000, 20_000, 40_000, 60_000, 300_000, 600_000, 1_200_000];

const SQL: &str = "SELECT count(*) AS records FROM flows GROUP BY tumble('10 seconds')";

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let tapline = offline::tapline(arguments.tapline.as_deref())?;
    println!("| records/s | sent | counted | windows | CPU s |\n|--:|--:|--:|--:|--:|");
    for rate in RATES {
        eprintln!("{} {rate} records/s", style::step("Counting"));
        count(&tapline, rate, Duration::from_secs(arguments.seconds))?;
    }
    println!("\nEvery record was counted, at every rate.");
    Ok(())
}

/// Sends at one rate, and compares.
fn count(tapline: &Path, rate: u64, duration: Duration) -> Result<()> {
    let options = Options {
        plan: ExportPlan::new(Protocol::NetflowV9, 1),
        exporters: 1,
        rate: Rate::PerSecond(rate),
        limit: Limit { duration, records: u64::MAX },
        plain: true,
    };
    let address = socket::free_address()?;
    let listen = format!("udp://{address}");
    let mut command = Command::new(tapline);
    command.args(["query", "--listen", &listen, "--format", "csv", SQL]);
    let send = || sender::send(address, &options);
    let Collected { measured, sent, .. } = collect(&mut command, address, "INT", send)?;
    let windows = String::from_utf8_lossy(&measured.output.stdout);
    let windows = Csv::parse_loosely(&windows).with_context(|| measured.said())?;
    let (sent, counted) = (sent.truth.sent.records, windows.sum("records")?);
    let cpu = measured.cost.cpu.as_secs_f64();
    println!("| {rate} | {sent} | {counted} | {} | {cpu:.2} |", windows.rows.len());
    ensure!(counted == sent, "{counted} records were counted, and {sent} sent: {}", measured.said());
    Ok(())
}
