//! `cargo xtask check`: all that must pass before a change lands.
//!
//! Takes nothing, runs every step even when one before it failed, and ends with a table of what they took.
//! Clippy, documentation and tests share one profile, so that dependencies are compiled once for each kind of
//! artefact: clippy and rustdoc use the same metadata, the tests the demonstration's objects.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::setup::{self, Purpose};
use crate::{ebpf, process, style, test, tidy, workspace};

/// Run all that must pass.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Fail when a test was skipped, as it always is where the environment says `CI`
    #[arg(long)]
    no_skips: bool,
}

/// A step: its name and what it does.
type Step<'a> = (&'static str, &'a dyn Fn() -> Result<()>);

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    // What is compiled from here on takes some of that.
    setup::try_for(Purpose::Test);
    let ebpf = || {
        ebpf::prepare();
        Ok(())
    };
    let test = || test::run(&test::Arguments::all(arguments.no_skips));
    let steps: [Step; 7] = [
        ("format", &format),
        ("tidy", &tidy::run),
        ("deny", &deny),
        ("ebpf", &ebpf),
        ("clippy", &clippy),
        ("doc", &doc),
        ("test", &test),
    ];
    let outcomes: Vec<_> = steps.into_iter().map(timed).collect();
    eprintln!();
    for (name, passed, took) in &outcomes {
        let outcome = if *passed { "passed".to_owned() } else { style::error("FAILED") };
        eprintln!("{name:8} {outcome} {:>8.1} s", took.as_secs_f64());
    }
    let failed: Vec<_> = outcomes.iter().filter(|(_, passed, _)| !passed).map(|(name, ..)| *name).collect();
    if failed.is_empty() { Ok(()) } else { bail!("check failed: {}", failed.join(", ")) }
}

fn timed((name, step): Step) -> (&'static str, bool, Duration) {
    eprintln!("\n{}", style::step(&format!("== {name}")));
    let start = Instant::now();
    let outcome = step();
    if let Err(error) = &outcome {
        eprintln!("{} {error:#}", style::error("error:"));
    }
    (name, outcome.is_ok(), start.elapsed())
}

fn format() -> Result<()> {
    process::run(process::cargo().args(["fmt", "--all", "--check"]))
}

/// Licences, sources and bans of dependencies; what needs the network is left out.
fn deny() -> Result<()> {
    if process::find("cargo-deny").is_none() {
        eprintln!("skipped: cargo-deny not found (`cargo install cargo-deny` installs it)");
        return Ok(());
    }
    process::run(process::cargo().args(["deny", "check", "bans", "licenses", "sources"]))
}

fn clippy() -> Result<()> {
    let mut command = process::cargo();
    command.args(["clippy", "--release", "--workspace", "--all-targets"]).args(workspace::ALL_WITH_KAFKA);
    process::run(command.args(["--", "-D", "warnings"]))
}

fn doc() -> Result<()> {
    let mut command = process::cargo();
    command.args(["doc", "--release", "--workspace", "--no-deps"]).args(workspace::ALL_WITH_KAFKA);
    process::run(command.env("RUSTDOCFLAGS", "-D warnings"))
}
