//! `cargo xtask bench viewers`: what those who watch see how soon, and what they cost.
//!
//! Takes a rate of records, numbers of queries and viewers. A node collects flow exports, all its windows close at once,
//! each second. First viewers and psql say when they see each window; then a record's CPU time, threads of the API left
//! out, is compared from one turn to the next, with viewers and without. Nothing may be lost, neither records nor results.

use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, ensure};
use tapline_benches::floors;
use tapline_programs::style;

use super::node::{Node, free_address};
use super::turn::{self, Turn, part_of};
use super::watched::{Seen, Viewers, ask_psql};
use super::{SETTLED, TURNS, send};
use crate::{median, offline};

/// How soon those who watch see a window, and what they cost.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Seconds in which windows are looked for, and as many with viewers and without in which CPU time is compared
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(12..))]
    seconds: u64,
    /// Records in a second
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(1000..))]
    records: u64,
    /// Queries that run
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(8..))]
    queries: u32,
    /// Those who watch some of them
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=768))]
    viewers: u32,
    /// Measure this tapline instead of building one
    #[arg(long, value_name = "FILE")]
    tapline: Option<PathBuf>,
}

/// Queries that are watched.
const WATCHED: usize = 8;
/// Rows that come later than this are late, so windows close so much behind their end.
const ALLOWED_LATENESS: Duration = Duration::from_millis(100);
/// What is measured, by the names of its marks.
pub(super) const CPU: &str = "viewers: CPU of a record";
pub(super) const PAGE: &str = "viewers: ms to a page, 99 %";
pub(super) const PSQL: &str = "viewers: ms to psql, 99 %";
pub(super) const LOST: &str = "viewers: lost";

/// What is asked; another number each time takes the place of `#`.
const TEXTS: [&str; 4] = [
    "SELECT count(*) AS records, sum(octets) AS octets FROM flows WHERE src_port <> # GROUP BY tumble('1 second')",
    "SELECT src_as, sum(octets) AS octets FROM flows WHERE dst_port <> # GROUP BY src_as, tumble('1 second')",
    "SELECT protocol, count(*) AS records FROM flows WHERE octets > # GROUP BY protocol, tumble('1 second')",
    "SELECT dst_as, count(*) AS records FROM flows WHERE src_port <> # GROUP BY dst_as, tumble('1 second') ORDER BY records DESC LIMIT 20",
];

/// A turn while nobody watches, and one with viewers.
struct Pair {
    alone: Turn,
    watched: Turn,
    seen: Seen,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let psql = free_address()?;
    let tapline = offline::tapline(arguments.tapline.as_deref())?;
    let (all, late) = (queries(arguments.queries), ALLOWED_LATENESS.as_millis().to_string());
    let more = ["--psql", &psql.to_string(), "--allowed-lateness-ms", &late];
    let node = Node::start_with(&tapline, &all, &more)?;
    let watched: Vec<String> = all.into_iter().take(WATCHED).map(|(name, _)| name).collect();
    let time = Duration::from_secs(arguments.seconds);
    let sender = send(&node, arguments.records, time * 3 + (SETTLED + turn::PAUSE * 2) * (TURNS + 2))?;
    sleep(SETTLED);
    let Arguments { viewers, queries, .. } = arguments;
    let open = || Viewers::open(node.api, *viewers as usize, &watched, ALLOWED_LATENESS);
    eprintln!("{} {viewers} watch {WATCHED} of {queries} queries", style::step("Running"));
    let watching = open()?;
    let asked = ask_psql(psql, &watched, ALLOWED_LATENESS, time)?;
    let seen = watching.close()?;
    let pairs: Vec<Pair> =
        (0..TURNS).map(|number| pair(&node, number, time / TURNS, &open)).collect::<Result<_>>()?;
    ensure!(!sender.has_ended(), "the sender ended before its time");
    sender.signal("KILL")?;
    sender.finish()?;
    sleep(SETTLED);
    node.check_accounts()?;
    let lost = node.fates()?.lost + node.lost_by_queries()?;
    node.end()?;
    tell(arguments, (seen, asked), &pairs, lost)
}

