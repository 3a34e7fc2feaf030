//! A day of results, stored as a node stores them, and questions over it: octets a row, and seconds a question, beside
//! `DuckDB` over the same files.
//!
//! Results go through the sink that nodes have, a file each minute; its keeper merges hours and sums them up. What was
//! stored is counted before anything is measured. Files are in the page cache, as far as they fit.

#![expect(clippy::expect_used, clippy::print_stdout, reason = "a measurement fails by panicking, and prints")]
#![expect(clippy::print_stderr, reason = "it takes minutes, and says where it is")]

mod data;
mod questions;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use tapline_benches::floors;
use tapline_history::{History, HistoryOptions};
use tapline_record::EventTime;
use tapline_sources::Clock;

use crate::data::{DAY, Day, MINUTE_NS, QUERIES};
use crate::questions::{QUESTIONS, Took, ask_duckdb, ask_tapline, totals};

/// Octets of a file that is not summed up.
const SMALL_OCTETS: u64 = 1 << 20;
/// How long the keeper may take behind the last result.
const KEPT_WITHIN: Duration = Duration::from_secs(3600);

/// Stores a day of results, and asks questions.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask bench history", max_term_width = 100)]
struct Arguments {
    /// Rows a minute, of each of two queries
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..))]
    rows: u32,
    /// Hours, from midnight on
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=24))]
    hours: u32,
    /// How often each question is asked; the median counts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Store the results here instead, and keep them
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Fail when something misses its floor
    #[arg(long)]
    check: bool,
}

/// The time of the results.
#[derive(Debug, Default)]
struct Now(AtomicI64);

impl Clock for Now {
    fn now(&self) -> EventTime {
        EventTime(self.0.load(Ordering::Relaxed))
    }
}

