//! `cargo xtask load`: puts load on tapline, or on any collector, and knows what it sent.
//!
//! [`sender`] is what other commands call: it takes a plan, a rate and a limit, and gives the truth. The command
//! lines stand around it.

mod ask;
pub(crate) mod collect;
mod compare;
mod exports;
pub(crate) mod pace;
mod report;
pub(crate) mod sender;
pub(crate) mod socket;
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
