//! What is said besides results: where it goes, in which form, and that nobody has to take it.

use super::{capture, query};
use harness::run::{Stream, tapline_into};
use serde_json::Value;

const COUNT: &str = "SELECT count(*) AS packets FROM packets";

/// The account, which is the last line.
fn account(said: &str) -> Value {
    serde_json::from_str(said.lines().last().unwrap()).unwrap()
}

#[test]
fn nobody_has_to_take_what_is_said() {
    let file = capture().to_str().unwrap();
    let cases: [(&[&str], i32); 5] = [
        (&["query", "--pcap", file, "--format", "csv", COUNT], 0),
        (&["query", "--pcap", file, "--summary", "json", COUNT], 0),
        (&["query", "--pcap", file, "SELECT nope FROM packets"], 2),
        (&["query", "--pcap", "no-such-file", COUNT], 1),
        (&["quary"], 2),
    ];
    for (arguments, code) in cases {
        for stream in [Stream::Full, Stream::Closed] {
            let run = tapline_into(arguments, None, Some(stream));
            assert_eq!(run.code, Some(code), "{arguments:?} into {stream:?}");
        }
    }
}

#[test]
fn nobody_has_to_take_results_and_what_is_said() {
    let file = capture().to_str().unwrap();
    let cases: [&[&str]; 5] = [
        &["query", "--pcap", file, COUNT],
        &["query", "--pcap", file, "--format", "json", "SELECT * FROM packets", COUNT],
        &["query", "--pcap", file, "--explain", COUNT],
        &["schema", "packets"],
        &["completions", "bash"],
    ];
    for arguments in cases {
        let closed = tapline_into(arguments, Some(Stream::Closed), Some(Stream::Closed));
        assert_eq!(closed.code, Some(0), "{arguments:?}: a reader who has seen enough is no failure");
        let full = tapline_into(arguments, Some(Stream::Full), None);
        assert_eq!(full.code, Some(1), "{arguments:?}: {}", full.stderr);
        assert!(full.stderr.contains("No space left"), "{arguments:?}: {}", full.stderr);
    }
}

#[test]
fn the_account_is_an_object_too() {
    let run = query(capture(), &["--format", "csv", "--summary", "json", COUNT, "--output", "/dev/null/x"]);
    assert_eq!(run.code, Some(1), "no folder can be there: {}", run.stderr);
    let run = query(capture(), &["--format", "csv", "--summary", "json", COUNT]);
    let packets: u64 = run.success().lines().nth(1).unwrap().parse().unwrap();
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
    let account = account(&run.stderr);
    let source = &account["sources"][0];
    for (key, count) in [("offered", packets), ("delivered", packets), ("undecodable", 0), ("dropped", 0)] {
        assert_eq!(source[key], count, "{key}: {account}");
    }
    let query = &account["queries"][0];
    for (key, count) in
        [("delivered", packets), ("used", packets), ("filtered", 0), ("late", 0), ("folded", 0)]
    {
        assert_eq!(query[key], count, "{key}: {account}");
    }
    assert_eq!((&query["query"], &account["files"][0]["end"]), (&"query".into(), &"complete".into()));
    for list in ["exporters", "remarks", "warnings"] {
        assert_eq!(account[list], Value::Array(vec![]), "{list}: {account}");
    }
    assert_eq!(account["ended_early"], false);
}

#[test]
fn the_account_of_a_file_that_is_cut_off_says_so() {
    let octets = std::fs::read(capture()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.pcap");
    std::fs::write(&path, &octets[..octets.len() - 1]).unwrap();
    let run = query(&path, &["--summary", "json", COUNT]);
    assert_eq!((run.code, run.stderr.lines().count()), (Some(0), 1), "{}", run.stderr);
    let account = account(&run.stderr);
    assert_eq!(account["files"][0]["end"], "cut off", "{account}");
    assert!(account["warnings"][0].as_str().unwrap().contains("cut.pcap is cut off"), "{account}");
}

#[test]
fn an_account_is_wanted_or_not() {
    let run = query(capture(), &["--quiet", "--summary", "json", COUNT]);
    super::assert_failed(&run, 2, &["--quiet", "--summary"]);
}
