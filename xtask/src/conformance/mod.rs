//! `cargo xtask conformance`: tapline against independent readers and another engine.
//!
//! Takes nothing and runs what every check runs: the test target `conformance` over the folder of real captures, and
//! some hundred queries beside `DuckDB`. Where something is not there, it says so and succeeds: nothing was claimed,
//! nothing was tested. With `sql`, asks as many queries as are wanted; with folders, compares whatever is in them.

mod folder;
mod sql;

use std::path::PathBuf;

use anyhow::Result;
use clap::Subcommand;

use crate::setup::{self, Purpose};
use crate::{test, workspace};

/// Compare with independent readers of captures and another SQL engine.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    /// Captures and exports to compare with tshark and capinfos, recursively
    #[arg(value_name = "FOLDER")]
    folders: Vec<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Answers to queries from a seed, beside `DuckDB`
    Sql(sql::Arguments),
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    match &arguments.command {
        Some(Command::Sql(arguments)) => sql::run(arguments),
        None if !arguments.folders.is_empty() => folder::run(&arguments.folders),
        None => {
            captures()?;
            sql::run(&sql::CHECKED)
        }
    }
}

/// The tests over real captures.
fn captures() -> Result<()> {
    let captures = workspace::captures();
    if !captures.is_dir() {
        println!("skipped: captures not found at {} (TAPLINE_CAPTURES sets the folder)", captures.display());
        return Ok(());
    }
    if !workspace::root().join("tests/Cargo.toml").is_file() {
        println!("skipped: the package tapline-tests is not there");
        return Ok(());
    }
    setup::try_for(Purpose::Test);
    let mut command = test::cargo_test()?;
    command.args(["--workspace", "--test", "conformance"]);
    test::run_and_report(&mut command, test::skips_fail(false))
}