fn main() -> ExitCode {
    // Cargo says `--bench` to all benchmarks.
    let said = std::env::args_os().filter(|argument| argument != "--bench");
    let arguments = Arguments::parse_from(said);
    match run(&arguments) {
        Ok(()) if arguments.check => floors::exit_code(),
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let temporary = std::env::current_exe()?.with_file_name(format!("history-{}", std::process::id()));
    let folder = arguments.folder.clone().unwrap_or_else(|| temporary.clone());
    ensure!(
        fs::read_dir(&folder).map_or(true, |mut entries| entries.next().is_none()),
        "{} is not empty; name a folder that is",
        folder.display()
    );
    let outcome = measure(arguments, &folder);
    if arguments.folder.is_none() {
        let _ = fs::remove_dir_all(&temporary);
    }
    outcome
}

fn measure(arguments: &Arguments, folder: &Path) -> Result<()> {
    let begun = Instant::now();
    let stored = store(arguments, folder)?;
    let found = totals(folder)?;
    ensure!(found == [stored; 2], "{found:?} rows and octets are stored, not {stored:?}");
    println!(
        "{} rows a minute and query over {} h, stored and kept in order in {:.0} s.\n",
        arguments.rows,
        arguments.hours,
        begun.elapsed().as_secs_f64()
    );
    sizes(folder)?;
    let runs = arguments.runs as usize;
    let own = ask_tapline(folder, runs)?;
    let theirs = ask_duckdb(folder, runs)?;
    println!("\n| question | rows | tapline, s | DuckDB, s | floor |\n|---|--:|--:|--:|---|");
    for (place, (question, own)) in QUESTIONS.iter().zip(&own).enumerate() {
        let theirs = theirs.as_ref().and_then(|all| all.get(place));
        println!("{}", line(question.name, own, theirs)?);
    }
    Ok(())
}

fn line(name: &str, own: &Took, theirs: Option<&Took>) -> Result<String> {
    let verdict = floors::verdict(&format!("history: {name}"), own.seconds);
    let other = match theirs {
        Some(theirs) => {
            ensure!(theirs.rows == own.rows, "{name}: {} rows, DuckDB has {}", own.rows, theirs.rows);
            format!("{:.2}", theirs.seconds)
        }
        None => "–".to_owned(),
    };
    Ok(format!("| {name} | {} | {:.2} | {other} | {verdict} |", own.rows, own.seconds))
}

/// Stores the results; gives rows and octets of all flows.
fn store(arguments: &Arguments, folder: &Path) -> Result<(i64, i64)> {
    let history = History::new(HistoryOptions::new(folder));
    let now = Arc::new(Now(AtomicI64::new(DAY)));
    let told = Arc::new(|_, what: &str| eprintln!("history: {what}"));
    let mut sink = history.sink(Arc::clone(&now) as Arc<dyn Clock>, told);
    let mut day = Day::new(arguments.rows as usize);
    for minute in 0..i64::from(arguments.hours) * 60 {
        let start = DAY + minute * MINUTE_NS;
        let given = start + MINUTE_NS;
        now.0.store(given, Ordering::Relaxed);
        for parcel in day.minute(start) {
            sink.take(&parcel).map_err(|refusal| anyhow::anyhow!("{refusal}"))?;
        }
        // It waits for others for ten seconds.
        let later = EventTime(given + MINUTE_NS / 2);
        sink.tend(later).map_err(|why| anyhow::anyhow!("{why}"))?;
        if minute % 60 == 59 {
            eprintln!("hour {} is stored", minute / 60);
        }
    }
    now.0.fetch_add(120 * MINUTE_NS, Ordering::Relaxed);
    let begun = Instant::now();
    while !is_in_order(folder)? {
        ensure!(begun.elapsed() < KEPT_WITHIN, "hours are not merged and summed up in time");
        sleep(Duration::from_millis(500));
    }
    sink.finish(now.now()).map_err(|why| anyhow::anyhow!("{why}"))?;
    Ok((i64::from(arguments.rows) * i64::from(arguments.hours) * 60, day.octets))
}

/// Whether each hour is one file, and is summed up where it is large.
fn is_in_order(folder: &Path) -> Result<bool> {
    for query in &QUERIES {
        let query = format!("query={}", query.name);
        for hour in entries(&folder.join(&query))? {
            let files = entries(&hour)?;
            let [file] = files.as_slice() else { return Ok(false) };
            let place = file.strip_prefix(folder)?.with_extension("");
            let Ok(found) = fs::metadata(file) else { return Ok(false) };
            if found.len() >= SMALL_OCTETS && !folder.join(".sums").join(place).is_dir() {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// Octets a row of each query's files, and of the sums beside them.
fn sizes(folder: &Path) -> Result<()> {
    println!("| results | rows | octets a row | with sums | floor |\n|---|--:|--:|--:|---|");
    for query in &QUERIES {
        let name = query.name;
        let own = octets(&folder.join(format!("query={name}")))?;
        let sums = octets(&folder.join(format!(".sums/query={name}")))?;
        let rows = rows(folder, name)?;
        let [alone, both] = [own, own + sums].map(|octets| octets as f64 / rows as f64);
        let verdict = floors::verdict(&format!("history: octets a row, {name}"), both);
        println!("| {name} | {rows} | {alone:.2} | {both:.2} | {verdict} |");
    }
    Ok(())
}

fn rows(folder: &Path, query: &str) -> Result<u64> {
    let database = tapline_tables::Database::of_history(History::new(HistoryOptions::new(folder)))?;
    let answer = database.ask(&format!("SELECT count(*) AS n FROM {query}"));
    let mut answer = answer.map_err(|error| anyhow::anyhow!("{error:?}"))?;
    let batch = answer.next().context("there is no answer")?.map_err(|error| anyhow::anyhow!("{error:?}"))?;
    let text = datafusion::arrow::util::display::array_value_to_string(batch.column(0), 0)?;
    Ok(text.parse()?)
}

/// Octets of all files below a folder; none where it is not there.
fn octets(folder: &Path) -> Result<u64> {
    if !folder.is_dir() {
        return Ok(0);
    }
    let each = entries(folder)?
        .into_iter()
        .map(|path| if path.is_dir() { octets(&path) } else { Ok(fs::metadata(path)?.len()) });
    each.sum()
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<PathBuf>>>()?;
    // Hidden ones are on their way.
    let is_hidden =
        |path: &Path| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    Ok(paths.into_iter().filter(|path| !is_hidden(path)).collect())
}
