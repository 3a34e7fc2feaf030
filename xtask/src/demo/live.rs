//! The live part of the demonstration: the capture is played into a mirrored port, and asked there.
//!
//! tapline watches the far end of a cable through an XDP program; nothing else sees the frames.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Result, bail};
use tapline_programs::cable::{Cable, FAR, NEAR};
use tapline_programs::interrupts::Interrupts;

use super::beside::Beside;
use super::{Programs, has_networks};
use crate::{process, style};

/// Three minutes are played so many times as fast, and watched for a while longer.
const SPEED: &str = "45";
const WATCHED: &str = "7s";
/// The capture has frames as long as that.
pub(super) const MTU_OCTETS: u32 = 9000;

const SQL: &str = "\
SELECT protocol, count(*) AS packets, sum(octets) AS octets
FROM packets
GROUP BY protocol, tumble('1 second')
ORDER BY packets DESC
LIMIT 2";

/// Plays the capture and asks what is on the line; says so where that is not allowed.
pub(super) fn run(programs: &Programs, capture: &Path, interrupts: &Interrupts) -> Result<()> {
    println!("{}", style::heading("The same, live"));
    if !has_networks() {
        println!(
            "skipped: network namespaces and XDP programs need root and ip(8) (iproute2): sudo cargo xtask demo\n"
        );
        return Ok(());
    }
    println!(
        "The capture is played, {SPEED} times as fast, into the mirrored port of a box of its own. An XDP program in\n\
         the kernel counts its packets by flow; the results come while it runs.\n"
    );
    for line in SQL.lines() {
        println!("    {}", style::literal(line));
    }
    println!();
    let cable = Cable::lay(MTU_OCTETS)?;
    let mut watching = cable.far(&programs.tapline);
    watching.args(["query", "--interface", FAR, "--mirror", "--for", WATCHED, SQL]);
    let mut watching = Beside::start(&mut watching)?;
    if !cable.is_watched(|| interrupts.came() || !matches!(watching.ended(), Ok(None)))? {
        interrupts.check()?;
        bail!("tapline did not watch the interface");
    }
    let mut play = cable.near(&programs.load);
    play.arg("replay").arg(capture).args(["--interface", NEAR, "--speed", SPEED]);
    process::run(play.stdout(Stdio::null()).stderr(Stdio::null()))?;
    let status = watching.wait(interrupts)?;
    println!();
    if status.success() { Ok(()) } else { bail!("tapline ended with {status}") }
}
