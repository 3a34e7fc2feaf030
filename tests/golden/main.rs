//! Queries with known answers over a synthetic capture.
//!
//! `queries/NAME.sql` is run over the branch office and must give `expected/NAME.csv`. Rows are
//! compared as a multiset unless the query orders them. `UPDATE_GOLDEN=1` writes what came instead:
//! read the difference before you commit it. What the scenario knows about itself is asked in
//! `truth.rs`, so that the answers do not rest on earlier answers alone.

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a test may end where it cannot go on")]

mod independence;
mod truth;

use harness::csv::{Csv, read_csv};
use harness::scenario::Office;
use harness::tapline;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// Cargo runs tests in the folder of their package.
const FOLDER: &str = "golden";

#[test]
fn every_query_gives_what_is_expected() {
    let is_update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut report = String::new();
    for name in names("queries", "sql") {
        let path = file("queries", &name, "sql");
        let sql = std::fs::read_to_string(&path).unwrap();
        let actual = canonical(&sql, read_csv(&answer(&["--query-file", path.to_str().unwrap()])));
        let expected = file("expected", &name, "csv");
        if is_update {
            std::fs::write(expected, text(&actual)).unwrap();
            continue;
        }
        let expected = std::fs::read_to_string(&expected).unwrap_or_default();
        if text(&actual) != expected {
            let _ = writeln!(report, "{name}.sql:\n{}", difference(&expected, &text(&actual)));
        }
    }
    assert!(report.is_empty(), "- expected, + given; UPDATE_GOLDEN=1 accepts\n{report}");
}

#[test]
fn every_expectation_has_its_query() {
    assert_eq!(names("expected", "csv"), names("queries", "sql"));
}

pub(crate) static OFFICE: LazyLock<Office> =
    LazyLock::new(|| Office::write(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("golden.pcap"), usize::MAX));

/// The answer to `sql` over the whole office.
pub(crate) fn query(sql: &str) -> String {
    answer(&[sql])
}

fn answer(query: &[&str]) -> String {
    let capture = OFFICE.capture.to_str().expect("target folders are UTF-8");
    tapline(&[&["query", "--pcap", capture, "--format", "csv"], query].concat()).success().to_owned()
}

pub(crate) fn names(folder: &str, extension: &str) -> BTreeSet<String> {
    let files = Path::new(FOLDER).join(folder).read_dir().unwrap().map(|entry| entry.unwrap().path());
    let wanted = files.filter(|path| path.extension().is_some_and(|found| found == extension));
    wanted.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

pub(crate) fn file(folder: &str, name: &str, extension: &str) -> PathBuf {
    Path::new(FOLDER).join(folder).join(format!("{name}.{extension}"))
}

/// Rows in an order of their own when the query leaves it open.
fn canonical(sql: &str, mut csv: Csv) -> Csv {
    if !is_ordered(sql) {
        csv.rows.sort();
    }
    csv
}

/// Whether `ORDER BY` stands outside of all parentheses.
pub(crate) fn is_ordered(sql: &str) -> bool {
    let mut depth = 0;
    let mut outside = String::new();
    for character in sql.chars() {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            other if depth == 0 => outside.push(other),
            _ => {}
        }
    }
    outside.to_uppercase().contains("ORDER BY")
}

/// The table as a file.
fn text(csv: &Csv) -> String {
    let quoted = |field: &String| {
        let is_plain = !field.contains([',', '"', '\n']);
        if is_plain { field.clone() } else { format!("\"{}\"", field.replace('"', "\"\"")) }
    };
    let line = |fields: &Vec<String>| fields.iter().map(quoted).collect::<Vec<_>>().join(",") + "\n";
    std::iter::once(&csv.header).chain(&csv.rows).map(line).collect()
}

/// Lines of one text alone, or in another number.
fn difference(expected: &str, actual: &str) -> String {
    let mut surplus: BTreeMap<&str, i32> = BTreeMap::new();
    expected.lines().for_each(|line| *surplus.entry(line).or_default() -= 1);
    actual.lines().for_each(|line| *surplus.entry(line).or_default() += 1);
    let mut report = String::new();
    for (line, surplus) in surplus.into_iter().filter(|&(_, surplus)| surplus != 0) {
        let _ = writeln!(report, "  {} {line}", if surplus < 0 { '-' } else { '+' });
    }
    if report.is_empty() { "  the rows are in another order\n".to_owned() } else { report }
}
