//! Capture files of real traffic, and the same packets in other containers.
//!
//! The folder is named by `TAPLINE_CAPTURES`, or is `../shared/captures` beside the workspace.

use crate::tshark::{self, Frame};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The capture files in folder `packets`, sorted; none, and a line that says so, without the folder.
///
/// # Panics
/// When the folder is empty.
#[must_use]
pub fn packet_files() -> Vec<PathBuf> {
    files("packets")
}

/// The files of messages of flow exporters, likewise.
///
/// # Panics
/// When the folder is empty.
#[must_use]
pub fn export_files() -> Vec<PathBuf> {
    files("exports")
}

fn files(kind: &str) -> Vec<PathBuf> {
    let Some(folder) = folder(kind) else { return Vec::new() };
    let entries = folder.read_dir().expect("the folder can be read");
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|path| path.is_file());
    assert!(!files.is_empty(), "no capture in {}", folder.display());
    files.sort();
    files
}

/// A frame of which tshark says something else, and why tapline is right.
struct Known {
    file: &'static str,
    /// From 1, as tshark counts.
    frame: usize,
    column: &'static str,
    value: &'static str,
    reason: &'static str,
}

const KNOWN: [Known; 1] = [Known {
    file: "fuzz-2006-06-26-2594.pcap",
    frame: 669,
    column: "protocol",
    value: "",
    reason: "the hop-by-hop options are longer than the packet, so nothing is behind them",
}];

/// The frames of a file as tshark reads them, but for what is known to be wrong there; `None`, and a line that says
/// so, without tshark.
///
/// # Panics
/// When tshark prints what it should not.
#[must_use]
pub fn dissected(file: &Path) -> Option<Vec<Frame>> {
    let (mut frames, name) = (tshark::frames(file)?, name(file));
    for known in KNOWN.iter().filter(|known| known.file == name) {
        println!("{name}, frame {}, {}: {}", known.frame, known.column, known.reason);
        frames[known.frame - 1].correct(known.column, known.value);
    }
    Some(frames)
}

/// The folder of messages of flow exporters; `None`, and a line that says so, without the folder.
#[must_use]
pub fn export_folder() -> Option<PathBuf> {
    folder("exports")
}

fn folder(name: &str) -> Option<PathBuf> {
    let beside = || concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/captures").into();
    let folder = std::env::var_os("TAPLINE_CAPTURES").map_or_else(beside, PathBuf::from).join(name);
    if !folder.is_dir() {
        println!("skipped: captures not found");
        return None;
    }
    Some(folder)
}

/// The file's name, for reports.
#[must_use]
pub fn name(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The packets of `file` in other containers, written to `folder`: pcapng, pcap with nanoseconds,
/// and both kinds of compression. What needs a program that is missing is left out, with a line.
///
/// # Panics
/// When a program is there and fails.
#[must_use]
pub fn derived(file: &Path, folder: &Path) -> Vec<PathBuf> {
    let path = file.to_string_lossy();
    let made = [
        ("as.pcapng", vec!["editcap", "-F", "pcapng", &path, "-"]),
        ("ns.pcap", vec!["editcap", "-F", "nsecpcap", &path, "-"]),
        ("as.gz", vec!["gzip", "-c", &path]),
        ("as.zst", vec!["zstd", "-q", "-c", &path]),
    ];
    made.iter().filter_map(|(name, command)| write_output(command, &folder.join(name))).collect()
}

fn write_output(command: &[&str], target: &Path) -> Option<PathBuf> {
    let (program, arguments) = command.split_first()?;
    let output = std::fs::File::create(target).expect("a temporary file");
    let status = Command::new(program).args(arguments).stdout(output).stderr(Stdio::null()).status();
    let Ok(status) = status else {
        println!("skipped: {program} not found");
        return None;
    };
    assert!(status.success(), "{command:?}: {status}");
    Some(target.to_path_buf())
}
