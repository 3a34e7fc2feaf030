//! `cargo xtask load`: puts load on tapline, or on any collector, and knows what it sent.
//!
//! Frames are sent by a program of their own, `tapline-load`, which is built when it is asked for.
//!
//! [`sender`] is what other commands call: it takes a plan, a rate and a limit, and gives the truth. The command
//! lines stand around it.

mod ask;
pub(crate) mod collect;
mod compare;
mod exports;
mod frames;
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
    Exports(Box<exports::Arguments>),
    /// Play a capture file out of an interface, with its timing
    #[command(disable_help_flag = true)]
    Replay(frames::Arguments),
    /// Send synthetic flows out of an interface, at the rate of the kernel where it can
    #[command(disable_help_flag = true)]
    Packets(frames::Arguments),
    /// Compare what was sent with what a query found, both as CSV by pair of autonomous systems
    Compare(compare::Arguments),
}

pub(crate) fn run(command: &Command) -> Result<()> {
    match command {
        Command::Exports(arguments) => exports::run(arguments),
        Command::Replay(arguments) => frames::run("replay", arguments),
        Command::Packets(arguments) => frames::run("packets", arguments),
        Command::Compare(arguments) => compare::run(arguments),
    }
}
