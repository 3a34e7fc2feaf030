//! `cargo xtask bench churn`: queries come and go by many hands while records come at full rate.
//!
//! Takes a number of queries; eight clients add and drop them at random. Each account must add up at any moment, the
//! standing queries must have had every record that was delivered, and a record must cost afterwards what it did before.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tapline_benches::floors;
use tapline_programs::style;
use tapline_trafficgen::random::Random;

use super::clients::{CLIENTS, Connection};
use super::node::{Node, check_account};
use super::turn::{self, Turn};
use super::{SETTLED, send};
use crate::{median, offline};

/// Queries come and go while records come.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Queries that are added, and dropped
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(i64::from(CLIENTS)..))]
    queries: u32,
    /// How many of them there are at once, at the most
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(i64::from(CLIENTS)..))]
    at_once: u32,
    /// Records in a second
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(1000..))]
    records: u64,
    /// Measure this tapline instead of building one
    #[arg(long, value_name = "FILE")]
    tapline: Option<PathBuf>,
}

/// Turns before queries come and go, and as many afterwards.
const TURNS: u32 = 5;
const TURN: Duration = Duration::from_secs(4);
/// The sender ends by itself after so long, whatever happens.
const ENDS_WITHIN: Duration = Duration::from_secs(600);
const SEED: u64 = 1;
/// What is measured, by the names of its marks.
pub(super) const CPU: &str = "churn: CPU of a record afterwards";
pub(super) const LOST: &str = "churn: lost";

/// What is asked; another number each time takes the place of `#`.
const TEXTS: [&str; 5] = [
    "SELECT src_as, sum(octets) AS octets FROM flows WHERE dst_port = # GROUP BY src_as, tumble('1 second')",
    "SELECT count(*) AS records FROM flows WHERE src_as <> # GROUP BY tumble('2 seconds')",
    "SELECT protocol, count(*) AS records FROM flows WHERE octets > # GROUP BY protocol, hop('1 second', '5 seconds')",
    "SELECT dst_ip, sum(packets) AS packets FROM flows GROUP BY dst_ip, tumble('10 seconds') ORDER BY packets DESC LIMIT #",
    "SELECT src_ip, dst_ip, octets FROM flows WHERE octets = #",
];

/// How long changes took.
#[derive(Default)]
struct Changes {
    added: Vec<Duration>,
    dropped: Vec<Duration>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let node = Node::start(&offline::tapline(arguments.tapline.as_deref())?)?;
    let sender = send(&node, arguments.records, ENDS_WITHIN)?;
    sleep(SETTLED);
    eprintln!("{} nothing changes", style::step("Running"));
    let before = turns(&node)?;
    eprintln!("{} {} queries come and go", style::step("Running"), arguments.queries);
    let (started, lost) = (Instant::now(), node.fates()?.lost);
    let mut changes = change(node.api, arguments)?;
    let time = started.elapsed();
    let lost = node.fates()?.lost - lost;
    sleep(SETTLED);
    eprintln!("{} nothing changes any more", style::step("Running"));
    let after = turns(&node)?;
    ensure!(!sender.has_ended(), "the sender ended before its time");
    sender.signal("KILL")?;
    sender.finish()?;
    sleep(SETTLED);
    node.check_accounts()?;
    node.end()?;
    let [before, after] = [before, after].map(|turns| median(turns, f64::total_cmp));
    println!(
        "| records/s | queries | in s | ms to add | 99 % | slowest | ms to drop | slowest | ns a record before | afterwards |"
    );
    println!("|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    let [added, dropped] = [&mut changes.added, &mut changes.dropped];
    added.sort_unstable();
    dropped.sort_unstable();
    println!(
        "| {} | {} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} | {before:.1} | {after:.1} |",
        arguments.records,
        added.len(),
        time.as_secs_f64(),
        turn::part_of(added, 50),
        turn::part_of(added, 99),
        turn::part_of(added, 100),
        turn::part_of(dropped, 50),
        turn::part_of(dropped, 100),
    );
    println!(
        "\nAfterwards, a record takes {:.3} times the CPU time ({}); {lost} records were lost meanwhile ({}). Each account adds up.",
        after / before,
        floors::verdict(CPU, after / before),
        floors::verdict(LOST, lost as f64)
    );
    Ok(())
}

/// Nanoseconds of CPU time of a record, turn by turn.
fn turns(node: &Node) -> Result<Vec<f64>> {
    (0..TURNS).map(|_| Ok(Turn::take(node, TURN, 0)?.of_record())).collect()
}

/// Lets all clients add and drop queries at once.
fn change(node: SocketAddr, arguments: &Arguments) -> Result<Changes> {
    let outcomes: Vec<Result<Changes>> = thread::scope(|scope| {
        let client = |number| scope.spawn(move || change_as(node, number, arguments));
        let clients: Vec<_> = (0..CLIENTS).map(client).collect();
        clients.into_iter().map(|client| client.join().expect("invariant: asking does not panic")).collect()
    });
    let mut all = Changes::default();
    for changes in outcomes {
        let Changes { mut added, mut dropped } = changes?;
        all.added.append(&mut added);
        all.dropped.append(&mut dropped);
    }
    Ok(all)
}

/// Adds and drops queries as one of the clients, in an order of its own.
fn change_as(node: SocketAddr, number: u32, arguments: &Arguments) -> Result<Changes> {
    let mut connection = Connection::open(node)?;
    let mut random = Random::new(SEED, &format!("client {number}"));
    let (mut to_add, at_once) = (arguments.queries / CLIENTS, (arguments.at_once / CLIENTS) as usize);
    let (mut names, mut changes) = (vec![], Changes::default());
    while to_add > 0 || !names.is_empty() {
        let adds = to_add > 0 && (names.is_empty() || (names.len() < at_once && random.percent(60)));
        let started = Instant::now();
        if adds {
            let name = format!("q{number}-{to_add}");
            let sql = random.choose(&TEXTS).replace('#', &random.within(1..1000).to_string());
            let query = json!({ "name": name, "sql": sql });
            connection.ask("POST", "/api/v1/queries", Some(&query)).with_context(|| sql)?;
            changes.added.push(started.elapsed());
            names.push(name);
            to_add -= 1;
        } else {
            let name = names.swap_remove(random.below(names.len() as u64) as usize);
            let path = format!("/api/v1/queries/{name}");
            let told: Value = serde_json::from_slice(&connection.get(&path)?)?;
            check_account(&told)?;
            let started = Instant::now();
            connection.ask("DELETE", &path, None)?;
            changes.dropped.push(started.elapsed());
        }
    }
    Ok(changes)
}
