//! `tapline`: SQL at line rate on live network traffic.

#![forbid(unsafe_code)]

mod arguments;
mod doctor;
mod failure;
mod input;
mod output;
mod progress;
mod query;
mod rules;
mod schema;
mod summary;
mod windows;

use arguments::{Arguments, Command, with_comments};
use clap::{CommandFactory as _, Parser as _};
use failure::Failure;
use std::process::ExitCode;

fn main() -> ExitCode {
    match run(Arguments::parse_from(with_comments(std::env::args_os()))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            failure.exit_code()
        }
    }
}

fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.command {
        Command::Query(arguments) => query::run(&arguments.resolve()?),
        Command::Schema { table } => schema::print(table.as_deref()),
        Command::Doctor { interface } => doctor::print(interface.as_deref()),
        Command::Completions { shell } => {
            let mut command = Arguments::command();
            clap_complete::generate(shell, &mut command, "tapline", &mut std::io::stdout());
            Ok(())
        }
    }
}
