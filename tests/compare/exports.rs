//! Flow exports of a file, value by value and column by column.

use crate::Outcome;
use crate::classes::exports_class;
use harness::cflow::{self, Counts};
use harness::tapline;
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// What fits into a datagram.
const DATAGRAM_MAX: u64 = 65_000;

/// Compares a file as exports; `None` where a capture holds none, or where the file is neither.
pub(crate) fn compare(file: &Path, is_capture: bool) -> Option<Outcome> {
    let account = account(file)?;
    if is_capture && sum(&account, "records") == 0 {
        return None;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let capture = match is_capture {
        true => file.to_owned(),
        false => match as_capture(file, &account, folder.path()) {
            Ok(capture) => capture,
            Err(reason) => return Some(Outcome::unreadable(reason)),
        },
    };
    let ports = if is_capture { ports(&capture) } else { vec![cflow::PORT] };
    let Some(expected) = cflow::by_tshark(&capture, &ports) else {
        return Some(Outcome::unreadable("tshark not found"));
    };
    Some(match cflow::by_tapline(file) {
        Ok(found) => compare_columns(&account, &expected, &found),
        Err(said) => Outcome { different: vec![format!("tapline fails: {said}")], ..Outcome::default() },
    })
}

/// The octets of one message in a datagram of their own.
fn as_capture(file: &Path, account: &Value, folder: &Path) -> Result<PathBuf, String> {
    if file.metadata().map_or(0, |file| file.len()) > DATAGRAM_MAX || sum(account, "messages") > 1 {
        return Err("several messages in one file, which tshark cannot take apart".to_owned());
    }
    let capture = folder.join("exports.pcap");
    cflow::write_capture(&capture, &[file.to_owned()]);
    Ok(capture)
}

fn compare_columns(
    account: &Value,
    expected: &BTreeMap<&'static str, Counts>,
    found: &BTreeMap<String, Counts>,
) -> Outcome {
    let mut outcome = Outcome::default();
    for (column, theirs) in expected {
        let ours = found.get(*column).cloned().unwrap_or_default();
        outcome.compared += theirs.values().sum::<usize>();
        if ours == *theirs {
            continue;
        }
        match exports_class(account, &ours, theirs) {
            Some(name) => *outcome.explained.entry(name).or_default() += 1,
            None => outcome.different.push(format!(
                "{column}: tapline {}, tshark {}",
                shown(&ours),
                shown(theirs)
            )),
        }
    }
    outcome
}

fn shown(counts: &Counts) -> String {
    let first: Vec<_> = counts.iter().take(6).map(|(value, count)| format!("{value} ×{count}")).collect();
    format!("{} values ({})", counts.len(), first.join(", "))
}

/// The account of a run over the file; `None` when tapline cannot read it.
fn account(file: &Path) -> Option<Value> {
    let words = ["query", "--summary", "json", "SELECT count(*) FROM flows", "--exports"].map(OsStr::new);
    let run = tapline(&[&words[..], &[file.as_os_str()]].concat());
    run.stderr.lines().last().and_then(|line| serde_json::from_str(line).ok())
}

fn sum(account: &Value, key: &str) -> u64 {
    let exporters = account["exporters"].as_array().into_iter().flatten();
    exporters.filter_map(|exporter| exporter[key].as_u64()).sum()
}

/// The ports that datagrams of a capture go to.
fn ports(capture: &Path) -> Vec<u16> {
    let sql = "SELECT DISTINCT dst_port FROM packets WHERE protocol = 17 AND dst_port IS NOT NULL LIMIT 64";
    let words = ["query", "--quiet", "--format", "csv", sql, "--pcap"].map(OsStr::new);
    let run = tapline(&[&words[..], &[capture.as_os_str()]].concat());
    run.text().lines().filter_map(|line| line.parse().ok()).collect()
}
