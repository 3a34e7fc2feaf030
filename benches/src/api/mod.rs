//! `cargo xtask bench api`: what requests cost the records.
//!
//! Takes rates of records and of requests, lets a node collect flow exports at each rate, and asks it in every other
//! turn. What its threads take for a record, those of the API left out, is compared from one turn to the next, so that
//! neither the machine nor what else it does counts; and close to what the machine takes, nothing may be lost.

pub(crate) mod churn;
mod clients;
mod node;
mod psql;
mod turn;
pub(crate) mod viewers;
mod watched;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, ensure};
use node::Node;
use tapline_benches::floors;
use tapline_programs::usage::{self, Running};
use tapline_programs::{folders, style};
use turn::{Pair, Turn};

use super::{median, offline};

/// What requests to a node cost its records.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Seconds of requests at each rate of records; those without requests take as long
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(6..))]
    seconds: u64,
    /// Requests in a second
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..))]
    requests: u32,
    /// Records in a second at which CPU time is compared
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(1000..))]
    records: u64,
    /// Records in a second, close to what this machine takes, at which nothing may be lost
    #[arg(long, default_value_t = 400_000, value_parser = clap::value_parser!(u64).range(1000..))]
    most: u64,
    /// Measure this tapline instead of building one
    #[arg(long, value_name = "FILE")]
    tapline: Option<PathBuf>,
}

/// Turns with requests, and as many without.
const TURNS: u32 = 6;
/// What is begun is as it will be after so long.
const SETTLED: Duration = Duration::from_secs(3);
const EXPORTERS: u32 = 20;
/// What is measured, by the names of its marks.
const CPU: &str = "api: CPU of a record";
const LOST: &str = "api: lost";

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let tapline = offline::tapline(arguments.tapline.as_deref())?;
    let steady = measure(&tapline, arguments.records, arguments)?;
    let most = measure(&tapline, arguments.most, arguments)?;
    println!("{}", turn::HEAD);
    [&steady, &most].iter().for_each(|pairs| println!("{}", turn::row(pairs)));
    let alone: u64 = most.iter().map(|pair| pair.alone.lost).sum();
    let rate = arguments.most;
    ensure!(alone == 0, "{rate} records/s are more than this machine takes; give another --most");
    let ratio = median(steady.iter().map(Pair::ratio).collect(), f64::total_cmp);
    let lost: u64 = steady.iter().chain(&most).map(|pair| pair.asked.lost).sum();
    println!(
        "\nWith requests, a record takes {ratio:.3} times the CPU time ({}), and {lost} records are lost ({}).",
        floors::verdict(CPU, ratio),
        floors::verdict(LOST, lost as f64)
    );
    Ok(())
}

/// Turns without requests and with them, at one rate of records.
fn measure(tapline: &Path, rate: u64, arguments: &Arguments) -> Result<Vec<Pair>> {
    let time = Duration::from_secs(arguments.seconds) / TURNS;
    let node = Node::start(tapline)?;
    let sender = send(&node, rate, SETTLED + (time + turn::PAUSE) * (2 * TURNS + 1))?;
    sleep(SETTLED);
    let mut pairs = vec![];
    for number in 0..TURNS {
        eprintln!("{} turn {} at {rate} records/s", style::step("Running"), number + 1);
        let alone = || Turn::take(&node, time, 0);
        let asked = || Turn::take(&node, time, arguments.requests);
        // Whatever changes meanwhile changes both alike.
        let pair = if number % 2 == 0 {
            let alone = alone()?;
            Pair { alone, asked: asked()? }
        } else {
            let asked = asked()?;
            Pair { alone: alone()?, asked }
        };
        pairs.push(pair);
    }
    ensure!(!sender.has_ended(), "the sender ended before its time");
    sender.signal("KILL")?;
    sender.finish()?;
    node.end()?;
    Ok(pairs)
}

fn send(node: &Node, rate: u64, time: Duration) -> Result<Running> {
    let mut command = Command::new(folders::built("tapline-load")?);
    command.args(["exports", "--protocol", "v9", "--to", &node.listens.to_string()]);
    command.args(["--rate", &rate.to_string(), "--exporters", &EXPORTERS.to_string()]);
    usage::start(command.args(["--seconds", &(time.as_secs() + 1).to_string()]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_measured_has_its_mark() {
        let measured = [CPU, LOST].map(|name| name.strip_prefix("api: "));
        assert!(floors::names_of("api").map(Some).eq(measured));
        let measured = [churn::CPU, churn::LOST].map(|name| name.strip_prefix("churn: "));
        assert!(floors::names_of("churn").map(Some).eq(measured));
        let measured = [viewers::CPU, viewers::PAGE, viewers::PSQL, viewers::LOST];
        let measured = measured.map(|name| name.strip_prefix("viewers: "));
        assert!(floors::names_of("viewers").map(Some).eq(measured));
    }
}
