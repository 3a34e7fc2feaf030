//! `cargo xtask load`: puts load on tapline, or on any collector, and knows what it sent.
//!
//! A program of its own, as it needs what reads captures and sends frames, which the other commands do not wait
//! for. What was sent stands on standard output as CSV, everything else on standard error.

#![forbid(unsafe_code)]

mod outlet;
mod packets;
mod replay;
mod sender;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tapline_load::exports::{self, compare};
use tapline_programs::style;

/// Sends synthetic traffic and says what was sent.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask load", max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Flow exports of synthetic routers, over UDP or into a capture file
    Exports(Box<exports::Arguments>),
    /// Play a capture file out of an interface, with its timing
    Replay(replay::Arguments),
    /// Send synthetic flows out of an interface, at the rate of the kernel where it can
    Packets(packets::Arguments),
    /// Compare what was sent with what a query found, both as CSV by pair of autonomous systems
    Compare(compare::Arguments),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Exports(arguments) => exports::run(&arguments),
        Command::Replay(arguments) => replay::run(&arguments),
        Command::Packets(arguments) => packets::run(&arguments),
        Command::Compare(arguments) => compare::run(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{} {error:#}", style::error("error:"));
            ExitCode::FAILURE
        }
    }
}
