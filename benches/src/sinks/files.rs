//! Results in files, beside the same octets written again.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tapline_programs::folders;
use tapline_sinks::{FileFormat, FileOptions, FileSink};

use super::Times;
use super::give::to_files;
use super::results::Results;

/// A file, as where nothing is said of it.
const OCTETS_MAX: u64 = 64 << 20;
/// Windows that come faster than time goes by are no reason for a new one.
const NEVER: Duration = Duration::from_secs(u32::MAX as u64);

pub(super) fn measure(results: &Results, format: FileFormat) -> Result<Option<Times>> {
    let folder = folders::scratch("bench/sinks/files")?;
    folders::clear(&folder)?;
    let options = FileOptions { folder: folder.clone(), format, octets_max: OCTETS_MAX, rotate_after: NEVER };
    let sink = to_files(results, &mut FileSink::new(options))?;
    let (mut alone, mut lines) = (Duration::ZERO, 0);
    let files = files(&folder)?;
    for file in &files {
        let octets = fs::read(file)?;
        lines += octets.iter().filter(|octet| **octet == b'\n').count() as u64;
        let started = Instant::now();
        fs::write(file, &octets)?;
        alone += started.elapsed();
    }
    let rows = results.rows();
    let expected = match format {
        FileFormat::Json => rows,
        // Each has a header.
        FileFormat::Csv => rows + files.len() as u64,
        FileFormat::Parquet => lines,
    };
    ensure!(lines == expected, "{lines} lines in place of {expected}");
    folders::clear(&folder)?;
    Ok(Some(Times { rows, sink, alone, by: "write" }))
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect()
}
