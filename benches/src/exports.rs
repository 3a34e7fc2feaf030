//! `cargo xtask bench exports`: the traffic matrix over stored flow exports.
//!
//! Takes a number of records, makes a capture of NetFlow v9 and lets nfcapd store the same records, once for
//! the same numbers. Then tapline asks the capture and nfdump what was stored, in turn and from the page cache;
//! both must come to the same sums for every pair of autonomous systems.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use tapline_benches::floors;
use tapline_load::exports::sender::{self, Options};
use tapline_load::pace::{Limit, Rate};
use tapline_programs::{folders, style, usage};
use tapline_trafficgen::csv::Csv;
use tapline_trafficgen::exports::{ExportPlan, Protocol};

use super::ingress::collector::{Collector, find, stored_files};
use super::ingress::live::{self, Setting};
use super::{median, offline};

/// CPU time of the traffic matrix over stored exports, tapline and nfdump in turn.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Records in the capture
    #[arg(long, default_value_t = 4_000_000)]
    records: u64,
    /// Runs of each program, of which the median counts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Measure this tapline instead of building one
    #[arg(long, value_name = "FILE")]
    tapline: Option<PathBuf>,
}

/// A rate at which nfcapd loses nothing.
const STORING_RATE: u64 = 200_000;

const SQL: &str = "SELECT src_as, dst_as, sum(octets) AS octets FROM flows GROUP BY src_as, dst_as";

/// Octets by source and destination autonomous system.
type Matrix = BTreeMap<(u64, u64), u64>;

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let tapline = offline::tapline(arguments.tapline.as_deref())?;
    let folder = folders::scratch("bench/exports")?;
    let capture = capture(&folder, arguments.records)?;
    let stored = stored(&folder, &tapline, arguments.records)?;
    let (mut own, mut peer) = (vec![], vec![]);
    for turn in 1..=arguments.runs {
        eprintln!("{} run {turn}", style::step("Running"));
        own.push(ask_tapline(&tapline, &capture)?);
        peer.push(ask_nfdump(&stored)?);
    }
    check(&own[0].1, &matrix_of_nfdump(&stored)?)?;
    report(arguments.records, own.into_iter().map(|(cpu, _)| cpu).collect(), peer);
    Ok(())
}

/// What is measured, by the name of its mark.
const MEASURED: &str = "exports: nfdump";

fn report(records: u64, own: Vec<Duration>, peer: Vec<Duration>) {
    let ratios = own.iter().zip(&peer).map(|(own, peer)| peer.as_secs_f64() / own.as_secs_f64());
    let ratio = median(ratios.collect(), f64::total_cmp);
    println!("| program | CPU s | M records / CPU s |\n|---|--:|--:|");
    for (name, cpu) in [("tapline", own), ("nfdump -A srcas,dstas", peer)] {
        let cpu = median(cpu, Ord::cmp).as_secs_f64();
        println!("| {name} | {cpu:.2} | {:.2} |", records as f64 / cpu / 1e6);
    }
    let verdict = floors::verdict(MEASURED, ratio);
    println!("\nThe same sums for every pair. nfdump takes {ratio:.1} times the CPU time: {verdict}");
}

/// The capture, whole and in the page cache.
fn capture(folder: &Path, records: u64) -> Result<PathBuf> {
    let path = folder.join(format!("v9-{records}.pcap"));
    if !path.is_file() {
        eprintln!("{} {}", style::step("Making"), path.display());
        let part = path.with_extension("part");
        sender::write(&part, &options(records))?;
        fs::rename(part, &path)?;
    }
    read(&path)?;
    Ok(path)
}

/// What nfcapd has stored of the same records, whole and in the page cache.
fn stored(folder: &Path, tapline: &Path, records: u64) -> Result<PathBuf> {
    let path = folder.join(format!("v9-{records}.nfcapd"));
    if !path.is_file() {
        eprintln!("{} {}", style::step("Making"), path.display());
        let setting = Setting { tapline: tapline.to_owned(), folder: folders::scratch("bench/storing")? };
        let outcome = live::run(Collector::Nfcapd, &setting, &options(records))?;
        ensure!(outcome.lost_records() == 0, "nfcapd lost {} records", outcome.lost_records());
        let files = stored_files(&setting.folder)?;
        let [file] = files.as_slice() else { anyhow::bail!("nfcapd wrote {} files", files.len()) };
        fs::rename(file, &path)?;
    }
    read(&path)?;
    Ok(path)
}

fn options(records: u64) -> Options {
    Options {
        plan: ExportPlan::new(Protocol::NetflowV9, 1),
        exporters: 1,
        rate: Rate::PerSecond(STORING_RATE),
        limit: Limit { duration: Duration::MAX, records },
        plain: true,
    }
}

fn read(path: &Path) -> io::Result<u64> {
    io::copy(&mut File::open(path)?, &mut io::sink())
}

fn ask_tapline(tapline: &Path, capture: &Path) -> Result<(Duration, Matrix)> {
    let mut command = Command::new(tapline);
    command.args(["query", "--quiet", "--format", "csv", "--exports"]).arg(capture).arg(SQL);
    let measured = usage::measure(&mut command)?;
    Ok((measured.cost.cpu, parse(&String::from_utf8_lossy(&measured.output.stdout))?))
}

/// As one asks for a traffic matrix, with the output that is there for it.
fn ask_nfdump(stored: &Path) -> Result<Duration> {
    let mut command = Command::new(find("nfdump")?);
    command.arg("-r").arg(stored).args(["-A", "srcas,dstas", "-o", "extended", "-q"]);
    Ok(usage::measure(&mut command)?.cost.cpu)
}

/// The matrix of nfdump in a form without rounding, which has no names of columns.
fn matrix_of_nfdump(stored: &Path) -> Result<Matrix> {
    let mut command = Command::new(find("nfdump")?);
    command.arg("-r").arg(stored).args(["-A", "srcas,dstas", "-o", "fmt:%sas,%das,%byt", "-q", "-N"]);
    parse(&named(&String::from_utf8_lossy(&usage::measure(&mut command)?.output.stdout)))
}

fn named(text: &str) -> String {
    format!("src_as,dst_as,octets\n{text}")
}

/// A table of source, destination and octets.
fn parse(text: &str) -> Result<Matrix> {
    let mut matrix = Matrix::new();
    for [src_as, dst_as, octets] in Csv::parse_loosely(text)?.numbers(["src_as", "dst_as", "octets"])? {
        *matrix.entry((src_as, dst_as)).or_default() += octets;
    }
    Ok(matrix)
}

fn check(own: &Matrix, peer: &Matrix) -> Result<()> {
    ensure!(
        !own.is_empty() && own.len() == peer.len(),
        "{} pairs of tapline, {} of nfdump",
        own.len(),
        peer.len()
    );
    let other = own.iter().find(|(pair, octets)| peer.get(pair) != Some(octets));
    ensure!(other.is_none(), "tapline has {other:?}, nfdump has other octets");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_the_table_are_read() {
        let own = parse("src_as,dst_as,octets\n1,2,30\n1,3,4\n").expect("it is one");
        let peer = parse(&named("     1,      2,    30\n     1,      3,     4\n")).expect("it is one");
        assert_eq!(own, peer);
        assert!(check(&own, &peer).is_ok());
        assert!(check(&own, &parse(&named("1,2,30\n1,3,5\n")).expect("it is one")).is_err());
    }
    #[test]
    fn what_is_measured_has_its_mark() {
        assert!(floors::names_of("exports").eq(MEASURED.strip_prefix("exports: ")));
    }
}
