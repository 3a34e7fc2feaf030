//! `cargo xtask bench kernel`: what a frame costs in the kernel, part by part.
//!
//! Takes how many rounds, and lets an example of `tapline-capture` that runs the kernel programs print its tables. Needs root, and a machine with nothing else to do.

use std::process::Command;

use anyhow::Result;
use tapline_programs::{folders, process};

/// What a frame costs in the kernel, part by part.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Rounds, of which the median is given
    #[arg(long, default_value_t = 9)]
    rounds: u32,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    process::run(Command::new(folders::built("examples/kernel_parts")?).arg(arguments.rounds.to_string()))
}
