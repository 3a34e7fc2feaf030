//! The end of the demonstration on a terminal: a node, and the address of its page, until Ctrl-C.
//!
//! Takes the programs and the capture, lays a cable from a network of its own to an interface of this machine, and
//! starts a node that reads it, so that a browser reaches its page. The capture is played into the cable over and over,
//! and two routers send flow exports, some of which get lost on purpose. Whatever happens, nothing of it is left.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use tapline_programs::cable::{Lead, NEAR};
use tapline_programs::interrupts::Interrupts;
use tapline_trafficgen::scenario::Truth;
use tempfile::TempDir;

use super::beside::Beside;
use super::live::MTU_OCTETS;
use super::{Programs, has_networks, typed};
use crate::{process, style};

/// The interface that the node reads.
const OFFICE: &str = "tapline-office";
/// Three minutes take one: each window of a minute has the whole port sweep, whenever it begins.
const SPEED: &str = "3";
/// What the routers do: of their datagrams, three of a hundred do not arrive.
const ROUTERS: [&str; 11] =
    ["exports", "--protocol", "v9", "--exporters", "2", "--rate", "200", "--lose", "3", "--plain", "--to"];
/// Longer than anybody looks.
const ROUTERS_SECONDS: &str = "31536000";
/// Exporters here tell of flows as they end.
const LATENESS_MS: &str = "5000";
/// Where the API and the listener usually are; where those are taken, the next ports.
const API_PORT: u16 = 8790;
const EXPORTS_PORT: u16 = 2055;
const PORTS: u16 = 100;
/// The page is there after this time, or never will be.
const ANSWERS_WITHIN: Duration = Duration::from_secs(20);
const PATIENCE: Duration = Duration::from_secs(2);
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// Runs a node on what goes on, until somebody ends it; that is no failure, whatever it interrupts.
pub(super) fn run(programs: &Programs, capture: &Path, truth: &Truth, interrupts: &Interrupts) -> Result<()> {
    println!("{}", style::heading("A node, and its page"));
    let outcome = run_until(programs, capture, truth, interrupts);
    if !interrupts.came() {
        return outcome;
    }
    println!("\nEnded; nothing of it is left.");
    Ok(())
}

fn run_until(programs: &Programs, capture: &Path, truth: &Truth, interrupts: &Interrupts) -> Result<()> {
    let scene = Scene::set()?;
    let mut node = scene.start("node", &mut scene.node(&programs.tapline))?;
    let started = Instant::now();
    while !answers(scene.api).unwrap_or(false) {
        interrupts.check()?;
        node.check()?;
        ensure!(started.elapsed() < ANSWERS_WITHIN, "the node does not answer at http://{}", scene.api);
        sleep(BETWEEN_LOOKS);
    }
    let mut routers = scene.start("routers", &mut scene.routers(&programs.load))?;
    let mut player = scene.play(&programs.load, capture)?;
    scene.introduce(truth, &typed(&programs.tapline));
    while !interrupts.came() {
        node.check()?;
        routers.check()?;
        if let Some(playing) = &mut player
            && playing.has_ended_well()?
        {
            player = scene.play(&programs.load, capture)?;
        }
        sleep(BETWEEN_LOOKS);
    }
    Ok(())
}

/// What the node and its traffic need.
struct Scene {
    /// State, history, and what the programs say.
    folder: TempDir,
    /// Where this process may lay one.
    lead: Option<Lead>,
    api: SocketAddr,
    exports: SocketAddr,
}

