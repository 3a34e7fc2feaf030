//! `cargo xtask demo`: what tapline is for, in a minute.
//!
//! Takes a seed, builds the product, makes a capture of three minutes at a branch office, and asks three
//! questions about it; then plays it into a mirrored port and asks there. The answers are tapline's own output; at
//! the end stands what was hidden in the capture. On a terminal, a node reads the same office then, until Ctrl-C.
//! `demo sensors` shows several boxes instead.

use std::fs::{self, File};
use std::io::{BufWriter, IsTerminal as _, stdin, stdout};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tapline_programs::folders;
use tapline_programs::interrupts::Interrupts;
use tapline_trafficgen::pcap::PcapFormat;
use tapline_trafficgen::scenario::{SNAP_LENGTH_OCTETS, Scenario, Truth, branch_office};

use crate::{ebpf, process, setup, style, workspace};

mod beside;
mod live;
mod node;
mod sensors;

/// Show what tapline is for, on a capture made from a seed.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    /// The seed; another one makes another day at the office
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// End with a node and its page, until Ctrl-C, also where nobody is at a terminal
    #[arg(long, conflicts_with = "no_node")]
    node: bool,
    /// End without a node, also on a terminal
    #[arg(long)]
    no_node: bool,
    /// Take the programs as they were built before
    #[arg(long)]
    no_build: bool,
    #[command(subcommand)]
    other: Option<Other>,
}

/// What else can be shown.
#[derive(Debug, clap::Subcommand)]
enum Other {
    /// Three sensors and an aggregator in networks of their own, of which two are killed; takes a minute and a half
    Sensors(sensors::Arguments),
}

/// What the demonstration shows, and what it shows it on.
struct Programs {
    tapline: PathBuf,
    load: PathBuf,
}

/// A question that one may ask of traffic.
struct Question {
    title: &'static str,
    purpose: &'static str,
    sql: &'static str,
}

const QUESTIONS: [Question; 3] = [
    Question {
        title: "Protocol mix",
        purpose: "What is on the line, minute by minute? 6 is TCP, 17 UDP, 1 ICMP, 58 ICMPv6; ARP has no protocol.",
        sql: "\
SELECT protocol, count(*) AS packets, sum(octets) AS octets
FROM packets
GROUP BY protocol, tumble('60 seconds')
ORDER BY packets DESC",
    },
    Question {
        title: "Port sweep",
        purpose: "Who knocks at hundreds of doors? The sweep is 40 kB among 300 MB: no chart of octets shows it.",
        sql: "\
SELECT src_ip, count(*) AS probes
FROM (SELECT src_ip, dst_ip
      FROM flows
      WHERE packets = 1
      GROUP BY src_ip, dst_ip, tumble('60 seconds'))
GROUP BY src_ip
HAVING count(*) >= 500",
    },
    Question {
        title: "Top talkers",
        purpose: "Who takes the line? The two largest senders of 40 seconds, every 20 seconds.",
        sql: "\
SELECT src_ip, sum(octets) AS octets
FROM packets
WHERE src_ip IS NOT NULL
GROUP BY src_ip, hop('20 seconds', '40 seconds')
ORDER BY octets DESC
LIMIT 2",
    },
];

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if let Some(Other::Sensors(arguments)) = &arguments.other {
        return sensors::run(arguments);
    }
    let programs = if arguments.no_build { built()? } else { build()? };
    let scenario = branch_office(arguments.seed);
    let capture = write_capture(&scenario, arguments.seed)?;
    introduce(&scenario.truth, &capture);
    for question in &QUESTIONS {
        ask(question, &programs.tapline, &capture)?;
    }
    let interrupts = Interrupts::listen()?;
    live::run(&programs, &capture, &interrupts)?;
    interrupts.check()?;
    conclude(&scenario.truth, &programs.tapline, &capture);
    if arguments.ends_with_node() {
        println!();
        node::run(&programs, &capture, &scenario.truth, &interrupts)?;
    }
    Ok(())
}

impl Arguments {
    /// Whether somebody is there to look at a page, or wants it anyway.
    fn ends_with_node(&self) -> bool {
        let is_watched = stdin().is_terminal() && stdout().is_terminal() && !workspace::is_in_ci();
        self.node || (is_watched && !self.no_node)
    }
}

