//! `cargo xtask bench`: measures whole processes side by side, and prints tables that can be pasted.
//!
//! Takes a command line, runs what was built beside this program and the programs that it is compared with.
//! Measurements of single stages in memory stand in folders of their own.

#![forbid(unsafe_code)]

mod api;
mod capture;
mod exports;
mod flood;
mod ingress;
mod kernel;
mod live;
mod node;
mod offline;
mod peers;
mod picture;
mod queries;
mod sensors;
mod sinks;
mod table;

use std::cmp::Ordering;
use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::{Parser, Subcommand};
use tapline_benches::floors;
use tapline_programs::style;

/// Measures, and prints tables.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask bench", max_term_width = 100)]
struct Arguments {
    /// Fail when a ratio misses its floor
    #[arg(long, global = true)]
    check: bool,
    #[command(subcommand)]
    command: Command,
}

/// What to measure.
#[derive(Debug, Subcommand)]
enum Command {
    /// CPU time over one capture file, tapline and other programs in turn
    Offline(offline::Arguments),
    /// Up to a thousand queries over one capture file, at once and one at a time
    Queries(queries::Arguments),
    /// CPU time of collecting flow exports, tapline and other collectors in turn
    Ingress(ingress::Arguments),
    /// BackStreamDB's first experiment: records counted in windows, exact at rates up to 1.2 M records/s
    #[command(name = "backstreamdb")]
    BackStreamDb(ingress::backstreamdb::Arguments),
    /// CPU time of the traffic matrix over stored flow exports, tapline and nfdump in turn
    Exports(exports::Arguments),
    /// What a frame costs in the kernel, part by part, by test runs and on the wire
    Kernel(kernel::Arguments),
    /// Packets counted on an interface, tapline and other programs in turn; and what SQL costs over AF_XDP
    Live(live::Arguments),
    /// A day in the life of a node, compressed: what it says must be what was sent
    Node(node::Arguments),
    /// A node under a flood of ten times what it has room for: memory, totals and heavy hitters
    Flood(flood::Arguments),
    /// What requests to a node cost its records: CPU time of one, with requests and without in turn, and losses
    Api(api::Arguments),
    /// Queries that come and go by many hands at full load: accounts, losses, and what a record takes afterwards
    Churn(api::churn::Arguments),
    /// Five hundred who watch: how soon they see a window, psql too, and what they cost the records
    Viewers(api::viewers::Arguments),
    /// Rows that leave by each sink, beside what the servers take by themselves
    Sinks(sinks::Arguments),
    /// One picture from many boxes: exact, what it costs, and what becomes of it on bad links
    Sensors(sensors::Arguments),
}

fn main() -> ExitCode {
    let Arguments { check, command } = Arguments::parse();
    match run(&command).and_then(|()| if check { check_floors() } else { Ok(()) }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{} {error:#}", style::error("error:"));
            ExitCode::FAILURE
        }
    }
}

fn run(command: &Command) -> Result<()> {
    match command {
        Command::Offline(arguments) => offline::run(arguments),
        Command::Queries(arguments) => queries::run(arguments),
        Command::Ingress(arguments) => ingress::run(arguments),
        Command::BackStreamDb(arguments) => ingress::backstreamdb::run(arguments),
        Command::Exports(arguments) => exports::run(arguments),
        Command::Kernel(arguments) => kernel::run(arguments),
        Command::Live(arguments) => live::run(arguments),
        Command::Node(arguments) => node::run(arguments),
        Command::Flood(arguments) => flood::run(arguments),
        Command::Api(arguments) => api::run(arguments),
        Command::Churn(arguments) => api::churn::run(arguments),
        Command::Viewers(arguments) => api::viewers::run(arguments),
        Command::Sinks(arguments) => sinks::run(arguments),
        Command::Sensors(arguments) => sensors::run(arguments),
    }
}

/// Fails when something missed its floor.
fn check_floors() -> Result<()> {
    let missed = floors::missed();
    ensure!(missed.is_empty(), "below their floors: {}", missed.join("; "));
    Ok(())
}

/// The value in the middle, of the two there the larger one; there is one value at least.
fn median<T>(mut values: Vec<T>, order: impl Fn(&T, &T) -> Ordering) -> T {
    values.sort_by(order);
    values.swap_remove(values.len() / 2)
}

/// Adds a run to those before; the first failure stays, and is told.
fn add_run<T>(runs: &mut Result<Vec<T>>, outcome: Result<T>) {
    match (&mut *runs, outcome) {
        (Ok(runs), Ok(outcome)) => runs.push(outcome),
        (Ok(_), Err(error)) => {
            eprintln!("{} {error:#}", style::error("error:"));
            *runs = Err(error);
        }
        (Err(_), _) => {}
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(
            [vec![3], vec![3, 1], vec![9, 1, 5]].map(|values| super::median(values, Ord::cmp)),
            [3, 3, 5]
        );
    }
}
