//! The capture that all programs read.
//!
//! Takes the benchmark's numbers, gives a file in the target folder; it is made once for the same numbers.

use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::PathBuf;

use anyhow::{Context, Result};
use tapline_programs::{folders, style};
use tapline_trafficgen::workload::Workload;

/// The file of a workload, whole and in the page cache.
pub(super) fn of(workload: &Workload) -> Result<PathBuf> {
    let Workload { packets, flows, frame_octets, spread, seed } = workload;
    let name = format!("{packets}x{frame_octets}-{flows}-{spread:?}-{seed}.pcap").to_lowercase();
    let path = folders::scratch("bench")?.join(name);
    if !path.is_file() {
        eprintln!("{} {}", style::step("Making"), path.display());
        write(workload, &path).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    io::copy(&mut File::open(&path)?, &mut io::sink())?;
    Ok(path)
}

/// Writes under another name first, so that the file is whole or not there.
fn write(workload: &Workload, path: &std::path::Path) -> io::Result<()> {
    let part = path.with_extension("part");
    workload.write_pcap(BufWriter::with_capacity(1 << 20, File::create(&part)?))?;
    fs::rename(part, path)
}
