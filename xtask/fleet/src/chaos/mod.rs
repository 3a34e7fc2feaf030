//! Faults at random, and whether any of them is to be seen in what the aggregator gives.
//!
//! Takes a seed and how long it may take. Three sensors and an aggregator run while routers send to them; they are killed,
//! paused and cut off at random, several of them at once. In the end, each window is compared with what was sent: nothing
//! is doubled, nothing is wrong, and nothing is lost but what a sensor received shortly before it was killed, which the
//! window's completeness tells.

mod check;
mod world;

use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use check::check;
use world::World;

/// What is done, and how long.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// The program `tapline`.
    pub tapline: &'a Path,
    /// Where the random numbers start.
    pub seed: u64,
    /// Faults end after so long.
    pub time: Duration,
    /// They end, too, when so many processes were killed.
    pub kills_max: u64,
    /// All ends when this is an error; it is asked again and again.
    pub check: &'a dyn Fn() -> Result<()>,
}

/// What was done, and what came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Sensors that were killed.
    pub sensors_killed: u64,
    /// How often the aggregator was.
    pub aggregator_killed: u64,
    /// How often a process was paused.
    pub pauses: u64,
    /// How often a link was cut, or let nothing through.
    pub cuts: u64,
    /// Windows that were compared.
    pub windows: u64,
    /// Those that were given again with more than before.
    pub revised: u64,
    /// Records that were sent.
    pub sent: u64,
    /// Those that were sent while nobody was there.
    pub unheard: u64,
    /// Those that a sensor received and that are in no window.
    pub lost: u64,
    /// The most that could be, of what sensors received shortly before they were killed.
    pub at_risk: u64,
}

impl Report {
    /// Processes that were killed.
    pub const fn kills(&self) -> u64 {
        self.sensors_killed + self.aggregator_killed
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} sensors were killed, the aggregator {} times; {} pauses, {} links were cut.",
            self.sensors_killed, self.aggregator_killed, self.pauses, self.cuts
        )?;
        writeln!(
            f,
            "{} windows of {} records: none is missing, doubled or wrong; {} were revised.",
            self.windows, self.sent, self.revised
        )?;
        write!(
            f,
            "{} records were sent while nobody was there. Of {} that sensors received shortly before they were killed, {} \
             are lost; completeness tells of each window that lacks some.",
            self.unheard, self.at_risk, self.lost
        )
    }
}

/// Does it, and says what it does.
///
/// # Errors
/// When a process does not start, or a window is not what it must be: a sentence says which one, and why.
pub fn run(options: &Options<'_>, say: &mut dyn FnMut(&str)) -> Result<Report> {
    let mut world = World::start(options)?;
    let begun = Instant::now();
    while begun.elapsed() < options.time && world.report.kills() < options.kills_max {
        if let Some(what) = world.step()? {
            say(&format!("{:6.1} s: {what}", begun.elapsed().as_secs_f64()));
        }
    }
    say("all come back");
    let settled = world.settle()?;
    check(&settled)
        .with_context(|| format!("with --seed {}, after {} kills", options.seed, settled.report.kills()))
}
