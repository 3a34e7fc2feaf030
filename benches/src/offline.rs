//! `cargo xtask bench offline`: CPU time over one capture file.
//!
//! Takes the size of the capture, lets every program read it in turn, one at a time, from the page cache, and
//! prints a table of medians. A program that is missing, fails or misses packets is in the table with the
//! reason in place of figures; the command then fails.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use tapline_programs::usage::{self, Cost};
use tapline_programs::{folders, style};
use tapline_trafficgen::workload::{Spread, Workload};

use super::peers::{self, CONTESTANTS, Contestant, Setting};
use super::table::{self, Row};
use super::{capture, median};

/// CPU time over one capture file, tapline and other programs in turn.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Packets in the capture
    #[arg(long, default_value_t = 5_000_000)]
    packets: u64,
    /// Flows that they belong to
    #[arg(long, default_value_t = 100_000)]
    flows: u32,
    /// Octets of each frame
    #[arg(long, default_value_t = 64)]
    frame_octets: usize,
    /// How the packets are spread over the flows
    #[arg(long, value_enum, default_value_t = SpreadName::Uniform)]
    spread: SpreadName,
    /// Runs of each program, of which the table shows the median
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Leave a program out (repeatable): tshark takes minutes
    #[arg(long, value_name = "PROGRAM")]
    skip: Vec<String>,
    /// Measure this tapline instead of building one
    #[arg(long, value_name = "FILE")]
    tapline: Option<PathBuf>,
}

/// How the packets are spread over the flows.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum SpreadName {
    /// Every flow gets about the same
    Uniform,
    /// Few flows get most
    Zipf,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    check_skips(&arguments.skip)?;
    let tapline = tapline(arguments.tapline.as_deref())?;
    let workload = workload(arguments);
    let capture = capture::of(&workload)?;
    let scratch = folders::scratch("bench/scratch")?;
    let setting = Setting { capture, tapline, scratch, workload };
    let takes_part = |contestant: &&Contestant| !arguments.skip.iter().any(|name| name == contestant.program);
    let contestants = CONTESTANTS.iter().filter(takes_part);
    let rows: Vec<_> = contestants.map(|contestant| row(contestant, &setting, arguments.runs)).collect();
    print!("{}", table::markdown(&rows, &setting.workload));
    let failed = rows.iter().filter(|row| row.outcome.is_err()).count();
    if failed > 0 { bail!("{failed} programs are without figures; the table says why") } else { Ok(()) }
}

fn workload(arguments: &Arguments) -> Workload {
    let Arguments { packets, flows, frame_octets, .. } = *arguments;
    let spread = match arguments.spread {
        SpreadName::Uniform => Spread::Uniform,
        SpreadName::Zipf => Spread::Zipf,
    };
    Workload { packets, flows, frame_octets, spread, seed: 1 }
}

/// A program that is to be skipped is one of those that would run.
fn check_skips(skip: &[String]) -> Result<()> {
    let is_known = |name: &str| CONTESTANTS.iter().any(|contestant| contestant.program == name);
    if let Some(unknown) = skip.iter().find(|name| !is_known(name)) {
        let mut known: Vec<_> = CONTESTANTS.iter().map(|contestant| contestant.program).collect();
        known.dedup();
        bail!("--skip {unknown}: the programs are {}", known.join(", "));
    }
    Ok(())
}

/// The program that is measured: the one named, or the one that was built beside this one.
pub(super) fn tapline(named: Option<&Path>) -> Result<PathBuf> {
    match named {
        Some(path) => fs::canonicalize(path).with_context(|| format!("{} is not there", path.display())),
        None => folders::built("tapline"),
    }
}

/// The figures of one program.
fn row(contestant: &'static Contestant, setting: &Setting, runs: u32) -> Row {
    eprintln!("{} {}", style::step("Running"), contestant.name);
    let runs: Result<Vec<_>> = (0..runs).map(|_| one_run(contestant, setting)).collect();
    let outcome = runs.map(|runs| median(runs, |one, other| one.cpu.cmp(&other.cpu)));
    if let Err(error) = &outcome {
        eprintln!("{} {error:#}", style::error("error:"));
    }
    Row { contestant, outcome }
}

/// The cost of one run whose output was right.
fn one_run(contestant: &Contestant, setting: &Setting) -> Result<Cost> {
    folders::clear(&setting.scratch)?;
    let program = peers::path(contestant.program, setting)?;
    let mut command = (contestant.command)(setting, Command::new(program))?;
    command.current_dir(&setting.scratch);
    let measured = usage::measure(&mut command)?;
    (contestant.check)(setting, &measured.output).context("it did not do the work")?;
    Ok(measured.cost)
}
