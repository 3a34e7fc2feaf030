//! What tshark says of the frames of a file.

use std::path::Path;

use harness::wireshark;

/// One frame as tshark sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) ts_ns: i64,
    pub(crate) original_octets: u32,
    pub(crate) captured_octets: usize,
}

/// The frames of a file as tshark sees them; a file that is cut off has those before.
pub(crate) fn tshark(path: &Path) -> Option<Vec<Seen>> {
    let output = wireshark::fields(path, &[], &["frame.time_epoch", "frame.len", "frame.cap_len"])?;
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
