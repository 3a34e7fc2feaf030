//! `cargo xtask demo sensors`: one exact picture from many boxes, whatever dies.
//!
//! Three sensors and an aggregator, each in a network of its own, around a switch; routers send to each sensor, and know
//! what they sent. A query is added at the aggregator; its windows are shown beside the truth. Then a sensor is killed and
//! started again, and the aggregator, too. It ends well only if each window is what it must be.

mod story;
mod verdict;

use anyhow::{Result, bail, ensure};
use tapline_programs::interrupts::Interrupts;
use tapline_programs::{namespace, tools};

use super::{build, built, grouped};
use crate::style;
use story::{RECORDS, SQL, Story};
use verdict::Verdict;

/// Three sensors and an aggregator, of which two are killed.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Take the programs as they were built before
    #[arg(long)]
    no_build: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    if let Some(missing) = namespace::missing() {
        bail!("{missing}: sudo cargo xtask demo sensors");
    }
    if let Some(advice) = tools::advice("openssl") {
        bail!("sensors speak with their aggregator over TLS, and {advice}");
    }
    let programs = if arguments.no_build { built()? } else { build()? };
    let interrupts = Interrupts::listen()?;
    println!("{}", style::heading("Three sensors and an aggregator"));
    println!(
        "Each is in a network of its own, around a switch, as boxes of their own would be. A router sends flow exports to\n\
         each sensor, {} records/s, and numbers them. One query is asked, at the aggregator:\n",
        grouped(RECORDS)
    );
    SQL.lines().for_each(|line| println!("    {}", style::literal(line)));
    println!();
    let mut story = Story::begin(&programs.tapline, &interrupts)?;
    println!(
        "It ran on all three sensors after {:.1} s. What was sent to them, and what the aggregator gives, window by window:\n",
        story.ran_after.as_secs_f64()
    );
    story.tell()?;
    conclude(&Verdict::of(&story))
}

/// Says what happened; an error unless all is as it must be.
fn conclude(verdict: &Verdict) -> Result<()> {
    println!("\n{}", style::heading("What came of it"));
    print!("{verdict}");
    let wrong = verdict.wrong.join("; ");
    ensure!(wrong.is_empty(), "not as it must be: {wrong}");
    Ok(())
}
