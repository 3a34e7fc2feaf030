//! `cargo xtask bench queries`: what many queries over one capture cost, against one.
//!
//! Takes the size of the capture, asks each of twenty queries alone, then five, ten, all of them, a hundred and a
//! thousand at once, and prints the CPU times. What is asked with others must give the same results as alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tapline_benches::floors;
use tapline_programs::{folders, style, usage};
use tapline_trafficgen::workload::{Spread, Workload};

use super::{capture, median, offline, picture};

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
    /// Write a picture, beside what is known of PaQueT, to this file
    #[arg(long, value_name = "SVG")]
    picture: Option<PathBuf>,
}

/// How many queries are asked at once.
const COUNTS: [usize; 5] = [5, 10, 20, 100, 1_000];

/// Of many queries, every so many-th is asked alone, too.
const CHECKED_EACH: usize = 97;

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

/// The ten greatest by one of five keys and two aggregates, behind ten filters and more; all are different.
fn combined(count: usize) -> Vec<String> {
    const KEYS: [&str; 5] = ["protocol", "src_port", "dst_ip", "src_ip, dst_ip", "network(src_ip, 16, 48)"];
    const AGGREGATES: [&str; 2] = ["count(*)", "sum(octets)"];
    let filters = (0..).map(|number: u32| format!("dst_port >= {}", 600 * number));
    let keyed = |filter: String| KEYS.map(|keys| (filter.clone(), keys));
    let with_aggregates = |(filter, keys): (String, &str)| {
        AGGREGATES.map(|aggregate| {
            format!(
                "SELECT {keys}, {aggregate} AS sum FROM packets WHERE {filter} GROUP BY {keys} \
                 ORDER BY sum DESC, {keys} LIMIT 10"
            )
        })
    };
    filters.flat_map(keyed).flat_map(with_aggregates).take(count).collect()
}

/// So many queries: the first ones of the twenty, or combined ones.
fn asked(count: usize) -> Vec<String> {
    match QUERIES.get(..count) {
        Some(queries) => queries.iter().map(|&query| query.to_owned()).collect(),
        None => combined(count),
    }
}

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
    let (alone, together) = (folders::scratch("bench/alone")?, folders::scratch("bench/together")?);
    let ask = |queries: &[String], folder: &Path| -> Result<f64> {
        let runs = (0..arguments.runs).map(|_| cpu_time(&tapline, &capture, queries, folder));
        Ok(median(runs.collect::<Result<_>>()?, Ord::cmp).as_secs_f64())
    };
    println!("| query | CPU s |\n|---|--:|");
    let mut sum = 0.0;
    for (number, query) in asked(QUERIES.len()).into_iter().enumerate() {
        let cpu = ask(std::slice::from_ref(&query), &alone.join((number + 1).to_string()))?;
        println!("| `{query}` | {cpu:.2} |");
        sum += cpu;
    }
    let one = sum / QUERIES.len() as f64;
    println!(
        "| mean of one | {one:.2} |\n\n| queries at once | CPU s | times one | mark |\n|--:|--:|--:|---|"
    );
    let mut pictured = vec![];
    for count in COUNTS {
        let queries = asked(count);
        let cpu = ask(&queries, &together)?;
        let times = cpu / one;
        if picture::QUERIES.contains(&count) {
            pictured.push(cpu);
        }
        let verdict = floors::verdict(&format!("queries: {count}"), times);
        println!("| {count} | {cpu:.2} | {times:.1} | {verdict} |");
        let checked = if count > QUERIES.len() { CHECKED_EACH } else { 1 };
        for number in (0..count).step_by(checked) {
            if count > QUERIES.len() {
                let query = std::slice::from_ref(&queries[number]);
                cpu_time(&tapline, &capture, query, &alone.join((number + 1).to_string()))?;
            }
            check(number + 1, &alone, &together)?;
        }
    }
    if let (Some(path), Ok(cpu)) = (&arguments.picture, <[f64; 3]>::try_from(pictured)) {
        fs::write(path, picture::of(cpu)).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    Ok(())
}

/// Refuses other results of a query among others than alone.
fn check(number: usize, alone: &Path, together: &Path) -> Result<()> {
    let one = alone.join(format!("{number}/query.csv"));
    let same = lines(&one)? == lines(&together.join(format!("query_{number}.csv")))?;
    ensure!(same, "query {number} gives other results among others than alone");
    Ok(())
}

/// CPU time of one run that wrote all results into `folder`.
fn cpu_time(tapline: &Path, capture: &Path, queries: &[String], folder: &Path) -> Result<Duration> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_of_queries_has_its_mark() {
        assert!(COUNTS.map(|count| count.to_string()).iter().eq(floors::names_of("queries")));
    }
}
