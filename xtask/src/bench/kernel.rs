//! `cargo xtask bench kernel`: what a frame costs in the kernel, part by part.
//!
//! Takes how many rounds, builds the kernel programs and an example of `tapline-capture` that runs them, and lets
//! it print its tables. Needs root, and a machine with nothing else to do.

use std::process::Command;

use anyhow::Result;

use crate::{ebpf, process, workspace};

/// The whole workspace is named for the same reason as by [`workspace::build_tapline`].
const BUILD: [&str; 5] = ["build", "--release", "--workspace", "--example", "kernel_parts"];

/// What a frame costs in the kernel, part by part.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Rounds, of which the median is given
    #[arg(long, default_value_t = 9)]
    rounds: u32,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    ebpf::prepare();
    process::run(process::cargo().args(BUILD))?;
    let program = workspace::target()?.join("release/examples/kernel_parts");
    process::run(Command::new(program).arg(arguments.rounds.to_string()))
}
