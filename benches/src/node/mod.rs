//! `cargo xtask bench node`: a day in the life of a node, compressed.
//!
//! Takes a time and two rates, lays a cable between two namespaces, and lets exporters and frames come to a node at its
//! far end, all the time. Meanwhile queries come and go, exporters begin anew and claim times of no use, the interface is
//! taken away and comes back, the node is told to read its files anew, is stopped and started, and is killed and started.
//! Every window that it calls final is compared with what was sent; what it missed must be told.

mod life;
mod windows;

use std::path::PathBuf;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use life::Life;
use tapline_programs::cable::{Cable, NEAR};
use tapline_programs::usage::{self, Running};
use tapline_programs::{folders, style};
use tapline_trafficgen::csv::Csv;
use windows::Windows;

use super::offline;

const MTU_OCTETS: u32 = 1500;
const EXPORTERS: u32 = 20;
/// How long the node is not there, and the interface.
const AWAY: Duration = Duration::from_secs(3);
/// What was sent last is in windows that have closed after so long: flows that are made of packets come late.
const CLOSED_WITHIN: Duration = Duration::from_secs(30);

/// A day in the life of a node, compressed.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Seconds that it takes; windows close within some thirty, and there are five parts
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u64).range(180..))]
    seconds: u64,
    /// Records of flow exports in a second
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(1000..))]
    records: u64,
    /// Packets in a second
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(1000..))]
    packets: u64,
    /// Measure this tapline instead of building one
    #[arg(long, value_name = "FILE")]
    tapline: Option<PathBuf>,
}

/// What everything is given.
struct Setting {
    tapline: PathBuf,
    load: PathBuf,
    /// Of the node.
    state: PathBuf,
    cable: Cable,
}

/// What there was to see.
#[derive(Default)]
struct Sent {
    records: u64,
    packets: u64,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let folder = folders::scratch("bench/node")?;
    folders::clear(&folder)?;
    let setting = Setting {
        tapline: offline::tapline(arguments.tapline.as_deref())?,
        load: folders::built("tapline-load")?,
        state: folder.join("state"),
        cable: Cable::lay(MTU_OCTETS)?,
    };
    setting.cable.light()?;
    let (sent, lives) = live(arguments, &setting)?;
    let windows = Windows::of(lives.iter().flat_map(|life| life.rows.iter()))?;
    print!("{}", windows.markdown(&sent, &lives, arguments.records));
    windows.check(arguments.records)?;
    lives.iter().try_for_each(Life::check)
}

/// Lets everything happen.
fn live(arguments: &Arguments, setting: &Setting) -> Result<(Sent, Vec<Life>)> {
    let whole = Duration::from_secs(arguments.seconds);
    let part = |hundredths: u32| whole * hundredths / 100;
    let mut lives = vec![];
    say("The node starts");
    let node = Life::start(setting, true)?;
    let exports = send_exports(arguments, setting, part(100))?;
    let frames = send_frames(arguments, setting, part(28))?;
    let started = Instant::now();
    let until = |node: &mut Life, hundredths| node.live_until(setting, started + part(hundredths));
    let mut node = node;
    until(&mut node, 30)?;
    say("The interface is taken away, and comes back");
    let mut sent = Sent { packets: packets_of(frames)?, ..Sent::default() };
    setting.cable.cut()?;
    sleep(AWAY);
    setting.cable.mend(MTU_OCTETS)?;
    sleep(AWAY);
    let frames = send_frames(arguments, setting, part(65))?;
    until(&mut node, 45)?;
    say("It reads its files anew");
    node.signal("HUP")?;
    until(&mut node, 60)?;
    say("It is stopped, and starts again");
    lives.push(node.end("TERM")?);
    sleep(AWAY);
    let mut node = Life::start(setting, false)?;
    until(&mut node, 80)?;
    say("It is killed, and starts again");
    lives.push(node.end("KILL")?);
    sleep(AWAY);
    let mut node = Life::start(setting, false)?;
    until(&mut node, 100)?;
    sent.packets += packets_of(frames)?;
    sent.records = records_of(exports)?;
    node.live_until(setting, Instant::now() + CLOSED_WITHIN)?;
    lives.push(node.end("TERM")?);
    Ok((sent, lives))
}

fn say(what: &str) {
    eprintln!("{} {what}", style::step("Now"));
}

fn send_exports(arguments: &Arguments, setting: &Setting, time: Duration) -> Result<Running> {
    let mut command = setting.cable.far(&setting.load);
    command.args(["exports", "--protocol", "v9", "--to", life::LISTENS]);
    command.args(["--rate", &arguments.records.to_string(), "--seconds", &time.as_secs().to_string()]);
    command.args(["--exporters", &EXPORTERS.to_string(), "--nonsense", "10", "--restart-every", "17000"]);
    usage::start(&mut command)
}

fn send_frames(arguments: &Arguments, setting: &Setting, time: Duration) -> Result<Running> {
    let mut command = setting.cable.near(&setting.load);
    command.args(["packets", "--interface", NEAR, "--rate", &arguments.packets.to_string()]);
    command.args(["--flows", "4096", "--seconds", &time.as_secs().to_string()]);
    usage::start(&mut command)
}

/// What a sender of frames says that it sent.
fn packets_of(sender: Running) -> Result<u64> {
    told(sender, "packets")
}

/// What a sender of exports says that it sent.
fn records_of(sender: Running) -> Result<u64> {
    told(sender, "records")
}

fn told(sender: Running, column: &str) -> Result<u64> {
    let measured = sender.finish()?;
    ensure!(measured.output.status.success(), "a sender failed: {}", measured.said());
    let table = String::from_utf8_lossy(&measured.output.stdout);
    Csv::parse_loosely(&table)?.sum(column).with_context(|| measured.said())
}

/// What a command of tapline at the far end says.
fn ask(setting: &Setting, arguments: &[&str]) -> Result<String> {
    let mut command: Command = setting.cable.far(&setting.tapline);
    let measured = usage::start(command.args(arguments))?.finish()?;
    ensure!(measured.output.status.success(), "tapline {}: {}", arguments.join(" "), measured.said());
    Ok(String::from_utf8_lossy(&measured.output.stdout).into_owned())
}
