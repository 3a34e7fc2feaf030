//! One run of a collector, from its start to its end.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::collector::{Collector, Found};
use super::socket;
use crate::bench::usage::{self, Cost, Running};
use crate::load::sender::{self, Options, Sent};

/// What every run is given.
#[derive(Debug)]
pub(in crate::bench) struct Setting {
    /// The program `tapline`.
    pub(in crate::bench) tapline: PathBuf,
    /// Emptied before each run.
    pub(in crate::bench) folder: PathBuf,
}

/// What a run came to.
#[derive(Clone, Copy, Debug)]
pub(in crate::bench) struct Outcome {
    pub(in crate::bench) cost: Cost,
    pub(in crate::bench) sent_records: u64,
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
    pub(in crate::bench) fn lost_records(&self) -> u64 {
        self.sent_records.saturating_sub(self.found.records)
    }
}

/// Starts a collector, sends, lets it read all that waits, and ends it.
pub(in crate::bench) fn run(collector: Collector, setting: &Setting, options: &Options) -> Result<Outcome> {
    clear(&setting.folder)?;
    let address = socket::free_address()?;
    let mut command = collector.command(&setting.tapline, address, &setting.folder)?;
    let running = usage::start(&mut command)?;
    let sent = feed(&running, address, options);
    // It is ended whatever went wrong before.
    let signalled = running.signal(collector.signal());
    let measured = running.finish()?;
    let said = || String::from_utf8_lossy(&measured.output.stderr).trim().to_owned();
    let (sent, drops) = signalled.and(sent).with_context(said)?;
    let amount = sent.truth.sent;
    let found = collector.found(&measured.output, &setting.folder, &amount).with_context(said)?;
    let is_same = found.records != amount.records || found.octets == amount.octets;
    ensure!(is_same, "it found {} octets instead of {}", found.octets, amount.octets);
    Ok(Outcome { cost: measured.cost, sent_records: amount.records, found, drops, sending: sent.wall })
}

/// Sends all; gives what was sent, and how many packets the kernel dropped.
fn feed(running: &Running, address: SocketAddr, options: &Options) -> Result<(Sent, u64)> {
    socket::wait_for_listener(address, running)?;
    let sent = sender::send(address, options)?;
    let drops = socket::drain(address)?;
    settle(running);
    Ok((sent, drops))
}

/// Waits until the collector has nothing more to do: it may hand over what it reads to a process of its own.
fn settle(running: &Running) {
    const LOOKS_MAX: usize = 100;
    const BETWEEN_LOOKS: Duration = Duration::from_millis(300);
    const IDLE_TICKS: u64 = 1;
    let mut before = running.ticks();
    for _ in 0..LOOKS_MAX {
        thread::sleep(BETWEEN_LOOKS);
        let now = running.ticks();
        if now <= before + IDLE_TICKS {
            break;
        }
        before = now;
    }
}

/// Makes the folder empty.
fn clear(folder: &Path) -> Result<()> {
    fs::remove_dir_all(folder)
        .and_then(|()| fs::create_dir_all(folder))
        .with_context(|| format!("{} cannot be emptied", folder.display()))
}
