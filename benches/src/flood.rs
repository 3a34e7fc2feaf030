//! `cargo xtask bench flood`: a node under a flood of ten times what it has room for.
//!
//! Lays a cable between two namespaces; frames of many flows come to a node at its far end, and among them those of a
//! few heavy hitters. Each cap is tried twice: with as many flows as fill it, and with ten times as many. Memory must
//! be as much either way, every frame must be in some row, and the heavy hitters must be right.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tapline_programs::cable::{Cable, FAR, NEAR};
use tapline_programs::usage::{self, Running};
use tapline_programs::{folders, style};
use tapline_trafficgen::csv::Csv;

use super::offline;

const MTU_OCTETS: u32 = 1500;
/// Flows that are sent by both senders.
const HEAVY: usize = 64;
/// The part of the frames that is theirs alone.
const HEAVY_PART: u64 = 10;
/// Memory with ten times as many flows is no more than this part above that with as many as there is room for.
const GROWTH_MAX: f64 = 0.05;
/// A node is looked at so often, and first when it has been busy for so long.
const LOOK: Duration = Duration::from_millis(100);
const BUSY_AFTER: Duration = Duration::from_secs(12);
const CLOSED_WITHIN: Duration = Duration::from_secs(30);

/// Whose rows are compared: the first ones, and the folded row.
const QUERIES: [(&str, &str); 2] = [
    (
        "heavy",
        "SELECT src_ip, count(*) AS packets FROM packets GROUP BY src_ip, tumble('10 seconds') ORDER BY packets DESC LIMIT 64",
    ),
    // The folded row is exempt from HAVING.
    (
        "folded",
        "SELECT src_ip, count(*) AS packets FROM packets GROUP BY src_ip, tumble('10 seconds') HAVING count(*) > 1000000000000",
    ),
];

/// A node under a flood of ten times what it has room for.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Seconds of each run
    #[arg(long, default_value_t = 45, value_parser = clap::value_parser!(u64).range(25..))]
    seconds: u64,
    /// Frames in a second
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(10_000..))]
    frames: u64,
    /// Measure this tapline instead of building one
    #[arg(long, value_name = "FILE")]
    tapline: Option<PathBuf>,
}

