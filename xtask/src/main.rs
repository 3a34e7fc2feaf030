//! The project's commands: `cargo xtask setup|demo|test|check|build-ebpf|tidy|bench|chaos|load|conformance|package|vendor-web`.
//!
//! Takes a command line, runs programs and says what they did. Exit code 0 when all is well, 1 when something
//! failed, 2 when the command line is wrong. One command a module.
#![forbid(unsafe_code)]

mod bench;
mod chaos;
mod check;
mod conformance;
mod demo;
mod ebpf;
mod load;
mod package;
mod process;
mod setup;
mod test;
mod tidy;
mod vendor_web;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tapline_programs::style;

/// The project's commands.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Install the programs that a command needs
    Setup(setup::Arguments),
    /// Show what tapline is for, on a capture made from a seed
    Demo(demo::Arguments),
    /// Run all tests
    Test(test::Arguments),
    /// Run all that must pass: format, tidy, clippy, documentation, tests
    Check(check::Arguments),
    /// Build the kernel programs
    BuildEbpf,
    /// Check the rules of the project that no compiler knows
    Tidy,
    /// Measure
    Bench(bench::Options),
    /// Kill, pause and cut off sensors and their aggregator at random, and compare all windows with what was sent
    Chaos(chaos::Arguments),
    /// Send synthetic traffic and say what was sent
    #[command(subcommand)]
    Load(load::Command),
    /// Compare with independent readers of captures and another SQL engine
    Conformance(conformance::Arguments),
    /// Build the package for Debian and its descendants
    Package(package::Arguments),
    /// Make the libraries of the page anew, of the packages of npm that a lock file names
    VendorWeb,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Setup(arguments) => setup::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Test(arguments) => test::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::BuildEbpf => ebpf::run(),
        Command::Tidy => tidy::run(),
        Command::Bench(command) => bench::run(&command),
        Command::Chaos(arguments) => chaos::run(&arguments),
        Command::Load(command) => load::run(&command),
        Command::Conformance(arguments) => conformance::run(&arguments),
        Command::Package(arguments) => package::run(&arguments),
        Command::VendorWeb => vendor_web::run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{} {error:#}", style::error("error:"));
            ExitCode::FAILURE
        }
    }
}
