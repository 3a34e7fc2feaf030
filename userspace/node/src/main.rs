//! `tapline`: SQL at line rate on live network traffic.

#![forbid(unsafe_code)]
#![deny(clippy::print_stderr, clippy::print_stdout)]

mod access;
mod alerts;
mod allowance;
mod arguments;
mod client;
mod config;
mod descriptors;
mod direction;
mod doctor;
mod failure;
mod flags;
mod fleet;
mod flows;
mod following;
mod forward_plan;
mod forwarding;
mod frame_filter;
mod history;
mod identity;
mod input;
mod limits;
mod local;
mod log;
mod lookups;
mod message;
mod node_plan;
mod outcome;
mod outlets;
mod output;
mod overview;
mod progress;
mod prompt;
mod proof;
mod psql;
mod queries;
mod query;
mod rights;
mod rules;
mod run;
mod running;
mod schema;
mod screen;
mod sensors;
mod signals;
mod standing;
mod starting_set;
mod summary;
mod supervisor;
mod tags;
mod terminal;
mod tier;
mod wanted;
mod windows;

use arguments::{Arguments, Command, with_comments};
use clap::{CommandFactory as _, FromArgMatches as _};
use failure::Failure;
use flags::Given;
use message::say;
use output::Output;
use std::process::ExitCode;

fn main() -> ExitCode {
    let matches = Arguments::command().get_matches_from(with_comments(std::env::args_os()));
    let arguments = Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    match execute(arguments, &Given::of(&matches)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !matches!(failure, Failure::Told) {
                say!("error: {failure}");
            }
            failure.exit_code()
        }
    }
}

fn execute(arguments: Arguments, given: &Given) -> Result<(), Failure> {
    match arguments.command {
        Command::Query(arguments) if arguments.asks_history() => {
            given.check_history(arguments.asks_bucket())?;
            history::ask(&arguments)
        }
        Command::Query(arguments) => {
            let plan = arguments.resolve(given)?;
            if plan.queries.is_empty() { prompt::over_files(plan) } else { query::run(&plan) }
        }
        Command::Shell { node } => prompt::over_node(&node),
        Command::Run(arguments) => run::run(*arguments),
        Command::Queries { command, node } => queries::run(command, &node),
        Command::Sources { node, format } => standing::print_sources(&node, format),
        Command::Sensors { command, node, format } => sensors::run(command, &node, format),
        Command::Ledger { node, format } => standing::print_ledger(&node, format),
        Command::Alerts { command, node, format } => alerts::run(command, &node, format),
        Command::Status { node, format } => standing::print_status(&node, format),
        Command::Watch { names, node, times } => overview::run(&node, &names, times),
        Command::Flows { node, flows } => flows::run(&node, &flows),
        Command::Reload { node } => standing::reload(&node),
        Command::Schema { table } => schema::print(table.as_deref()),
        Command::Doctor { interface } => doctor::print(interface.as_deref()),
        Command::Completions { shell } => {
            let mut script = vec![];
            clap_complete::generate(shell, &mut Arguments::command(), "tapline", &mut script);
            Output::to_stdout_text(&String::from_utf8_lossy(&script))
        }
        Command::Manual { folder } => {
            clap_mangen::generate_to(Arguments::command(), &folder).map_err(|error| {
                Failure::Run(format!("the manual cannot be written to {}: {error}", folder.display()))
            })
        }
    }
}
