//! Runs other programs, and the cargo that runs this one.

use std::env;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::{Context as _, Result};

pub(crate) use tapline_programs::process::{does_not_start, find, line, run, succeeded};

/// The cargo that runs this program, at the workspace's root.
pub(crate) fn cargo() -> Command {
    let program = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.current_dir(crate::workspace::root());
    command
}

/// Puts the command in the place of this program, so that its end is ours.
pub(crate) fn hand_over(command: &mut Command) -> Result<()> {
    let error = command.exec();
    Err(error).with_context(|| does_not_start(command))
}