/// A cap, and flows that fill it.
struct Cap {
    name: &'static str,
    flag: [&'static str; 2],
    flows: u32,
}

/// Of groups, and of octets; a group of this query takes some 50 octets.
const CAPS: [Cap; 2] = [
    Cap { name: "100 000 groups", flag: ["--groups-max", "100000"], flows: 1 << 17 },
    Cap { name: "16 MiB held", flag: ["--octets-max", "16777216"], flows: 1 << 17 },
];

/// What a run gave.
struct Flood {
    sent: u64,
    used: u64,
    folded: u64,
    folded_rows: u64,
    /// The most that it had in memory, and that it said that queries hold.
    resident: u64,
    held: u64,
    /// Heavy hitters of which a window says something else than was sent.
    wrong: usize,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let (tapline, load) = (offline::tapline(arguments.tapline.as_deref())?, folders::built("tapline-load")?);
    let mut missed = vec![];
    println!(
        "| cap | flows | frames | in rows | of them folded | said to be folded | wrong heavy hitters | held MB | resident MB |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|"
    );
    for cap in &CAPS {
        let mut resident = vec![];
        for times in [1, 10] {
            let flows = cap.flows * times;
            eprintln!("{} {}, {flows} flows", style::step("Now"), cap.name);
            let flood = flood(arguments, &tapline, &load, cap, flows)?;
            let megabytes = |octets: u64| octets as f64 / 1e6;
            println!(
                "| {} | {flows} | {} | {} | {} | {} | {} | {:.1} | {:.1} |",
                cap.name,
                flood.sent,
                flood.used,
                flood.folded_rows,
                flood.folded,
                flood.wrong,
                megabytes(flood.held),
                megabytes(flood.resident)
            );
            resident.push(flood.resident as f64);
            let is_right = flood.sent == flood.used && flood.folded == flood.folded_rows && flood.wrong == 0;
            if !is_right {
                missed.push(format!("{} with {flows} flows is not exact", cap.name));
            }
        }
        if resident[1] > resident[0] * (1.0 + GROWTH_MAX) {
            missed.push(format!("{}: memory grew by more than {:.0} %", cap.name, GROWTH_MAX * 100.0));
        }
    }
    ensure!(missed.is_empty(), "{}", missed.join("; "));
    Ok(())
}

/// Lets so many flows come to a node that has this cap.
fn flood(arguments: &Arguments, tapline: &Path, load: &Path, cap: &Cap, flows: u32) -> Result<Flood> {
    let cable = Cable::lay(MTU_OCTETS)?;
    cable.light()?;
    let ask = |words: &[&str]| -> Result<String> {
        let measured = usage::measure(cable.far(tapline).args(words))?;
        Ok(String::from_utf8_lossy(&measured.output.stdout).into_owned())
    };
    let node = usage::start(cable.far(tapline).args(["run", "--bare", "--interface", FAR]).args(cap.flag))?;
    node.wait_until_it_answers(|| ask(&["status"]))?;
    let mut watchers = vec![];
    for (name, sql) in QUERIES {
        ask(&["queries", "add", name, sql])?;
        watchers.push(usage::start(cable.far(tapline).args(["queries", "watch", name, "--format", "json"]))?);
    }
    let send = |flows: u32, rate: u64, how: &[&str]| {
        let mut command = cable.near(load);
        command.args(["packets", "--interface", NEAR, "--flows", &flows.to_string()]);
        command.args(["--rate", &rate.to_string(), "--seconds", &arguments.seconds.to_string()]);
        usage::start(command.args(how))
    };
    let heavy = arguments.frames / HEAVY_PART;
    // Live frames are one sender's only.
    let senders = [send(flows, arguments.frames - heavy, &[])?, send(HEAVY as u32, heavy, &["--plain"])?];
    let (mut resident, mut held, started) = (0, 0, Instant::now());
    while !senders.iter().all(Running::has_ended) {
        if started.elapsed() > BUSY_AFTER {
            resident = resident.max(node.resident_octets());
            held = held.max(query(&ask(&["queries", "show", "heavy", "--format", "json"])?, "octets_held")?);
        }
        sleep(LOOK);
    }
    let sent = sent_by(senders)?;
    let all: u64 = sent.values().sum();
    let told = when_all_closed(&ask, all)?;
    // Windows that are open are given at its end.
    node.signal("TERM")?;
    let ended = node.finish()?;
    ensure!(ended.output.status.success(), "the node ended badly: {}", ended.said());
    let [heavy_rows, folded_rows] = rows(watchers)?;
    let mut found = BTreeMap::new();
    for (address, packets) in
        heavy_rows.into_iter().filter_map(|(address, packets)| Some((address?, packets)))
    {
        *found.entry(address).or_insert(0) += packets;
    }
    let mut most: Vec<(&String, &u64)> = sent.iter().collect();
    most.sort_by(|(_, one), (_, other)| other.cmp(one));
    let is_wrong = |(address, packets): &&(&String, &u64)| found.get(*address) != Some(*packets);
    Ok(Flood {
        sent: all,
        used: query(&told, "used")?,
        folded: query(&told, "folded")?,
        folded_rows: folded_rows.into_iter().map(|(_, packets)| packets).sum(),
        resident,
        held,
        wrong: most[..HEAVY].iter().filter(is_wrong).count(),
    })
}

/// What a node says of a query when it has taken so many rows, and their windows have closed.
fn when_all_closed(ask: &impl Fn(&[&str]) -> Result<String>, rows: u64) -> Result<String> {
    let started = Instant::now();
    loop {
        let told = ask(&["queries", "show", "heavy", "--format", "json"])?;
        // What is folded counts when a pane is given.
        let is_all = query(&told, "delivered")? >= rows && query(&told, "groups_held")? == 0;
        if is_all || started.elapsed() > CLOSED_WITHIN {
            return Ok(told);
        }
        sleep(LOOK);
    }
}

/// Frames by source address.
fn sent_by(senders: [Running; 2]) -> Result<BTreeMap<String, u64>> {
    let mut sent = BTreeMap::new();
    for sender in senders {
        let measured = sender.finish()?;
        ensure!(measured.output.status.success(), "a sender failed: {}", measured.said());
        let table = Csv::parse_loosely(&String::from_utf8_lossy(&measured.output.stdout))?;
        // The address stands first.
        for (row, [packets]) in table.rows.iter().zip(table.numbers::<u64, 1>(["packets"])?) {
            *sent.entry(row[0].clone()).or_insert(0) += packets;
        }
    }
    Ok(sent)
}

/// A number of what a node says of a query.
fn query(told: &str, name: &str) -> Result<u64> {
    let value: Value = serde_json::from_str(told).with_context(|| told.to_owned())?;
    value[name].as_u64().with_context(|| format!("no {name}: {told}"))
}

/// Address, where it is of one, and frames.
type Row = (Option<String>, u64);

/// The rows that were watched.
fn rows(watchers: Vec<Running>) -> Result<[Vec<Row>; 2]> {
    let mut all = [vec![], vec![]];
    for (watcher, rows) in watchers.into_iter().zip(&mut all) {
        let output = watcher.finish()?.output;
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let row: Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
            let packets = row["packets"].as_u64().with_context(|| line.to_owned())?;
            rows.push((row["src_ip"].as_str().map(str::to_owned), packets));
        }
    }
    Ok(all)
}
