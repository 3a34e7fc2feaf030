//! `cargo xtask load replay` and `cargo xtask load packets`: frames out of an interface.
//!
//! Builds the program that sends them, and hands its arguments over.

use std::ffi::OsString;
use std::process::Command;

use anyhow::Result;

use crate::{process, workspace};

/// What the program takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// What to send; --help says more
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

pub(super) fn run(command: &str, arguments: &Arguments) -> Result<()> {
    let mut program = Command::new(workspace::build_load()?);
    process::run(program.arg(command).args(&arguments.arguments))
}
