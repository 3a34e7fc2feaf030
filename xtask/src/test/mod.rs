//! `cargo xtask test`: all tests of the workspace, in the profile of the product.
//!
//! Takes a part of tests' names or nothing, shows its output as it comes and ends with one line of totals.
//! A test that could not run prints a line that begins with `skipped:`; these lines are repeated at the end
//! and are a failure where the environment says `CI` or the caller says `--no-skips`.

mod report;

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::setup::{self, Purpose};
use crate::{ebpf, process, style, workspace};
use report::Report;

/// Run all tests.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Fail when a test was skipped, as it always is where the environment says `CI`
    #[arg(long)]
    no_skips: bool,
    /// Run only tests whose name contains this
    filter: Option<String>,
}

impl Arguments {
    /// All tests.
    pub(crate) fn all(no_skips: bool) -> Self {
        Self { no_skips, filter: None }
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    setup::try_for(Purpose::Test);
    let mut command = cargo_test()?;
    command.args(["--workspace", "--no-fail-fast"]).args(workspace::ALL_WITH_KAFKA);
    command.args(&arguments.filter);
    run_and_report(&mut command, skips_fail(arguments.no_skips))
}

/// `cargo test` in the product's profile, with a fresh product and a fresh sender for the tests that drive them.
pub(crate) fn cargo_test() -> Result<Command> {
    ebpf::prepare();
    let tapline = workspace::build_whole_tapline()?;
    workspace::build_load()?;
    let mut command = process::cargo();
    command.args(["test", "--release"]).env("TAPLINE_BIN", tapline);
    Ok(command)
}

/// Whether a skipped test is a failure.
pub(crate) fn skips_fail(asked: bool) -> bool {
    asked || workspace::is_in_ci()
}

/// Runs `cargo test` with the arguments of the command and reports.
pub(crate) fn run_and_report(command: &mut Command, skips_fail: bool) -> Result<()> {
    command.args(["--", "--show-output"]).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().with_context(|| process::does_not_start(command))?;
    let output = child.stdout.take().expect("invariant: standard output is a pipe");
    let report = show(BufReader::new(output))?;
    let status = child.wait()?;
    report.reasons().for_each(|line| eprintln!("{} {line}", style::warning("warning:")));
    println!("\n{} passed, {} failed{}", report.passed, report.failed, report.remarks());
    process::succeeded(command, status)?;
    if report.failed > 0 {
        bail!("{} tests failed", report.failed);
    }
    if skips_fail && report.reasons().next().is_some() {
        bail!("tests were skipped, which is a failure here; `cargo xtask setup --for test` may help");
    }
    Ok(())
}

/// Shows what matters of the output while it comes; gives what it said in all.
fn show(mut output: impl BufRead) -> Result<Report> {
    let mut report = Report::default();
    let mut line = Vec::new();
    let mut stdout = std::io::stdout();
    while output.read_until(b'\n', &mut line)? > 0 {
        if report.take(String::from_utf8_lossy(&line).trim_end()) {
            stdout.write_all(&line)?;
        }
        line.clear();
    }
    stdout.flush()?;
    Ok(report)
}
