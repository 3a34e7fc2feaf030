//! One run of a collector, from its start to its end.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tapline_load::exports::collect::{Collected, collect};
use tapline_load::exports::sender::{self, Options};
use tapline_load::exports::socket;
use tapline_programs::folders;
use tapline_programs::usage::Cost;

use super::collector::{Collector, Found};

/// What every run is given.
#[derive(Debug)]
pub(crate) struct Setting {
    /// The program `tapline`.
    pub(crate) tapline: PathBuf,
    /// Emptied before each run.
    pub(crate) folder: PathBuf,
}

/// What a run came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    pub(crate) cost: Cost,
    pub(crate) sent_records: u64,
    pub(super) found: Found,
    /// Packets that the kernel dropped since they were not read in time.
    pub(super) drops: u64,
    /// How long sending took.
    pub(super) sending: Duration,
}

impl Outcome {
    /// Records a CPU-second, of those that arrived.
    pub(super) fn rate(&self) -> f64 {
        self.found.records as f64 / self.cost.cpu.as_secs_f64()
    }

    /// Records that the collector did not get.
    pub(crate) fn lost_records(&self) -> u64 {
        self.sent_records.saturating_sub(self.found.records)
    }
}

/// Starts a collector, sends, lets it read all that waits, and ends it.
pub(crate) fn run(collector: Collector, setting: &Setting, options: &Options) -> Result<Outcome> {
    folders::clear(&setting.folder)?;
    let address = socket::free_address()?;
    let mut command = collector.command(&setting.tapline, address, &setting.folder)?;
    let send = || sender::send(address, options);
    let Collected { measured, sent, drops } = collect(&mut command, address, collector.signal(), send)?;
    let amount = sent.truth.sent;
    let found = collector.found(&measured.output, &setting.folder, &amount);
    let found = found.with_context(|| measured.said())?;
    ensure!(found.octets > 0, "it got nothing: {}", measured.said());
    let is_same = found.records != amount.records || found.octets == amount.octets;
    ensure!(is_same, "it found {} octets instead of {}", found.octets, amount.octets);
    Ok(Outcome { cost: measured.cost, sent_records: amount.records, found, drops, sending: sent.wall })
}
