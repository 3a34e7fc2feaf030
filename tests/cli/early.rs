//! Windows that are given before they close.

use super::{assert_failed, capture, query};
use std::collections::HashMap;

const BY_PROTOCOL: &str =
    "SELECT protocol, count(*) AS n FROM packets GROUP BY protocol, tumble('2 seconds')";

/// Lines of a run in CSV, without the header, sorted.
fn lines(arguments: &[&str]) -> Vec<String> {
    let run = query(capture(), &[&["--quiet", "--format", "csv"], arguments].concat());
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let mut lines: Vec<_> = run.text().lines().skip(1).map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn early_results_come_before_the_final_ones_and_do_not_change_them() {
    for workers in ["1", "2"] {
        let plain = lines(&["--workers", workers, BY_PROTOCOL]);
        let all = lines(&["--workers", workers, "--early", "500ms", BY_PROTOCOL]);
        let (early, last): (Vec<_>, Vec<_>) = all.into_iter().partition(|line| line.ends_with(",early"));
        assert_eq!(last, plain, "{workers} workers");
        // Window and protocol, then the count.
        let split = |line: &str| {
            let mut values: Vec<_> = line.split(',').map(str::to_owned).collect();
            let count = values.remove(3).parse::<u64>().unwrap();
            (values[..3].join(","), count)
        };
        let last: HashMap<String, u64> = last.iter().map(|line| split(line)).collect();
        let mut given: HashMap<String, Vec<u64>> = HashMap::new();
        early
            .iter()
            .map(|line| split(line))
            .for_each(|(key, count)| given.entry(key).or_default().push(count));
        assert!(!given.is_empty());
        for (key, counts) in given {
            assert!(counts.len() <= 3, "at 0.5, 1 and 1.5 s of a window");
            assert!(counts.iter().all(|count| *count <= last[&key]), "{key}: {counts:?} of {}", last[&key]);
        }
    }
}

#[test]
fn windows_that_cannot_be_given_early_are_refused() {
    let no_window = "SELECT count(*) FROM packets";
    for (early, sql, parts) in [
        ("5s", no_window, &["--early", "windows of time", "tumble('60 seconds')"][..]),
        ("2s", BY_PROTOCOL, &["--early", "2 seconds", "shorter"]),
        ("0s", BY_PROTOCOL, &["--early", "longer than nothing"]),
        ("5s", "SELECT count(*) FROM packets GROUP BY tumble_rows(5)", &["--early", "tumble_rows(5)"]),
        ("1 parsec", BY_PROTOCOL, &["--early", "30s"]),
    ] {
        assert_failed(&query(capture(), &["--early", early, sql]), 2, parts);
    }
    let both = ["--early", "500ms", "--format", "json", BY_PROTOCOL, no_window];
    assert_failed(&query(capture(), &both), 2, &["--early: query_2"]);
}
