//! `cargo xtask bench`: measures, and prints tables that can be pasted.

mod capture;
mod offline;
mod peers;
mod table;
mod usage;

use anyhow::{Result, bail};
use clap::Subcommand;

use crate::{process, workspace};

/// What to measure.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// CPU time over one capture file, tapline and other programs in turn
    Offline(offline::Arguments),
    /// The stages of the data path, in memory (criterion)
    Lower,
}

pub(crate) fn run(command: &Command) -> Result<()> {
    match command {
        Command::Offline(arguments) => offline::run(arguments),
        Command::Lower => lower(),
    }
}

fn lower() -> Result<()> {
    if !workspace::root().join("benches/Cargo.toml").is_file() {
        bail!("the package tapline-benches is not there (benches/Cargo.toml)");
    }
    process::run(process::cargo().args(["bench", "--package", "tapline-benches"]))
}
