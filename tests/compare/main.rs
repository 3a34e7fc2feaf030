//! Folders of captures and exports, read by tapline, by tshark and by capinfos: what `cargo xtask conformance FOLDER…`
//! runs.
//!
//! Takes files and folders, recursively. Every capture is compared frame by frame and by groups, every file of exports
//! value by value. Differences of a known class are counted with its reason, others are listed, and a table of the
//! files ends the report. Exit code 1 when something differs, 2 when nothing was named.

#![forbid(unsafe_code)]

mod classes;
mod exports;
mod packets;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Differences of one file that are listed.
const LISTED_MAX: usize = 10;

/// What came of one file.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// What was compared: frames, values.
    pub(crate) compared: usize,
    /// Differences of a known class, by its name.
    pub(crate) explained: BTreeMap<&'static str, usize>,
    /// Differences that nobody explained.
    pub(crate) different: Vec<String>,
    /// Why it could not be compared.
    pub(crate) unreadable: Option<String>,
    /// Whether tapline reads it as a capture.
    pub(crate) is_capture: bool,
}

impl Outcome {
    pub(crate) fn unreadable(reason: impl Into<String>) -> Self {
        Self { unreadable: Some(reason.into()), ..Self::default() }
    }

    /// Adds what came of the same file read in another way.
    fn add(&mut self, other: Self) {
        self.compared += other.compared;
        for (class, differences) in other.explained {
            *self.explained.entry(class).or_default() += differences;
        }
        self.different.extend(other.different);
    }

    fn verdict(&self) -> &'static str {
        match self {
            Self { different, .. } if !different.is_empty() => "DIFFERENT",
            Self { unreadable: Some(_), .. } => "unreadable",
            Self { explained, .. } if !explained.is_empty() => "explained",
            _ => "equal",
        }
    }
}

fn main() -> ExitCode {
    let named: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let mut files = vec![];
    named.iter().for_each(|path| collect(path, &mut files));
    if files.is_empty() {
        eprintln!("error: no files; name folders of captures and exports");
        return ExitCode::from(2);
    }
    let outcomes: Vec<_> = files.iter().map(|file| (file, compare(file))).collect();
    outcomes.iter().for_each(|(file, outcome)| list(file, outcome));
    print_classes(&outcomes);
    print_table(&outcomes);
    ExitCode::from(u8::from(outcomes.iter().any(|(_, outcome)| !outcome.different.is_empty())))
}

/// All files below a path, sorted; notes about them are left out.
fn collect(path: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = path.read_dir() else {
        let is_note = path
            .extension()
            .is_some_and(|extension| ["md", "txt", "toml"].iter().any(|note| extension == *note));
        if !is_note {
            files.push(path.to_owned());
        }
        return;
    };
    let mut entries: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    entries.sort();
    entries.iter().for_each(|entry| collect(entry, files));
}

/// A capture is compared as one, and as exports where it holds some; another file as exports.
fn compare(file: &Path) -> Outcome {
    let mut outcome = packets::compare(file);
    match exports::compare(file, outcome.is_capture) {
        Some(exports) if outcome.is_capture => outcome.add(exports),
        // tshark reads some files of messages as captures of a kind.
        Some(exports) => outcome = exports,
        None => {}
    }
    outcome
}

fn list(file: &Path, outcome: &Outcome) {
    if outcome.different.is_empty() {
        return;
    }
    println!("\n{}", file.display());
    outcome.different.iter().take(LISTED_MAX).for_each(|difference| println!("  {difference}"));
    if outcome.different.len() > LISTED_MAX {
        println!("  and {} more", outcome.different.len() - LISTED_MAX);
    }
}

fn print_classes(outcomes: &[(&PathBuf, Outcome)]) {
    let mut all: BTreeMap<&str, usize> = BTreeMap::new();
    for (class, differences) in outcomes.iter().flat_map(|(_, outcome)| &outcome.explained) {
        *all.entry(class).or_default() += differences;
    }
    println!();
    for (class, differences) in all {
        println!("{class}: {differences} differences: {}", classes::reason(class));
    }
}

fn print_table(outcomes: &[(&PathBuf, Outcome)]) {
    println!("\n| file | compared | explained | different | verdict |\n|---|--:|--:|--:|---|");
    let mut verdicts: BTreeMap<&str, usize> = BTreeMap::new();
    for (file, outcome) in outcomes {
        let explained: usize = outcome.explained.values().sum();
        let (compared, different) = (outcome.compared, outcome.different.len());
        let why = outcome.unreadable.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
        let verdict = outcome.verdict();
        *verdicts.entry(verdict).or_default() += 1;
        println!("| {} | {compared} | {explained} | {different} | {verdict}{why} |", file.display());
    }
    let totals: Vec<_> = verdicts.iter().map(|(verdict, files)| format!("{files} {verdict}")).collect();
    println!("\n{} files: {}", outcomes.len(), totals.join(", "));
}
