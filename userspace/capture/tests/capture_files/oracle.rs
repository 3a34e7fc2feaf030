//! Where captures from real networks are found, and what capinfos and tshark say of a file.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Packet captures from real networks; says so and gives none where the folder is missing.
pub(crate) fn captures() -> Vec<PathBuf> {
    let root = std::env::var_os("TAPLINE_CAPTURES").unwrap_or_else(|| "../../../shared/captures".into());
    let folder = PathBuf::from(root).join("packets");
    let Ok(entries) = std::fs::read_dir(folder) else {
        println!("skipped: captures not found");
        return Vec::new();
    };
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Runs a Wireshark tool; says so and gives none where it is not installed.
pub(crate) fn wireshark(tool: &str, arguments: &[&str]) -> Option<Output> {
    let output = Command::new(tool).args(arguments).output();
    if output.is_err() {
        println!("skipped: {tool} not found");
    }
    output.ok()
}

/// Packets and octets on the wire, as capinfos counts them; it counts up to a damage, too.
pub(crate) fn capinfos(path: &Path) -> Option<(u64, u64)> {
    let output = wireshark("capinfos", &["-TMrcd", path.to_str().unwrap()])?;
    let line = String::from_utf8(output.stdout).unwrap();
    let mut fields = line.trim_end().rsplit('\t');
    let octets = fields.next()?.parse().ok()?;
    let packets = fields.next()?.parse().ok()?;
    Some((packets, octets))
}

/// One frame as tshark sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) ts_ns: i64,
    pub(crate) original_octets: u32,
    pub(crate) captured_octets: usize,
}

/// The frames of a file as tshark sees them; a file that is cut off has those before.
pub(crate) fn tshark(path: &Path) -> Option<Vec<Seen>> {
    let fields = ["-e", "frame.time_epoch", "-e", "frame.len", "-e", "frame.cap_len"];
    let arguments = [&["-n", "-r", path.to_str().unwrap(), "-T", "fields"][..], &fields].concat();
    let output = wireshark("tshark", &arguments)?;
    Some(String::from_utf8(output.stdout).unwrap().lines().map(seen).collect())
}

fn seen(line: &str) -> Seen {
    let fields: Vec<&str> = line.split('\t').collect();
    Seen {
        ts_ns: nanoseconds(fields[0]),
        original_octets: fields[1].parse().unwrap(),
        captured_octets: fields[2].parse().unwrap(),
    }
}

/// tshark writes a fraction of a second or more as it stands, so it is added as a number.
fn nanoseconds(time_epoch: &str) -> i64 {
    let (seconds, fraction) = time_epoch.split_once('.').unwrap();
    seconds.parse::<i64>().unwrap() * 1_000_000_000 + fraction.parse::<i64>().unwrap()
}
