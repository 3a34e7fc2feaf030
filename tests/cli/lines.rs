//! One JSON object a line, however many queries share standard output, and whatever else does.

use super::{assert_failed, capture, query};
use harness::run::tapline_in_one;
use serde_json::Value;
use std::collections::BTreeMap;

/// Answers of many octets, of many small windows, of one row, and of none.
const QUERIES: [&str; 5] = [
    "SELECT ts, src_ip, dst_ip, src_port, dst_port, octets FROM packets",
    "SELECT src_ip, count(*) AS n FROM packets GROUP BY src_ip, tumble('100 milliseconds')",
    "SELECT count(*) AS n FROM packets",
    "SELECT src_ip, octets FROM packets WHERE protocol = 250",
    "SELECT protocol, max(octets) AS n FROM packets GROUP BY protocol, hop('1 second', '2 seconds')",
];

/// Rows by query, without the name; each line must be one object.
fn by_query(lines: &str) -> BTreeMap<String, Vec<Value>> {
    let mut rows: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for line in lines.lines() {
        let mut row: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        let name = row.as_object_mut().unwrap().remove("query").unwrap();
        rows.entry(name.as_str().unwrap().to_owned()).or_default().push(row);
    }
    rows.values_mut().for_each(|rows| rows.sort_by_cached_key(Value::to_string));
    rows
}

fn alone(sql: &str) -> Vec<Value> {
    let run = query(capture(), &["--format", "json", sql]);
    let mut rows: Vec<Value> =
        run.success().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    rows.sort_by_cached_key(Value::to_string);
    rows
}

#[test]
fn each_line_is_an_object_and_says_whose_it_is() {
    let run = query(capture(), &[&["--format", "json"], &QUERIES[..]].concat());
    let rows = by_query(run.success());
    for (number, sql) in (1..).zip(QUERIES) {
        let found = rows.get(&format!("query_{number}")).cloned().unwrap_or_default();
        assert!(found == alone(sql), "{sql}: {} rows", found.len());
    }
    assert!(run.success().ends_with('\n') && run.success().len() > 1 << 20, "more than one page");
}

#[test]
fn the_account_behind_the_same_pipe_stands_on_a_line_of_its_own() {
    let file = capture().to_str().unwrap();
    let arguments =
        [&["query", "--pcap", file, "--format", "json", "--summary", "json"], &QUERIES[..]].concat();
    let all = tapline_in_one(&arguments);
    let (rows, account) = all.success().trim_end().rsplit_once('\n').unwrap();
    assert_eq!(by_query(rows)["query_3"].len(), 1);
    let account: Value = serde_json::from_str(account).unwrap();
    assert_eq!(account["queries"].as_array().unwrap().len(), QUERIES.len());
}

#[test]
fn tables_of_several_queries_stand_whole_below_their_names() {
    let run = query(capture(), &[&["--format", "table"], &QUERIES[..]].concat());
    let blocks: Vec<_> = run.success().trim_end().split("\n\n").collect();
    let names: Vec<_> = blocks.iter().map(|block| block.lines().next().unwrap()).collect();
    assert_eq!(names, ["query_1", "query_2", "query_3", "query_4", "query_5"]);
    for block in blocks {
        let widths: Vec<_> = block.lines().skip(1).map(|line| line.chars().count()).collect();
        assert!(widths.iter().all(|width| *width == widths[0]), "{}", &block[..200.min(block.len())]);
    }
}

#[test]
fn the_name_of_the_query_is_not_taken_by_a_column() {
    let column = "SELECT count(*) AS query FROM packets";
    let run = query(capture(), &["--format", "json", column, QUERIES[2]]);
    assert_failed(&run, 2, &["query_1", "`query`", "AS"]);
    assert_eq!(query(capture(), &["--format", "json", column]).success().lines().count(), 1, "alone it may");
}
