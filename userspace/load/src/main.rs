//! `cargo xtask load replay` and `cargo xtask load packets`: frames on an interface, and the truth about them.
//!
//! A program of its own, as it needs what reads captures and sends frames, which the other commands do not wait
//! for. What was sent stands on standard output as CSV, everything else on standard error.

#![forbid(unsafe_code)]

mod outlet;
mod pace;
mod packets;
mod replay;
mod sender;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Puts frames on an interface, and says which.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask load", max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Play a capture file out of an interface, with its timing
    Replay(replay::Arguments),
    /// Send synthetic flows out of an interface, at the rate of the kernel where it can
    Packets(packets::Arguments),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Replay(arguments) => replay::run(&arguments),
        Command::Packets(arguments) => packets::run(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