/// Builds the product, and what sends traffic; cargo shows its own progress.
fn build() -> Result<Programs> {
    if !folders::built("tapline")?.is_file() {
        eprintln!(
            "{} tapline. The first build compiles the SQL engine DataFusion, once: \
             15 to 20 minutes on two cores. Tests and later runs use the same build.",
            style::step("Building")
        );
    }
    ebpf::prepare();
    Ok(Programs { tapline: workspace::build_tapline()?, load: workspace::build_load()? })
}

/// The programs as they are.
fn built() -> Result<Programs> {
    let programs = Programs { tapline: folders::built("tapline")?, load: folders::built("tapline-load")? };
    for program in [&programs.tapline, &programs.load] {
        ensure!(program.is_file(), "{} is not built yet; leave --no-build out", program.display());
    }
    Ok(programs)
}

/// Whether this process may make network namespaces, and interfaces in them.
fn has_networks() -> bool {
    setup::is_root() && process::find("ip").is_some()
}

/// Writes the capture under another name first, so that it is whole or not there.
fn write_capture(scenario: &Scenario, seed: u64) -> Result<PathBuf> {
    let path = workspace::scratch("demo")?.join(format!("branch-office-{seed}.pcap"));
    let part = path.with_extension("part");
    let format = PcapFormat { snap_length_octets: SNAP_LENGTH_OCTETS, ..PcapFormat::default() };
    let write = || {
        let sink = BufWriter::with_capacity(1 << 20, File::create(&part)?);
        scenario.write_pcap(sink, format)?;
        fs::rename(&part, &path)
    };
    write().with_context(|| format!("{} cannot be written", path.display()))?;
    Ok(path)
}

fn introduce(truth: &Truth, capture: &Path) {
    println!("{}", style::heading("Three minutes at a branch office"));
    println!(
        "{} frames, {} MB on the wire: web, DNS, video, NTP, pings; IPv4 and IPv6, a VLAN for guests.\n\
         Two things are hidden in it: a port sweep and a heavy talker. tapline reads the capture as if it\n\
         were live: windows follow the time of the packets, and SQL is all it needs to know.\n\
         {}\n",
        grouped(truth.frames),
        truth.frame_octets / 1_000_000,
        capture.display()
    );
}

fn ask(question: &Question, tapline: &Path, capture: &Path) -> Result<()> {
    println!("{}", style::heading(question.title));
    println!("{}\n", question.purpose);
    for line in question.sql.lines() {
        println!("    {}", style::literal(line));
    }
    println!();
    process::run(Command::new(tapline).arg("query").arg("--pcap").arg(capture).arg(question.sql))?;
    println!();
    Ok(())
}

fn conclude(truth: &Truth, tapline: &Path, capture: &Path) {
    let (sweep, talker) = (&truth.sweep, &truth.heavy_talker);
    println!("{}", style::heading("What was hidden"));
    println!(
        "{} tried port {} at {} addresses within a minute; what the query counts beyond that is its ordinary\n\
         one-packet flows, such as lookups of names. {} uploaded its backup to {} for half a minute.\n",
        sweep.source,
        sweep.port,
        sweep.targets.len(),
        talker.source,
        talker.destination
    );
    println!("{}", style::heading("Try next"));
    let (tapline, capture) = (typed(tapline), typed(capture));
    for command in [
        format!("{tapline} schema packets"),
        format!("{tapline} query --pcap {capture} \"SELECT * FROM packets LIMIT 10\" --format csv"),
        format!("{tapline} query --pcap {capture} --explain \"{SERVICES}\""),
        format!("{tapline} query --pcap YOUR.pcapng \"{SERVICES}\""),
        format!("{tapline} doctor"),
    ] {
        println!("    {}", style::literal(&command));
    }
}

/// A query for the reader's own capture.
const SERVICES: &str = "SELECT service(protocol, dst_port) AS service, count(*) AS packets, \
     sum(octets) AS octets FROM packets GROUP BY service(protocol, dst_port) ORDER BY octets DESC LIMIT 10";

/// A path as short as one would type it here.
fn typed(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path).display().to_string()
}

/// A number with its thousands apart.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_from_the_right() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1 000", "1 234 567"]);
    }
}
