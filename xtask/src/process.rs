//! Runs other programs, and the cargo that runs this one.

use std::env;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::{Context as _, Result};

pub(crate) use tapline_programs::process::{does_not_start, find, line, run, succeeded};

/// What cargo tells of the package whose program it runs, by the beginnings of names.
const OF_A_PACKAGE: [&str; 5] =
    ["CARGO_BIN_NAME", "CARGO_CRATE_NAME", "CARGO_MANIFEST_", "CARGO_PKG_", "CARGO_PRIMARY_PACKAGE"];

/// The cargo that runs this program, at the workspace's root, in the environment in which somebody runs it by hand: else
/// build scripts that look at what it told of this package (that of `ring`, and all that stands on it) run anew
/// whenever he does.
pub(crate) fn cargo() -> Command {
    let program = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.current_dir(crate::workspace::root());
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(|name| OF_A_PACKAGE.iter().any(|start| name.starts_with(start))) {
            command.env_remove(name);
        }
    }
    command
}

/// Puts the command in the place of this program, so that its end is ours.
pub(crate) fn hand_over(command: &mut Command) -> Result<()> {
    let error = command.exec();
    Err(error).with_context(|| does_not_start(command))
}
