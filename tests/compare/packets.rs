//! A capture, frame by frame and by groups.

use crate::Outcome;
use crate::classes::{Difference, class};
use harness::csv::{Csv, read_csv};
use harness::tshark::{self, Frame};
use harness::wireshark;
use harness::{Finished, Table, captures, tapline};
use std::ffi::OsStr;
use std::path::Path;

/// Columns that both know, besides the time and the lengths.
const COLUMNS: [&str; 16] = [
    "src_mac",
    "vlan",
    "inner_vlan",
    "mpls_label",
    "ip_version",
    "src_ip",
    "dst_ip",
    "protocol",
    "ttl",
    "src_port",
    "dst_port",
    "tcp_flags",
    "icmp_type",
    "icmp_code",
    "inner_src_ip",
    "inner_dst_ip",
];

/// Groupings whose counts and sums are compared: by what, and the conditions of nothing else.
const GROUPS: [&[&str]; 4] = [&["src_ip"], &["protocol"], &["src_port"], &["dst_port"]];

/// Compares a file as a capture.
pub(crate) fn compare(file: &Path) -> Outcome {
    let Some(theirs) = tshark::read(file) else { return Outcome::unreadable("tshark not found") };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run = ask(file, folder.path());
    let (theirs, run) = match (theirs, run.code) {
        (Err(reason), Some(0)) => return Outcome::unreadable(format!("tshark: {reason}")),
        (Err(reason), _) => return Outcome::unreadable(reason),
        (Ok(frames), _) => (frames, run),
    };
    let answers = |number: usize| {
        let text = std::fs::read_to_string(folder.path().join(format!("query_{number}.csv"))).ok();
        text.filter(|text| !text.is_empty()).map(|text| read_csv(&text))
    };
    let Some(rows) = answers(1) else {
        let said = run.stderr.lines().next().unwrap_or_default().to_owned();
        return Outcome { different: vec![format!("tapline cannot read it: {said}")], ..Outcome::default() };
    };
    let mut outcome = Outcome { compared: theirs.len(), is_capture: true, ..Outcome::default() };
    let theirs = compare_frames(&captures::name(file), theirs, &rows, &mut outcome);
    compare_totals(file, &theirs, &rows, &mut outcome);
    if !outcome.different.is_empty() {
        return outcome;
    }
    for (number, keys) in (2..).zip(GROUPS) {
        let expected = tshark::grouped(&theirs, keys);
        let found = answers(number).map(|csv| Table::from_csv(&csv, keys.len())).unwrap_or_default();
        let difference = expected.difference(&found);
        outcome.different.extend(difference.map(|text| format!("by {}:\n{text}", keys.join(", "))));
    }
    outcome
}

/// Asks for the frames and all groups in one run.
fn ask(file: &Path, folder: &Path) -> Finished {
    let frames = format!("SELECT ts, frame_octets, octets, {} FROM packets", COLUMNS.join(", "));
    let grouped = |keys: &[&str]| {
        let keys = keys.join(", ");
        format!("SELECT {keys}, count(*), sum(octets), sum(frame_octets) FROM packets GROUP BY {keys}")
    };
    let queries: Vec<_> = std::iter::once(frames).chain(GROUPS.map(grouped)).collect();
    let mut arguments: Vec<&OsStr> =
        ["query", "--workers", "1", "--format", "csv", "--output"].map(OsStr::new).into();
    arguments.extend([folder.as_os_str(), "--pcap".as_ref(), file.as_os_str()]);
    arguments.extend(queries.iter().map(OsStr::new));
    tapline(&arguments)
}

/// Compares each frame; gives tshark's frames with what is explained put right.
fn compare_frames(file: &str, mut theirs: Vec<Frame>, rows: &Csv, outcome: &mut Outcome) -> Vec<Frame> {
    for (number, (frame, row)) in (1..).zip(theirs.iter_mut().zip(&rows.rows)) {
        let pairs = compared(frame).into_iter().zip(row).zip(&rows.header);
        let differing: Vec<_> = pairs
            .filter(|((theirs, ours), _)| theirs != *ours)
            .map(|((theirs, ours), column)| (column.as_str(), ours.clone(), theirs))
            .collect();
        for (column, ours, their) in &differing {
            let difference = Difference { file, number, column, ours, theirs: their, frame };
            match class(&difference) {
                Some(name) => *outcome.explained.entry(name).or_default() += 1,
                None => outcome.different.push(difference.to_string()),
            }
        }
        for (column, ours, _) in differing {
            correct(frame, column, &ours);
        }
    }
    theirs
}

/// tshark's values in the order of the question's columns.
fn compared(frame: &Frame) -> Vec<String> {
    let octets = frame.octets.map_or_else(String::new, |octets| octets.to_string());
    let first = [time(frame.ts), frame.frame_octets.to_string(), octets];
    first.into_iter().chain(COLUMNS.map(|column| frame.value(column).to_owned())).collect()
}

/// Takes over a value that is known to be right.
fn correct(frame: &mut Frame, column: &str, value: &str) {
    match column {
        "octets" => frame.octets = value.parse().ok(),
        "frame_octets" => frame.frame_octets = value.parse().unwrap_or(frame.frame_octets),
        _ => {
            let column = COLUMNS.into_iter().find(|known| *known == column);
            column.into_iter().for_each(|column| frame.correct(column, value));
        }
    }
}

fn compare_totals(file: &Path, theirs: &[Frame], rows: &Csv, outcome: &mut Outcome) {
    if theirs.len() != rows.rows.len() {
        outcome.different.push(format!("tshark reads {} frames, tapline {}", theirs.len(), rows.rows.len()));
    }
    let Some((frames, octets)) = wireshark::capinfos(file) else { return };
    let position = rows.header.iter().position(|column| column == "frame_octets").unwrap_or_default();
    let own: u64 = rows.rows.iter().filter_map(|row| row[position].parse::<u64>().ok()).sum();
    if (frames, octets) != (rows.rows.len() as u64, own) {
        let difference = format!(
            "capinfos counts {frames} frames and {octets} octets, tapline {} and {own}",
            rows.rows.len()
        );
        outcome.different.push(difference);
    }
}

/// A time as tapline prints it: UTC, a fraction only where there is one, of three, six or nine digits.
fn time(ns: i64) -> String {
    const DAY_S: i64 = 86_400;
    let (seconds, fraction) = (ns.div_euclid(1_000_000_000), ns.rem_euclid(1_000_000_000));
    let (days, second) = (seconds.div_euclid(DAY_S), seconds.rem_euclid(DAY_S));
    let [year, month, day] = date(days);
    let clock = format!("{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60);
    let fraction = match fraction {
        0 => String::new(),
        ns if ns % 1_000_000 == 0 => format!(".{:03}", ns / 1_000_000),
        ns if ns % 1_000 == 0 => format!(".{:06}", ns / 1_000),
        ns => format!(".{ns:09}"),
    };
    format!("{year:04}-{month:02}-{day:02}T{clock}{fraction}Z")
}

/// Year, month and day of a number of days since 1970, by the calendar that counts years from March.
fn date(days: i64) -> [i64; 3] {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    [year + era * 400 + next, month, day]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_printed_as_tapline_does() {
        assert_eq!(time(0), "1970-01-01T00:00:00Z");
        assert_eq!(time(1_709_168_523_500_000_000), "2024-02-29T01:02:03.500Z");
        assert_eq!(time(-1), "1969-12-31T23:59:59.999999999Z");
    }
}
