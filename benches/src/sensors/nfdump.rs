//! BackStreamDB's third experiment: one stream, to nfcapd's file and to a sensor; the difference of each window.
//!
//! nfdump prints the flows of the file, each with its end and its octets; by these they are put into the windows that the
//! aggregator gives.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tapline_benches::floors;
use tapline_fleet::{Amount, Books, Exporter, Fleet, Given, Plan, Process, Traffic, Windows, window_of};
use tapline_load::exports::{collect, socket};
use tapline_programs::{folders, usage};

use super::exact::told_missing;
use super::{Setting, WINDOWS};
use crate::ingress::collector::{Collector, find, stored_files};

/// Records in a second.
const RATE: u64 = 30_000;
const QUERY: &str = "total";
const SQL: &str =
    "SELECT count(*) AS records, sum(octets) AS octets FROM flows GROUP BY tumble('10 seconds')";
const WINDOW: Duration = Duration::from_secs(10);
/// Routers tell of flows some time after their ends.
const ARGUMENTS: [&str; 4] = ["--event-time", "flow", "--allowed-lateness-ms", "20000"];

/// What is measured, by the name of its mark.
pub(super) const UNEXPLAINED: &str = "sensors: records that differ from nfdump";

pub(super) fn run(setting: &Setting) -> Result<()> {
    let folder = folders::scratch("bench/sensors-nfcapd")?;
    folders::clear(&folder)?;
    let plan = Plan {
        sensors: vec!["pop-1".to_owned()],
        arguments: ARGUMENTS.map(str::to_owned).into(),
        ..Plan::of_three(&setting.tapline, WINDOW)
    };
    let fleet = Fleet::start(&plan)?;
    fleet.add(QUERY, SQL)?;
    fleet.wait_until_runs(QUERY, 1)?;
    let address = tapline_fleet::free_address()?;
    let nfcapd = Process::start(&mut Collector::Nfcapd.command(&setting.tapline, address, &folder)?)?;
    socket::wait_for_listener(address, nfcapd.running())?;
    let targets = [fleet.sensors().first().context("there is no sensor")?.listens(), address];
    let traffic = Traffic::start(vec![Exporter::new(0, &targets, WINDOW)?], RATE)?;
    let mut books = Books::default();
    setting.watch(&fleet, QUERY, &mut books, setting.seconds)?;
    traffic.end()?;
    socket::drain(address)?;
    collect::settle(nfcapd.running());
    nfcapd.end(Collector::Nfcapd.signal())?;
    let stored = stored(&folder)?;
    // The last flows are in windows that end with the lateness.
    setting.watch(&fleet, QUERY, &mut books, Duration::from_secs(20) + 2 * WINDOW)?;
    fleet.look(QUERY, WINDOWS, &mut books)?;
    compare(&stored, &books)
}

/// What nfcapd has stored, by the ends of flows.
fn stored(folder: &Path) -> Result<Windows> {
    let mut windows = Windows::new();
    for file in stored_files(folder)? {
        let mut nfdump = Command::new(find("nfdump")?);
        nfdump.arg("-r").arg(file).args(["-q", "-N", "-o", "fmt:%ter,%byt"]);
        let output = usage::measure(&mut nfdump)?.output;
        for line in String::from_utf8_lossy(&output.stdout).lines().filter(|line| !line.trim().is_empty()) {
            let (start, octets) = flow(line).with_context(|| format!("nfdump says: {line}"))?;
            *windows.entry(start).or_default() += Amount { records: 1, octets };
        }
    }
    ensure!(!windows.is_empty(), "nfcapd has stored nothing");
    Ok(windows)
}

/// The window of a flow, and its octets, of seconds with their fraction and a number.
fn flow(line: &str) -> Option<(i64, u64)> {
    let (end, octets) = line.split_once(',')?;
    let (seconds, _) = end.trim().split_once('.').unwrap_or((end.trim(), ""));
    let end = seconds.parse::<i64>().ok()?.checked_mul(1_000_000_000)?;
    Some((window_of(end, WINDOW.as_nanos() as i64), octets.trim().parse().ok()?))
}

fn compare(stored: &Windows, books: &Books) -> Result<()> {
    println!(
        "| window | records by nfdump | by tapline | difference | told by completeness | octets apart |"
    );
    println!("|--:|--:|--:|--:|--:|--:|");
    let given = books.windows().iter().filter(|(_, given)| given.amount().records > 0);
    let starts: BTreeSet<i64> = stored.keys().copied().chain(given.map(|(start, _)| *start)).collect();
    let mut unexplained = 0.0;
    for (number, start) in starts.iter().enumerate() {
        let peer = stored.get(start).copied().unwrap_or_default();
        let given = books.windows().get(start);
        let own = given.map(Given::amount).unwrap_or_default();
        let told = given.map_or(0.0, told_missing).round();
        let difference = peer.records as f64 - own.records as f64;
        unexplained += (difference - told).abs();
        let octets = peer.octets.abs_diff(own.octets);
        ensure!(
            difference != 0.0 || octets == 0,
            "window {number} has as many records, and {octets} octets more or less"
        );
        println!("| {number} | {} | {} | {difference} | {told} | {octets} |", peer.records, own.records);
    }
    println!(
        "\nRecords that differ and that nobody tells of: {unexplained} ({}).",
        floors::verdict(UNEXPLAINED, unexplained)
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_nfdump_is_read() {
        assert_eq!(flow(" 1700000012.345,      1500"), Some((1_700_000_010_000_000_000, 1500)));
        assert_eq!(flow("1700000019,40"), Some((1_700_000_010_000_000_000, 40)));
        assert_eq!(flow("Date first seen"), None);
    }
}
