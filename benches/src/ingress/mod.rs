//! `cargo xtask bench ingress`: what it costs to collect flow exports.
//!
//! Takes a rate and a number of records, lets every collector receive them in turn, one at a time, over the
//! loopback network, and prints a table of medians: the CPU time of the collector from its start to its end,
//! and what it got. A collector that is missing or fails is in the table with the reason in place of figures;
//! the command then fails.

pub(super) mod backstreamdb;
pub(super) mod collector;
pub(super) mod live;
mod table;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use collector::Collector;
use live::Setting;
use table::{Case, Series};
use tapline_load::exports::sender::Options;
use tapline_load::pace::{Limit, Rate};
use tapline_programs::{folders, style};
use tapline_trafficgen::exports::{ExportPlan, Protocol};

use super::{add_run, offline};

/// CPU time of collecting flow exports, tapline and other collectors in turn.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Records that are sent to each collector in each run
    #[arg(long, default_value_t = 5_000_000)]
    records: u64,
    /// Records in a second, or max
    #[arg(long, value_name = "N|max", default_value = "1000000")]
    rate: Rate,
    /// Runs of each collector, of which the table shows the median
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Leave a collector out (repeatable)
    #[arg(long, value_name = "PROGRAM")]
    skip: Vec<String>,
    /// Only this protocol: v5, v9 or ipfix (repeatable)
    #[arg(long, value_name = "PROTOCOL")]
    only: Vec<String>,
    /// Measure this tapline instead of building one
    #[arg(long, value_name = "FILE")]
    tapline: Option<PathBuf>,
}

const PROTOCOLS: [(&str, Protocol); 3] =
    [("v5", Protocol::NetflowV5), ("v9", Protocol::NetflowV9), ("ipfix", Protocol::Ipfix)];

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    check_names("--skip", &arguments.skip, &Collector::ALL.map(Collector::name))?;
    check_names("--only", &arguments.only, &PROTOCOLS.map(|(name, _)| name))?;
    let tapline = offline::tapline(arguments.tapline.as_deref())?;
    let setting = Setting { tapline, folder: folders::scratch("bench/ingress")? };
    let series: Vec<_> = cases(arguments).flat_map(|case| measure(case, &setting, arguments)).collect();
    print!("{}", table::markdown(&series));
    let failed = series.iter().filter(|series| series.runs.is_err()).count();
    if failed > 0 { bail!("{failed} collectors are without figures; the table says why") } else { Ok(()) }
}

/// Every protocol with a plain sender, as routers are, and with segmentation offload.
fn cases(arguments: &Arguments) -> impl Iterator<Item = Case> {
    let is_chosen = |name: &str| arguments.only.is_empty() || arguments.only.iter().any(|only| only == name);
    let protocols = PROTOCOLS.into_iter().filter(move |(name, _)| is_chosen(name));
    protocols.flat_map(|(_, protocol)| [true, false].map(|is_plain| Case { protocol, is_plain }))
}

/// All runs of a case, in turns.
fn measure(case: Case, setting: &Setting, arguments: &Arguments) -> Vec<Series> {
    let takes_part = |collector: &Collector| !arguments.skip.iter().any(|name| name == collector.name());
    let collectors = Collector::ALL.into_iter().filter(takes_part);
    let mut series: Vec<_> =
        collectors.map(|collector| Series { case, collector, runs: Ok(vec![]) }).collect();
    let options = options(case, arguments);
    for turn in 1..=arguments.runs {
        for series in &mut series {
            eprintln!("{} {} {case}, run {turn}", style::step("Running"), series.collector.name());
            let options = slowed(options, series.collector.rate_max());
            let outcome = live::run(series.collector, setting, &options);
            add_run(&mut series.runs, outcome);
        }
    }
    series
}

fn options(case: Case, arguments: &Arguments) -> Options {
    Options {
        plan: ExportPlan::new(case.protocol, 1),
        exporters: 1,
        rate: arguments.rate,
        limit: Limit { duration: Duration::MAX, records: arguments.records },
        plain: case.is_plain,
    }
}

/// Fewer records in the same time, where the rate is beyond what a collector takes: it would be measured at
/// losing them.
fn slowed(options: Options, rate_max: Option<u64>) -> Options {
    let rate = match options.rate {
        Rate::PerSecond(rate) => rate,
        Rate::Max => u64::MAX,
    };
    let Some(rate_max) = rate_max.filter(|&rate_max| rate_max < rate) else { return options };
    let records = u128::from(options.limit.records) * u128::from(rate_max) / u128::from(rate);
    let records = (records as u64).max(rate_max).min(options.limit.records);
    Options { rate: Rate::PerSecond(rate_max), limit: Limit { records, ..options.limit }, ..options }
}

/// A name that is given is one of those that are known.
fn check_names(option: &str, given: &[String], known: &[&str]) -> Result<()> {
    match given.iter().find(|name| !known.contains(&name.as_str())) {
        Some(unknown) => bail!("{option} {unknown}: it may be {}", known.join(", ")),
        None => Ok(()),
    }
}
