//! `cargo xtask load`: puts load on tapline, or on any collector, and knows what it sent.
//!
//! Builds the program that sends, and hands its arguments over.

use std::ffi::{OsStr, OsString};
use std::process::Command as Program;

use anyhow::Result;
use clap::Subcommand;

use crate::{process, workspace};

/// What to send.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Flow exports of synthetic routers, over UDP or into a capture file
    #[command(disable_help_flag = true)]
    Exports(Arguments),
    /// Play a capture file out of an interface, with its timing
    #[command(disable_help_flag = true)]
    Replay(Arguments),
    /// Send synthetic flows out of an interface, at the rate of the kernel where it can
    #[command(disable_help_flag = true)]
    Packets(Arguments),
    /// Compare what was sent with what a query found, both as CSV by pair of autonomous systems
    #[command(disable_help_flag = true)]
    Compare(Arguments),
}

/// What the program takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// What to send; --help says more
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

pub(crate) fn run(command: &Command) -> Result<()> {
    let (name, Arguments { arguments }) = match command {
        Command::Exports(arguments) => ("exports", arguments),
        Command::Replay(arguments) => ("replay", arguments),
        Command::Packets(arguments) => ("packets", arguments),
        Command::Compare(arguments) => ("compare", arguments),
    };
    if asks_this_checkout(arguments) {
        workspace::build_tapline()?;
    }
    process::hand_over(Program::new(workspace::build_load()?).arg(name).args(arguments))
}

/// Whether there is an `--ask` that names no program.
fn asks_this_checkout(arguments: &[OsString]) -> bool {
    let is_flag = |argument: &OsStr| argument.as_encoded_bytes().starts_with(b"-");
    let ask = arguments.iter().position(|argument| argument == "--ask");
    ask.is_some_and(|ask| arguments.get(ask + 1).is_none_or(|next| is_flag(next)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_product_is_built_when_no_other_is_asked() {
        let asks = |line: &str| {
            let arguments: Vec<_> = line.split(' ').map(OsString::from).collect();
            asks_this_checkout(&arguments)
        };
        assert!(asks("--ask") && asks("--ask --plain") && !asks("--plain"));
        assert!(!asks("--ask target/release/tapline") && !asks("--ask=target/release/tapline"));
    }
}
