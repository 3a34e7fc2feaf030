//! Inputs that once went wrong, with the right answers.
//!
//! `data/NAME.toml` describes one fault: its `kind`, where it was `seen`, and cases, each an input and what must come
//! of asking it. Inputs come from the folder that `TAPLINE_FAULTS` names, `../shared/faults` beside the workspace by
//! default; where it is missing, the cases with octets of our own are left.

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a test may end where it cannot go on")]

mod fault;
mod input;

use fault::{Case, Fault};
use harness::tapline;
use std::path::Path;

/// Cargo runs tests in the folder of their package.
const FOLDER: &str = "faults/data";

#[test]
fn every_fault_is_mended() {
    let faults = faults();
    let wrong: Vec<String> = faults.iter().flat_map(wrong).collect();
    assert!(
        wrong.is_empty(),
        "{} cases of {} faults go wrong\n{}",
        wrong.len(),
        faults.len(),
        wrong.join("\n")
    );
}

#[test]
fn every_fault_has_a_case_that_needs_no_other_folder() {
    for fault in faults() {
        assert!(fault.cases.iter().any(|case| !case.input.is_shared()), "{}", fault.name);
    }
}

/// All faults, by name.
fn faults() -> Vec<Fault> {
    let files = Path::new(FOLDER).read_dir().unwrap().map(|entry| entry.unwrap().path());
    let mut faults: Vec<_> = files.map(|path| Fault::read(&path)).collect();
    faults.sort_by(|one, other| one.name.cmp(&other.name));
    faults
}

/// What is wrong with the answers to the cases of a fault.
fn wrong(fault: &Fault) -> Vec<String> {
    let report = |(number, case): (usize, &Case)| {
        let wrong = ask(case).err()?;
        Some(format!("{}, case {}, {}: {}\n{wrong}", fault.name, number + 1, fault.kind, case.sql.join("; ")))
    };
    fault.cases.iter().enumerate().filter_map(report).collect()
}

/// Asks one case; gives what is wrong with the answer. A file that is not there cannot be asked.
fn ask(case: &Case) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let Some(input) = case.input.arguments(folder.path()) else { return Ok(()) };
    let run = tapline(&[&["query".to_owned()], &input[..], &case.arguments, &case.sql].concat());
    let mut wrong = vec![];
    if run.code != Some(case.code) {
        wrong.push(format!("  exit code {:?}", run.code));
    }
    if let Some(answer) = &case.answer
        && rows(answer) != rows(run.text())
    {
        wrong.push(format!("  expected:\n{answer}\n  given:\n{}", run.text()));
    }
    wrong.extend(
        case.told.iter().filter(|part| !run.stderr.contains(*part)).map(|part| format!("  not told: {part}")),
    );
    wrong.extend(
        case.untold.iter().filter(|part| run.stderr.contains(*part)).map(|part| format!("  told: {part}")),
    );
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(format!("{}\n  standard error:\n{}", wrong.join("\n"), run.stderr))
    }
}

/// The lines, in an order of their own, the first one before all.
fn rows(text: &str) -> Vec<&str> {
    let mut lines: Vec<_> = text.trim().lines().collect();
    if let [_header, rows @ ..] = &mut lines[..] {
        rows.sort_unstable();
    }
    lines
}