impl Scene {
    fn set() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("tapline-demo-").tempdir();
        Ok(Self {
            folder: folder.context("there is no temporary folder")?,
            lead: has_networks().then(|| Lead::lay(OFFICE, MTU_OCTETS)).transpose()?,
            api: free(API_PORT, |address| TcpListener::bind(address).is_ok())?,
            exports: free(EXPORTS_PORT, |address| UdpSocket::bind(address).is_ok())?,
        })
    }

    /// Starts a program whose output goes to a file of this name.
    fn start(&self, name: &str, command: &mut Command) -> Result<Part> {
        let log = self.folder.path().join(format!("{name}.log"));
        let file = File::create(&log).with_context(|| format!("{} cannot be written", log.display()))?;
        let program = Beside::start(command.stdout(Stdio::null()).stderr(file))?;
        Ok(Part { program, line: process::line(command), log })
    }

    fn node(&self, tapline: &Path) -> Command {
        let mut command = Command::new(tapline);
        command.args(["run", "--listen", &format!("udp://{}", self.exports), "--api", &self.api.to_string()]);
        command.arg("--state").arg(self.folder.path().join("state"));
        command.arg("--history").arg(self.folder.path().join("history"));
        command.args(["--allowed-lateness-ms", LATENESS_MS]);
        if self.lead.is_some() {
            command.args(["--interface", OFFICE, "--mirror"]);
        }
        command
    }

    fn routers(&self, load: &Path) -> Command {
        let mut command = Command::new(load);
        command.args(ROUTERS).arg(self.exports.to_string()).args(["--seconds", ROUTERS_SECONDS]);
        command
    }

    /// Plays the capture once, where there is a cable.
    fn play(&self, load: &Path, capture: &Path) -> Result<Option<Part>> {
        let Some(lead) = &self.lead else { return Ok(None) };
        let mut command = lead.near(load);
        command.arg("replay").arg(capture).args(["--interface", NEAR, "--speed", SPEED]);
        self.start("office", &mut command).map(Some)
    }

    /// Says where the page is, and what there is to find.
    fn introduce(&self, truth: &Truth, tapline: &str) {
        let page = format!("http://{}/", self.api);
        let (exports, port) = (self.exports, self.api.port());
        if self.lead.is_some() {
            println!(
                "The three minutes at the office go on, over and over and three times as fast, on the interface\n\
                 {OFFICE}; two routers send flow exports to udp://{exports}. A node reads both."
            );
        } else {
            println!(
                "Two routers send flow exports to udp://{exports}, and a node reads them. The office is not to be seen:\n\
                 an interface for it needs root and ip(8) (iproute2): sudo cargo xtask demo"
            );
        }
        println!("\n    {}\n\nThree things to try there:\n", style::literal(&page));
        for (number, (place, what)) in self.things(truth).iter().enumerate() {
            println!("{}. {what}\n    {}", number + 1, style::literal(&format!("{page}#/{place}")));
        }
        println!(
            "\nIn a shell: {}. From another machine: {}, then the same address there.\n\
             Ctrl-C ends all of it and takes it away.",
            style::literal(&format!("{tapline} status --node http://{}", self.api)),
            style::literal(&format!("ssh -L {port}:127.0.0.1:{port} THIS-MACHINE"))
        );
    }

    /// Places of the page, and what is to be found there.
    fn things(&self, truth: &Truth) -> [(&'static str, String); 3] {
        let (talker, sweep) = (truth.heavy_talker.source, truth.sweep.source);
        let lost = "What was lost? Of a hundred datagrams of each router three never arrive, and their numbers tell.";
        if self.lead.is_none() {
            return [
                ("query/top_talkers", "Who sends most? So far within this minute, every ten seconds.".into()),
                ("ask", "Ask something of your own: pick a question, run it, and keep it.".into()),
                ("account", lost.into()),
            ];
        }
        [
            (
                "query/top_talkers",
                format!("Who takes the line? Within a minute, {talker} is among the first, by its backup."),
            ),
            (
                "query/port_sweep",
                format!(
                    "Who knocks at hundreds of doors? {sweep}, within two minutes, and in each minute from then on.\n   \
                     \"Alert me\" there, and the first screen says when it does so again."
                ),
            ),
            ("account", lost.into()),
        ]
    }
}

/// A program of the scene, and where it says what is wrong.
struct Part {
    program: Beside,
    line: String,
    log: PathBuf,
}

impl Part {
    /// An error when it has ended.
    fn check(&mut self) -> Result<()> {
        let Some(status) = self.program.ended()? else { return Ok(()) };
        bail!("`{}` ended with {status}; it said: {}", self.line, self.said())
    }

    /// Whether it has ended, and had nothing to complain about.
    fn has_ended_well(&mut self) -> Result<bool> {
        let has_ended_well = self.program.ended()?.is_some_and(|status| status.success());
        if has_ended_well { Ok(true) } else { self.check().map(|()| false) }
    }

    fn said(&self) -> String {
        match fs::read_to_string(&self.log).unwrap_or_default().trim() {
            "" => "nothing".to_owned(),
            said => said.to_owned(),
        }
    }
}

/// An address of this machine alone whose port is this one, or one of the next, and nobody's.
fn free(port: u16, is_free: impl Fn(SocketAddr) -> bool) -> Result<SocketAddr> {
    let mut addresses = (port..port + PORTS).map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let free = addresses.find(|address| is_free(*address));
    free.with_context(|| format!("no port from {port} to {} is free", port + PORTS - 1))
}

/// Whether the page is there.
fn answers(api: SocketAddr) -> io::Result<bool> {
    const RIGHT: &[u8; 12] = b"HTTP/1.1 200";
    let mut stream = TcpStream::connect_timeout(&api, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET / HTTP/1.1\r\nHost: {api}\r\nConnection: close\r\n\r\n")?;
    let mut head = [0; RIGHT.len()];
    stream.read_exact(&mut head)?;
    Ok(head == *RIGHT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_taken_is_left_to_others() {
        let is_free = |address: SocketAddr| address.port() >= 1003;
        assert_eq!(free(1000, is_free).expect("one is free").port(), 1003);
        let error = free(1000, |_| false).expect_err("none is free");
        assert_eq!(error.to_string(), "no port from 1000 to 1099 is free");
    }

    #[test]
    fn a_program_that_ends_is_told_with_what_it_said() {
        let scene = Scene {
            folder: tempfile::tempdir().expect("a temporary folder"),
            lead: None,
            api: SocketAddr::from((Ipv4Addr::LOCALHOST, 1)),
            exports: SocketAddr::from((Ipv4Addr::LOCALHOST, 1)),
        };
        let started = scene.start("part", Command::new("sh").args(["-c", "echo why >&2; exit 3"]));
        let mut part = started.expect("it starts");
        let begun = Instant::now();
        let error = loop {
            match part.has_ended_well() {
                Err(error) => break error.to_string(),
                Ok(has_ended) => assert!(!has_ended && begun.elapsed() < ANSWERS_WITHIN),
            }
        };
        assert!(error.ends_with("ended with exit status: 3; it said: why"), "{error}");
    }
}