/// As many queries, by name.
fn queries(number: u32) -> Vec<(String, String)> {
    let query = |(number, text): (u32, &&str)| (format!("q{number}"), text.replace('#', &number.to_string()));
    (0..number).zip(TEXTS.iter().cycle()).map(query).collect()
}

/// A turn of either kind, one behind the other.
fn pair(node: &Node, number: u32, time: Duration, open: &dyn Fn() -> Result<Viewers>) -> Result<Pair> {
    eprintln!("{} turn {}", style::step("Running"), number + 1);
    let alone = || Turn::take(node, time, 0);
    let watched = || {
        let viewers = open()?;
        let turn = Turn::take(node, time, 0)?;
        Ok::<_, anyhow::Error>((turn, viewers.close()?))
    };
    // Whatever changes meanwhile changes both alike.
    if number.is_multiple_of(2) {
        let alone = alone()?;
        let (watched, seen) = watched()?;
        return Ok(Pair { alone, watched, seen });
    }
    let (watched, seen) = watched()?;
    Ok(Pair { alone: alone()?, watched, seen })
}

/// Says what was found.
fn tell(
    arguments: &Arguments,
    (seen, mut asked): (Seen, Vec<Duration>),
    pairs: &[Pair],
    lost: u64,
) -> Result<()> {
    let Seen { mut delays, lost: lost_first } = seen;
    ensure!(!delays.is_empty() && !asked.is_empty(), "no window was seen");
    let Arguments { records, queries, viewers, .. } = arguments;
    println!("| {records} records/s, {queries} queries, seen by | windows | ms | 99 % | slowest |");
    println!("|---|--:|--:|--:|--:|");
    let row = |who: String, delays: &mut Vec<Duration>| {
        delays.sort_unstable();
        let [middle, most, slowest] = [50, 99, 100].map(|hundredths| part_of(delays, hundredths));
        println!("| {who} | {} | {middle:.1} | {most:.1} | {slowest:.1} |", delays.len());
        most
    };
    let page = row(format!("{viewers} viewers"), &mut delays);
    let psql = row("psql".to_owned(), &mut asked);
    let of = |value: fn(&Pair) -> f64| median(pairs.iter().map(value).collect(), f64::total_cmp);
    let ratio = of(|pair| pair.watched.of_record() / pair.alone.of_record());
    println!("\n| ns a record alone | watched | ratio | records/s | % of a core for viewers |");
    println!("|--:|--:|--:|--:|--:|");
    println!(
        "| {:.1} | {:.1} | {ratio:.3} | {:.0} | {:.1} |",
        of(|pair| pair.alone.of_record()),
        of(|pair| pair.watched.of_record()),
        of(|pair| pair.watched.records as f64 / pair.watched.time.as_secs_f64()),
        of(|pair| pair.watched.api_cpu.as_secs_f64() / pair.watched.time.as_secs_f64() * 100.0),
    );
    let lost = lost + lost_first + pairs.iter().map(|pair| pair.seen.lost).sum::<u64>();
    println!(
        "\nWindows end each second, all at once, and may close {} ms later; from then on, 99 of 100 are seen within {page:.0} ms ({}), and by psql within {psql:.0} ms ({}). While they watch, a record takes {ratio:.3} times the CPU time ({}); {lost} records and results are lost ({}).",
        ALLOWED_LATENESS.as_millis(),
        floors::verdict(PAGE, page),
        floors::verdict(PSQL, psql),
        floors::verdict(CPU, ratio),
        floors::verdict(LOST, lost as f64)
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_query_has_a_text_of_its_own() {
        let queries = queries(100);
        let texts: std::collections::BTreeSet<&str> = queries.iter().map(|(_, sql)| sql.as_str()).collect();
        assert_eq!((queries.len(), texts.len()), (100, 100));
        assert_eq!(queries[99].0, "q99");
    }
}
