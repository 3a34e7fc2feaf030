//! `cargo xtask bench sensors`: one picture from many boxes, what it costs, and what becomes of it on bad links.
//!
//! Takes which parts to measure; each starts an aggregator and its sensors, or sensors that are threads of this program,
//! and prints what it finds beside its mark. A part that fails does not keep the others from being measured.

mod bad_link;
mod cost;
mod delay;
mod exact;
mod growth;
mod link_octets;
mod many;
mod nfdump;
mod partition;
mod questions;
mod simulated;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::ValueEnum;
use tapline_fleet::{Amount, Books, Fleet, Given, Traffic, Truth, Windows};
use tapline_programs::interrupts::Interrupts;
use tapline_programs::{folders, namespace, style, tools};

use super::offline;

/// One picture from many boxes: exact, what it costs, and what becomes of it on bad links.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Measure these parts only
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PART,…")]
    only: Vec<Part>,
    /// Seconds of sending, where a part does not take its own time
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(10..))]
    seconds: u64,
    /// Records in a second that a sensor gets whose CPU time is compared
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1000..))]
    records: u64,
    /// Grow from 1 to 100 sensors, and to a million groups, too, and write what that takes to this file
    #[arg(long, value_name = "CSV")]
    growth: Option<PathBuf>,
    /// Measure this tapline instead of building one
    #[arg(long, value_name = "FILE")]
    tapline: Option<PathBuf>,
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// BackStreamDB's second experiment: three sensors, 30,000 records/s each, and twenty times as many; exact
    Exact,
    /// Its third: the same stream to nfcapd and to tapline, window by window
    Nfdump,
    /// A link of 200 ms that loses 5 of a hundred packets, and is cut for a minute
    BadLink,
    /// A hundred simulated sensors and twenty queries: CPU, memory, delay
    Many,
    /// Octets on the link, beside those of the exports
    Octets,
    /// What forwarding costs a sensor
    Cost,
    /// How soon an hour without a link is caught up
    Partition,
}

/// What each part is given.
struct Setting {
    tapline: PathBuf,
    seconds: Duration,
    records: u64,
    interrupts: Interrupts,
}

/// Between two looks at results.
const LOOK: Duration = Duration::from_millis(200);
/// Windows that are looked at: all that are kept.
const WINDOWS: usize = 256;
/// What was sent is in windows after so long, or never will be.
const COMES_WITHIN: Duration = Duration::from_secs(60);

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let setting = Setting {
        tapline: offline::tapline(arguments.tapline.as_deref())?,
        seconds: Duration::from_secs(arguments.seconds),
        records: arguments.records,
        interrupts: Interrupts::listen()?,
    };
    let is_chosen = |part: &&Part| arguments.only.is_empty() || arguments.only.contains(part);
    let mut failed = vec![];
    for part in Part::value_variants().iter().filter(is_chosen) {
        let name = part.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        eprintln!("{} {name}", style::step("Measuring"));
        println!("\n### {name}\n");
        let outcome = match part {
            Part::Exact => exact::run(&setting),
            Part::Nfdump => nfdump::run(&setting),
            Part::BadLink => bad_link::run(&setting),
            Part::Many => many::run(&setting),
            Part::Octets => link_octets::run(&setting),
            Part::Cost => cost::run(&setting),
            Part::Partition => partition::run(&setting),
        };
        setting.interrupts.check()?;
        if let Err(error) = outcome {
            eprintln!("{} {error:#}", style::error("error:"));
            failed.push(name);
        }
    }
    if let Some(path) = &arguments.growth {
        growth::write(&setting, path)?;
    }
    ensure!(failed.is_empty(), "without figures: {}", failed.join(", "));
    Ok(())
}

impl Setting {
    /// Whether processes may have networks of their own here, over which they speak TLS.
    fn has_networks() -> bool {
        namespace::missing().is_none() && tools::advice("openssl").is_none()
    }

    /// Where the program that sends is.
    fn load() -> Result<PathBuf> {
        let load = folders::built("tapline-load")?;
        ensure!(load.is_file(), "{} is not built: cargo xtask bench sensors builds it", load.display());
        Ok(load)
    }

    /// Looks at a query for so long.
    fn watch(&self, fleet: &Fleet, query: &str, books: &mut Books, time: Duration) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < time {
            self.interrupts.sleep(LOOK)?;
            fleet.look(query, WINDOWS, books)?;
        }
        Ok(())
    }

    /// Lets routers end, and looks at a query until all that they sent is there, or nothing more comes; gives what they
    /// sent, by windows.
    fn end(&self, traffic: Traffic, fleet: &Fleet, query: &str, books: &mut Books) -> Result<Windows> {
        let sent = sums(&traffic.end()?);
        let begun = Instant::now();
        while differing(&sent, books) > 0 && begun.elapsed() < COMES_WITHIN {
            self.watch(fleet, query, books, LOOK)?;
        }
        Ok(sent)
    }
}

/// What all routers sent, by windows.
fn sums(truths: &[Truth]) -> Windows {
    let mut sums = Windows::new();
    for (start, amount) in truths.iter().flat_map(|truth| &truth.sent) {
        *sums.entry(*start).or_default() += *amount;
    }
    sums
}

/// Windows that are not what was sent.
fn differing(sent: &Windows, books: &Books) -> usize {
    let is_other = |(start, amount): &(&i64, &Amount)| {
        books.windows().get(*start).map(Given::amount).as_ref() != Some(*amount)
    };
    sent.iter().filter(is_other).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_benches::floors;

    #[test]
    fn what_is_measured_has_its_mark() {
        let octets = questions::OF_FLOWS.iter().map(|(name, _)| format!("sensors: octets, {name}"));
        let others = [bad_link::DIFFER, bad_link::CAUGHT_UP];
        let last = [cost::CPU, partition::FACTOR, partition::DIFFER];
        let measured = exact::RATES
            .map(exact::mark)
            .into_iter()
            .chain([nfdump::UNEXPLAINED.to_owned()])
            .chain(others.map(str::to_owned))
            .chain(many::MARKS.map(str::to_owned))
            .chain(octets)
            .chain(last.map(str::to_owned));
        let known: Vec<_> = floors::names_of("sensors").map(|name| format!("sensors: {name}")).collect();
        assert_eq!(measured.collect::<Vec<_>>(), known);
    }
}
