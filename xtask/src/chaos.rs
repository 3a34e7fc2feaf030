//! `cargo xtask chaos`: three sensors and an aggregator are killed, paused and cut off at random.
//!
//! Takes a time and a seed; in the end, compares each window with what was sent. What happens stands on standard error,
//! what came of it on standard output.

use std::time::Duration;

use anyhow::{Result, ensure};
use tapline_fleet::chaos;
use tapline_programs::folders;
use tapline_programs::interrupts::Interrupts;

use crate::{style, workspace};

/// Kill, pause and cut off sensors and their aggregator at random, and compare all windows with what was sent.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// End after so many minutes
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..))]
    minutes: u64,
    /// End when so many processes were killed
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
    kills: u64,
    /// The seed; another one lets other things happen
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Take the program as it was built before
    #[arg(long)]
    no_build: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let tapline = if arguments.no_build { folders::built("tapline")? } else { workspace::build_tapline()? };
    ensure!(tapline.is_file(), "{} is not built yet; leave --no-build out", tapline.display());
    let interrupts = Interrupts::listen()?;
    let options = chaos::Options {
        tapline: &tapline,
        seed: arguments.seed,
        time: Duration::from_secs(60 * arguments.minutes),
        kills_max: arguments.kills,
        check: &|| interrupts.check(),
    };
    let report = chaos::run(&options, &mut |what| eprintln!("{} {what}", style::step("Chaos")))?;
    println!("{report}");
    Ok(())
}
