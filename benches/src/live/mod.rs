//! `cargo xtask bench live`: packets that are counted on an interface while more come than can be.
//!
//! Takes a time and a number of flows, lays a cable between two namespaces, sends as fast as the kernel can from one
//! processor, and lets every watcher in turn count on the other one. Prints a table of medians: what was sent, what
//! was counted, and at what cost; and what SQL over `AF_XDP` reaches of what reading alone does.

mod table;
mod watcher;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tapline_load::exports::collect::settle;
use tapline_programs::cable::{Cable, FAR, NEAR};
use tapline_programs::usage::{self, Cost, Running};
use tapline_programs::{folders, process, style};
use tapline_trafficgen::csv::Csv;
use watcher::Watcher;

use super::{add_run, offline};
use crate::ingress::collector::find;

/// The processor that sends; the watchers have the other one.
const SENDS: &str = "0";
const WATCHES: &str = "1";
const MTU_OCTETS: u32 = 1500;

/// Packets counted on an interface, tapline and other programs in turn.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Seconds that frames are sent in each run
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Flows that they belong to
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    flows: u32,
    /// Runs of each watcher, of which the table shows the median
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Leave a watcher out (repeatable)
    #[arg(long, value_name = "PROGRAM")]
    skip: Vec<String>,
    /// Measure this tapline instead of building one
    #[arg(long, value_name = "FILE")]
    tapline: Option<PathBuf>,
}

/// What every run is given.
struct Setting {
    tapline: PathBuf,
    load: PathBuf,
    reader: PathBuf,
    /// Emptied before each run.
    folder: PathBuf,
    seconds: u64,
    flows: u32,
}

/// What a run came to.
struct Outcome {
    cost: Cost,
    sent: u64,
    counted: u64,
    sending: Duration,
}

impl Outcome {
    /// Frames a second that were counted.
    fn rate(&self) -> f64 {
        self.counted as f64 / self.sending.as_secs_f64()
    }
}

/// All runs of a watcher, or why there are none.
struct Series {
    watcher: Watcher,
    runs: Result<Vec<Outcome>>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let known = Watcher::ALL.map(Watcher::program);
    if let Some(unknown) = arguments.skip.iter().find(|name| !known.contains(&name.as_str())) {
        bail!("--skip {unknown}: the programs are tapline, pmacctd and softflowd");
    }
    let setting = Setting {
        tapline: offline::tapline(arguments.tapline.as_deref())?,
        load: folders::built("tapline-load")?,
        reader: folders::built("examples/live_reader")?,
        folder: folders::scratch("bench/live")?,
        seconds: arguments.seconds,
        flows: arguments.flows,
    };
    let takes_part = |watcher: Watcher| !arguments.skip.iter().any(|name| name == watcher.program());
    let all = Watcher::ALL.into_iter().filter(|watcher| takes_part(*watcher));
    let mut series: Vec<_> = all.map(|watcher| Series { watcher, runs: Ok(vec![]) }).collect();
    for turn in 1..=arguments.runs {
        for series in &mut series {
            eprintln!("{} {}, run {turn}", style::step("Running"), series.watcher.name());
            add_run(&mut series.runs, one_run(series.watcher, &setting));
        }
    }
    print!("{}", table::markdown(&series));
    let failed = series.iter().filter(|series| series.runs.is_err()).count();
    if failed > 0 { bail!("{failed} watchers are without figures; the table says why") } else { Ok(()) }
}

/// Starts a watcher, sends, lets it count all that waits, and ends it.
fn one_run(watcher: Watcher, setting: &Setting) -> Result<Outcome> {
    folders::clear(&setting.folder)?;
    let cable = Cable::lay(MTU_OCTETS)?;
    // So the far end takes frames of XDP where no program runs.
    process::run(cable.far(&find("ethtool")?).args(["-K", FAR, "gro", "on"]))?;
    let mut command = watcher.command(&cable, setting)?;
    let running = usage::start(command.current_dir(&setting.folder))?;
    let sent = feed(&running, &cable, setting);
    let told = watcher.tell(setting);
    let signalled = running.signal(watcher.signal());
    let measured = running.finish()?;
    let (sent, told) = sent
        .and_then(|sent| signalled.and(told).map(|told| (sent, told)))
        .with_context(|| measured.said())?;
    let counted = watcher.counted(&measured.output, &told, setting).with_context(|| measured.said())?;
    ensure!(counted > 0, "it counted nothing: {}", measured.said());
    ensure!(counted <= sent, "it counted {counted} of {sent} frames");
    Ok(Outcome { cost: measured.cost, sent, counted, sending: Duration::from_secs(setting.seconds) })
}

/// Sends, and waits until the watcher has nothing more to do; gives how many frames were sent.
fn feed(running: &Running, cable: &Cable, setting: &Setting) -> Result<u64> {
    ensure!(cable.is_watched(|| running.has_ended())?, "it did not watch the interface");
    let sent = send(cable, setting)?;
    settle(running);
    Ok(sent)
}

fn send(cable: &Cable, setting: &Setting) -> Result<u64> {
    let mut command = cable.near(&setting.load);
    command.args(["packets", "--interface", NEAR, "--rate", "max", "--cpu", SENDS]);
    command.args(["--flows", &setting.flows.to_string(), "--seconds", &setting.seconds.to_string()]);
    let output = usage::measure(&mut command)?.output;
    Ok(Csv::parse_loosely(&String::from_utf8_lossy(&output.stdout))?.sum("packets")?)
}
