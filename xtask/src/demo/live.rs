//! The live part of the demonstration: the capture is played into a mirrored port, and asked there.
//!
//! Makes two network namespaces, a cable between them (a pair of veth interfaces), and takes them away again at the
//! end, also after a failure. tapline watches the far end through an XDP program; nothing else sees the frames.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::{process, setup, style, workspace};

/// Three minutes are played so many times as fast, and watched for a while longer.
const SPEED: &str = "45";
const WATCHED: &str = "7s";
/// tapline has attached its program after this time, or never will.
const ATTACHED_WITHIN: Duration = Duration::from_secs(20);

const NEAR: &str = "tapline-near";
const FAR: &str = "tapline-far";

const SQL: &str = "\
SELECT protocol, count(*) AS packets, sum(octets) AS octets
FROM packets
GROUP BY protocol, tumble('1 second')
ORDER BY packets DESC
LIMIT 2";

/// Plays the capture and asks what is on the line; says so where that is not allowed.
pub(super) fn run(tapline: &Path, capture: &Path) -> Result<()> {
    println!("{}", style::heading("The same, live"));
    if !setup::is_root() || process::find("ip").is_none() {
        println!(
            "skipped: network namespaces and XDP programs need root and ip(8) (iproute2): sudo cargo xtask demo\n"
        );
        return Ok(());
    }
    let load = workspace::build_load()?;
    println!(
        "The capture is played, {SPEED} times as fast, into the mirrored port of a box of its own. An XDP program in\n\
         the kernel counts its packets by flow; the results come while it runs.\n"
    );
    for line in SQL.lines() {
        println!("    {}", style::literal(line));
    }
    println!();
    let cable = Cable::lay()?;
    let mut watching = cable.far(tapline);
    watching.args(["query", "--interface", FAR, "--mirror", "--for", WATCHED, SQL]);
    let mut watching = Watching(watching.spawn()?);
    if !cable.is_watched(&mut watching)? {
        bail!("tapline did not watch the interface");
    }
    let mut play = cable.near(&load);
    play.arg("replay").arg(capture).args(["--interface", NEAR, "--speed", SPEED]);
    process::run(play.stdout(Stdio::null()).stderr(Stdio::null()))?;
    let status = watching.0.wait()?;
    println!();
    if status.success() { Ok(()) } else { bail!("tapline ended with {status}") }
}

/// A process that does not outlive this value.
struct Watching(Child);

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Two namespaces of the same names as their ends of a cable; this process's number keeps them apart from others.
struct Cable {
    near: String,
    far: String,
}

impl Cable {
    fn lay() -> Result<Self> {
        let name = |end: &str| format!("{end}-{}", std::process::id());
        let cable = Self { near: name(NEAR), far: name(FAR) };
        let (near, far) = (cable.near.as_str(), cable.far.as_str());
        ip(&["netns", "add", near])?;
        ip(&["netns", "add", far])?;
        ip(&["link", "add", NEAR, "netns", near, "type", "veth", "peer", "name", FAR, "netns", far])?;
        for (namespace, end) in [(near, NEAR), (far, FAR)] {
            // Nobody speaks unasked: no addresses, no neighbours.
            ip(&["-n", namespace, "link", "set", end, "addrgenmode", "none", "mtu", "9000"])?;
            ip(&["-n", namespace, "link", "set", end, "up"])?;
        }
        Ok(cable)
    }

    /// A program at the near end.
    fn near(&self, program: &Path) -> Command {
        inside(&self.near, program)
    }

    /// A program at the far end.
    fn far(&self, program: &Path) -> Command {
        inside(&self.far, program)
    }

    /// Waits until an XDP program is attached to the far end; `false` when whoever should do that has ended.
    fn is_watched(&self, watching: &mut Watching) -> Result<bool> {
        let started = Instant::now();
        while started.elapsed() < ATTACHED_WITHIN && watching.0.try_wait()?.is_none() {
            let links = Command::new("ip").args(["-n", &self.far, "-d", "link", "show", FAR]).output()?;
            if String::from_utf8_lossy(&links.stdout).contains("prog/xdp") {
                return Ok(true);
            }
            sleep(Duration::from_millis(50));
        }
        Ok(false)
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        for namespace in [&self.near, &self.far] {
            let _ = Command::new("ip").args(["netns", "delete", namespace]).stderr(Stdio::null()).status();
        }
    }
}

fn inside(namespace: &str, program: &Path) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace]).arg(program);
    command
}

fn ip(arguments: &[&str]) -> Result<()> {
    process::run(Command::new("ip").args(arguments))
}
