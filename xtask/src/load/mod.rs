//! `cargo xtask load`: puts load on tapline, or on any collector, and knows what it sent.

mod compare;
mod exports;
mod pace;
mod report;
mod sender;
mod sockets;

use anyhow::Result;
use clap::Subcommand;

/// What to send.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Flow exports of synthetic routers, over UDP or into a capture file
    Exports(exports::Arguments),
    /// Compare what was sent with what a query found, both as CSV by pair of autonomous systems
    Compare(compare::Arguments),
}

pub(crate) fn run(command: &Command) -> Result<()> {
    match command {
        Command::Exports(arguments) => exports::run(arguments),
        Command::Compare(arguments) => compare::run(arguments),
    }
}
