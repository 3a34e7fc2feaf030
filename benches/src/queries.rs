//! `cargo xtask bench queries`: what many queries over one capture cost, against one.
//!
//! Takes the size of the capture, asks each query alone and then all at once, and prints the CPU times. All at
//! once must give the same results as each alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tapline_programs::{folders, style, usage};
use tapline_trafficgen::workload::{Spread, Workload};

use super::{capture, median, offline};

/// Many queries over one capture file, at once and one at a time.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Packets in the capture
    #[arg(long, default_value_t = 5_000_000)]
    packets: u64,
    /// Runs of each, of which the median counts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Measure this tapline instead of building one
    #[arg(long, value_name = "FILE")]
    tapline: Option<PathBuf>,
}

/// All at once may cost so many times what one costs.
const MARK: f64 = 6.0;

/// Twenty different queries; two of them share their keys, in different windows.
const QUERIES: [&str; 20] = [
    "SELECT protocol, count(*) AS packets FROM packets GROUP BY protocol",
    "SELECT ip_version, sum(octets) AS octets FROM packets GROUP BY ip_version, tumble('1 second')",
    "SELECT src_ip, count(*) AS packets FROM packets GROUP BY src_ip",
    "SELECT dst_ip, sum(octets) AS octets FROM packets GROUP BY dst_ip ORDER BY octets DESC, dst_ip LIMIT 10",
    "SELECT dst_port, count(*) AS packets FROM packets GROUP BY dst_port ORDER BY packets DESC, dst_port LIMIT 10",
    "SELECT src_ip, dst_ip, count(*) AS packets FROM packets GROUP BY src_ip, dst_ip ORDER BY packets DESC, src_ip, dst_ip LIMIT 10",
    "SELECT protocol, dst_port, sum(octets) AS octets FROM packets GROUP BY protocol, dst_port, tumble('2 seconds') ORDER BY octets DESC, protocol, dst_port LIMIT 20",
    "SELECT network(src_ip, 16, 48) AS network, count(*) AS packets FROM packets GROUP BY 1",
    "SELECT count(*) AS packets FROM packets WHERE dst_port < 1024 GROUP BY tumble('1 second')",
    "SELECT ttl, count(*) AS packets FROM packets GROUP BY ttl",
    "SELECT dscp, ecn, count(*) AS packets FROM packets GROUP BY dscp, ecn",
    "SELECT frame_octets / 64 AS size, count(*) AS packets FROM packets GROUP BY 1",
    "SELECT min(octets), max(octets), avg(octets), count(*) FROM packets",
    "SELECT ethertype, vlan, count(*) AS frames FROM packets GROUP BY ethertype, vlan",
    "SELECT service(protocol, dst_port) AS service, count(*) AS packets FROM packets WHERE dst_port < 1024 GROUP BY 1",
    "SELECT approx_distinct(src_ip) AS sources FROM packets",
    "SELECT quantile(frame_octets, 0.95) AS p95 FROM packets GROUP BY tumble('5 seconds')",
    "SELECT src_mac, sum(frame_octets) AS octets FROM packets GROUP BY src_mac",
    "SELECT count(*) AS packets FROM packets WHERE cidr(src_ip, '10.0.0.0/8') AND protocol = 17",
    "SELECT src_ip, sum(octets) AS octets FROM packets GROUP BY src_ip, hop('2 seconds', '4 seconds') HAVING sum(octets) > 100000",
];

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let tapline = offline::tapline(arguments.tapline.as_deref())?;
    let workload = Workload {
        packets: arguments.packets,
        flows: 100_000,
        frame_octets: 64,
        spread: Spread::Uniform,
        seed: 1,
    };
    let capture = capture::of(&workload)?;
    let [alone, together] = ["alone", "together"].map(|name| folders::scratch(&format!("bench/{name}")));
    let (alone, together) = (alone?, together?);
    let ask = |queries: &[&str], folder: &Path| -> Result<Duration> {
        let runs = (0..arguments.runs).map(|_| cpu_time(&tapline, &capture, queries, folder));
        Ok(median(runs.collect::<Result<_>>()?, Ord::cmp))
    };
    println!("| query | CPU s |\n|---|--:|");
    let mut sum = 0.0;
    for (number, query) in QUERIES.iter().enumerate() {
        let cpu = ask(&[query], &alone.join((number + 1).to_string()))?.as_secs_f64();
        println!("| `{query}` | {cpu:.2} |");
        sum += cpu;
    }
    let one = sum / QUERIES.len() as f64;
    let all = ask(&QUERIES, &together)?.as_secs_f64();
    println!("| mean of one | {one:.2} |\n| all twenty at once | {all:.2} |");
    for number in 1..=QUERIES.len() {
        let one = alone.join(format!("{number}/query.csv"));
        ensure!(
            lines(&one)? == lines(&together.join(format!("query_{number}.csv")))?,
            "query {number} gives other results among others than alone"
        );
    }
    let verdict = if all <= MARK * one { "reached" } else { "MISSED" };
    println!("\nTwenty queries cost {:.1} times one; mark ≤ {MARK}: {verdict}", all / one);
    Ok(())
}

/// CPU time of one run that wrote all results into `folder`.
fn cpu_time(tapline: &Path, capture: &Path, queries: &[&str], folder: &Path) -> Result<Duration> {
    eprintln!("{} {} queries", style::step("Running"), queries.len());
    let mut command = Command::new(tapline);
    command.args(["query", "--quiet", "--format", "csv", "--pcap"]).arg(capture);
    command.arg("--output").arg(folder).args(queries);
    Ok(usage::measure(&mut command)?.cost.cpu)
}

/// The lines of a result, sorted: groups come in no particular order.
fn lines(path: &Path) -> Result<Vec<String>> {
    let text = fs::read_to_string(path).with_context(|| format!("{} was not written", path.display()))?;
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    lines.sort();
    Ok(lines)
}
