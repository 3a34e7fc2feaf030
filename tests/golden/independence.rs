//! What a query answers never depends on what else runs beside it.
//!
//! Every golden query is asked alone, beside each other one, and beside all, over one in some frames of the office, as a
//! file and as standard input, with 1, 2 and 4 operator threads.

use crate::{is_ordered, names};
use harness::run::{Finished, tapline_reading};
use harness::scenario::Office;
use harness::tapline;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// One in so many frames is left: flows time out while others go on, and each run is short.
const STEP: usize = 8;

const WORKERS: [&str; 3] = ["1", "2", "4"];

static OFFICE: LazyLock<Office> = LazyLock::new(|| {
    Office::write_every(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("independence.pcap"), STEP)
});

/// Where the frames come from.
#[derive(Clone, Copy, Debug)]
enum From {
    File,
    StandardInput,
}

/// Queries by name, without the remark in their first line.
type Queries = Vec<(String, String)>;

fn golden() -> Queries {
    let text = |name: &String| std::fs::read_to_string(crate::file("queries", name, "sql")).unwrap();
    let query = |name: String| (name.clone(), text(&name).lines().skip(1).collect::<Vec<_>>().join(" "));
    names("queries", "sql").into_iter().map(query).collect()
}

/// The answers to queries that run beside each other, by name; rows that the query leaves without order are sorted.
fn ask(queries: &[&(String, String)], from: From, workers: &str) -> BTreeMap<String, Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().to_str().unwrap();
    let mut arguments = vec!["query", "--quiet", "--format", "csv", "--output", output, "--workers", workers];
    let capture = OFFICE.capture.to_str().unwrap();
    arguments.extend(["--pcap", if matches!(from, From::File) { capture } else { "-" }]);
    arguments.extend(queries.iter().map(|(_, sql)| sql.as_str()));
    let run: Finished = match from {
        From::File => tapline(&arguments),
        From::StandardInput => tapline_reading(&OFFICE.capture, &arguments),
    };
    let _ = run.success();
    let mut files: Vec<_> = folder.path().read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort_by_key(|path| number_of(path));
    assert_eq!(files.len(), queries.len(), "{files:?}");
    let answer = |((name, sql), path): (&&(String, String), &PathBuf)| (name.clone(), lines(sql, path));
    queries.iter().zip(&files).map(answer).collect()
}

/// Files are called after the queries, which have numbers.
fn number_of(path: &Path) -> u32 {
    let name = path.file_stem().unwrap().to_string_lossy().into_owned();
    name.chars().filter(char::is_ascii_digit).collect::<String>().parse().unwrap_or(0)
}

fn lines(sql: &str, path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    if !is_ordered(sql) {
        lines.sort();
    }
    lines
}

/// Asserts that answers are those that the queries give alone.
fn assert_as_alone(alone: &BTreeMap<String, Vec<String>>, beside: &BTreeMap<String, Vec<String>>, how: &str) {
    for (name, answer) in beside {
        let expected = &alone[name];
        assert!(
            answer == expected,
            "{name}, {how}\nalone:\n{}\nbeside:\n{}",
            expected.join("\n"),
            answer.join("\n")
        );
    }
}

/// What each query answers alone, with one operator thread.
fn alone(queries: &Queries, from: From) -> BTreeMap<String, Vec<String>> {
    queries.iter().flat_map(|query| ask(&[query], from, WORKERS[0])).collect()
}

/// Asks all queries alone, each beside each other one, and all at once.
fn assert_independent(from: From) {
    let queries = golden();
    let alone = alone(&queries, from);
    for workers in WORKERS {
        for query in &queries {
            assert_as_alone(&alone, &ask(&[query], from, workers), &format!("{from:?}, {workers} workers"));
        }
        let all: Vec<_> = queries.iter().collect();
        assert_as_alone(
            &alone,
            &ask(&all, from, workers),
            &format!("beside all, {from:?}, {workers} workers"),
        );
    }
    for (number, query) in queries.iter().enumerate() {
        for (other_number, other) in queries.iter().enumerate().skip(number + 1) {
            let workers = WORKERS[other_number % WORKERS.len()];
            let how = format!("{} beside {}, {from:?}, {workers} workers", query.0, other.0);
            assert_as_alone(&alone, &ask(&[query, other], from, workers), &how);
        }
    }
}

#[test]
fn over_a_file_no_query_hears_of_another() {
    assert_independent(From::File);
}

#[test]
fn over_standard_input_no_query_hears_of_another() {
    assert_independent(From::StandardInput);
}
