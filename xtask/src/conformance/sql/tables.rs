//! The rows that both engines are asked about.
//!
//! Takes the capture of the branch office, lets tapline export the columns that are asked, and writes them as the
//! other engine reads them: addresses in hexadecimal, so that they sort as octets do, times in nanoseconds. Beside each
//! such file stands a Parquet file by tapline, which the other engine compares with it.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tapline_trafficgen::pcap::PcapFormat;
use tapline_trafficgen::random::Random;
use tapline_trafficgen::scenario::{SNAP_LENGTH_OCTETS, branch_office};

use super::answer::{hex, nanoseconds};
use super::both::Both;
use super::field::{Field, Kind, STREAMS, Stream};
use super::question::Source;
use crate::process;

/// The seed of the capture; that of the queries is another one.
const OFFICE_SEED: u64 = 1;

/// One frame in so many is kept: fewer rows, over all three minutes.
const KEPT: usize = 8;

/// Literals of a column, at most.
const SAMPLES_MAX: usize = 12;

/// A table of the other engine.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) file: PathBuf,
    /// Names and types, as JSON.
    pub(super) columns: String,
}

/// Three minutes at the branch office, thinned out.
pub(super) fn write_capture(folder: &Path) -> Result<PathBuf> {
    let path = folder.join("office.pcap");
    let format = PcapFormat { snap_length_octets: SNAP_LENGTH_OCTETS, ..PcapFormat::default() };
    let file = File::create(&path).with_context(|| format!("{} cannot be written", path.display()))?;
    let mut scenario = branch_office(OFFICE_SEED);
    scenario.frames = scenario.frames.into_iter().step_by(KEPT).collect();
    scenario.write_pcap(BufWriter::new(file), format)?;
    Ok(path)
}

/// The tables, and what queries may say about them.
pub(super) fn export(tapline: &Path, capture: &Path, folder: &Path) -> Result<(Vec<Table>, Vec<Source>)> {
    let all = STREAMS.iter().map(|stream| export_one(tapline, capture, folder, stream));
    Ok(all.collect::<Result<Vec<_>>>()?.into_iter().unzip())
}

fn export_one(tapline: &Path, capture: &Path, folder: &Path, stream: &Stream) -> Result<(Table, Source)> {
    let names: Vec<_> = stream.columns.iter().map(|(name, _)| *name).collect();
    let sql = format!("SELECT {} FROM {}", names.join(", "), stream.name);
    let text = String::from_utf8(rows_as("csv", tapline, capture, &sql)?).context("the export is no text")?;
    let rows = text.lines().skip(1).map(|line| line.split(',').collect()).collect::<Vec<Vec<&str>>>();
    ensure!(!rows.is_empty(), "{} has no rows", stream.name);
    let file = folder.join(format!("{}.csv", stream.name));
    fs::write(&file, converted(stream, &names, &rows)?)?;
    fs::write(file.with_extension("parquet"), rows_as("parquet", tapline, capture, &sql)?)?;
    let types = stream.columns.iter().map(|(name, kind)| (*name, type_of(*kind))).collect::<Vec<_>>();
    let columns = serde_json::to_string(&types)?;
    let fields = stream.columns.iter().enumerate().map(|(at, column)| field(at, *column, &rows)).collect();
    Ok((Table { name: stream.name, file, columns }, Source { stream: stream.name, fields }))
}

/// What a query answers, in a format.
fn rows_as(format: &str, tapline: &Path, capture: &Path, sql: &str) -> Result<Vec<u8>> {
    let mut command = Command::new(tapline);
    command.args(["query", "--quiet", "--format", format, "--pcap"]).arg(capture).arg(sql);
    let output = command.output().with_context(|| process::does_not_start(&command))?;
    process::succeeded(&command, output.status)
        .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    Ok(output.stdout)
}

const fn type_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Int | Kind::Time => "BIGINT",
        Kind::Float => "DOUBLE",
        Kind::Text | Kind::Address | Kind::Bool => "VARCHAR",
    }
}

fn converted(stream: &Stream, names: &[&str], rows: &[Vec<&str>]) -> Result<String> {
    let mut text = names.join(",") + "\n";
    for row in rows {
        ensure!(row.len() == names.len(), "a row of {} has other fields: {row:?}", stream.name);
        let fields = row.iter().zip(stream.columns).map(|(field, (_, kind))| theirs(field, *kind));
        text.push_str(&fields.collect::<Option<Vec<_>>>().context("a time that is none")?.join(","));
        text.push('\n');
    }
    Ok(text)
}

/// A field as the other engine reads it.
fn theirs(field: &str, kind: Kind) -> Option<String> {
    match kind {
        _ if field.is_empty() => Some(String::new()),
        Kind::Address => Some(hex(field)),
        Kind::Time => nanoseconds(field).map(|time| time.to_string()),
        _ => Some(field.to_owned()),
    }
}

/// The column with some of its values as literals.
fn field(at: usize, (name, kind): (&str, Kind), rows: &[Vec<&str>]) -> Field {
    let values: BTreeSet<&str> = rows.iter().map(|row| row[at]).filter(|value| !value.is_empty()).collect();
    let mut values: Vec<_> = values.into_iter().collect();
    Random::new(OFFICE_SEED, name).shuffle(&mut values);
    let literals = values.into_iter().take(SAMPLES_MAX).filter_map(|value| literal(value, kind));
    Field { name: name.to_owned(), kind, samples: literals.collect() }
}

fn literal(value: &str, kind: Kind) -> Option<Both> {
    let theirs = theirs(value, kind)?;
    Some(match kind {
        Kind::Time => Both::new(format!("timestamp '{value}'"), theirs),
        Kind::Address | Kind::Text => Both::new(format!("'{value}'"), format!("'{theirs}'")),
        _ => Both::same(value),
    })
}
