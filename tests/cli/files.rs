//! Capture files that are missing, empty, foreign, damaged or cut off.

use super::{assert_failed, capture, query};
use harness::run::tapline_reading;
use std::path::{Path, PathBuf};

const COUNT: [&str; 3] = ["--format", "csv", "SELECT count(*) AS packets FROM packets"];

/// Octets of the pcap file header, and of each record header.
const FILE_HEADER: usize = 24;
const RECORD_HEADER: usize = 16;

/// A file in a folder of its own, made from the capture's octets.
fn written(change: impl Fn(&mut Vec<u8>)) -> (tempfile::TempDir, PathBuf) {
    let mut octets = std::fs::read(capture()).unwrap();
    change(&mut octets);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("changed.pcap");
    std::fs::write(&path, octets).unwrap();
    (folder, path)
}

/// Where the record after the first `records` begins.
fn record_end(octets: &[u8], records: usize) -> usize {
    (0..records).fold(FILE_HEADER, |at, _| {
        let kept: [u8; 4] = octets[at + 8..at + 12].try_into().unwrap();
        at + RECORD_HEADER + u32::from_le_bytes(kept) as usize
    })
}

#[test]
fn what_is_no_capture_is_named_with_exit_code_1() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.pcap");
    assert_failed(&query(&missing, &COUNT), 1, &["missing.pcap", "no such file"]);
    assert_failed(&query(folder.path(), &COUNT), 1, &[folder.path().to_str().unwrap()]);
    for (name, octets) in
        [("empty.pcap", &b""[..]), ("foreign.pcap", b"%PDF-1.7 not a capture at all, but long enough")]
    {
        let path = folder.path().join(name);
        std::fs::write(&path, octets).unwrap();
        assert_failed(&query(&path, &COUNT), 1, &[name]);
    }
}

#[test]
fn one_missing_file_among_several_stops_all() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.pcap");
    let arguments = [&["--pcap", missing.to_str().unwrap()], &COUNT[..]].concat();
    assert_failed(&query(capture(), &arguments), 1, &["missing.pcap"]);
}

#[test]
fn a_capture_without_packets_is_empty_and_right() {
    let (_folder, path) = written(|octets| octets.truncate(FILE_HEADER));
    assert_eq!(query(&path, &COUNT).success(), "packets\n0\n");
}

#[test]
fn a_file_that_is_cut_off_gives_what_it_has_and_a_warning() {
    for missing in [1, 5, RECORD_HEADER] {
        let (_folder, path) = written(|octets| octets.truncate(record_end(octets, 100) - missing));
        let run = query(&path, &COUNT);
        assert_eq!(run.success(), "packets\n99\n", "{missing} octets are missing");
        assert!(run.stderr.contains("cut off"), "{}", run.stderr);
        assert!(run.stderr.contains("changed.pcap"), "{}", run.stderr);
    }
}

#[test]
fn damage_in_the_middle_never_ends_in_a_panic() {
    let (_folder, path) = written(|octets| {
        let length = record_end(octets, 100) + 8;
        octets[length..length + 4].fill(0xff);
    });
    let run = query(&path, &COUNT);
    assert!(matches!(run.code, Some(0 | 1)), "{run:?}");
    assert!(!run.stderr.contains("panicked") && run.stderr.contains("changed.pcap"), "{}", run.stderr);
}

#[test]
fn standard_input_is_a_capture_too() {
    let arguments = [&["query", "--pcap", "-"], &COUNT[..]].concat();
    let piped = tapline_reading(capture(), &arguments);
    assert_eq!(piped.success(), query(capture(), &COUNT).success());
    let folder = tempfile::tempdir().unwrap();
    let nothing = folder.path().join("nothing");
    std::fs::write(&nothing, "").unwrap();
    assert_failed(&tapline_reading(&nothing, &arguments), 1, &["standard input"]);
}

#[test]
fn the_same_file_twice_counts_twice() {
    let count = |run: &str| run.lines().nth(1).unwrap().parse::<u64>().unwrap();
    let once = count(query(capture(), &COUNT).success());
    let arguments = [&["--pcap", capture().to_str().unwrap()], &COUNT[..]].concat();
    assert_eq!(count(query(capture(), &arguments).success()), 2 * once);
}

#[test]
fn every_row_names_its_file() {
    let (_folder, path) = written(|octets| octets.truncate(record_end(octets, 1000)));
    let (whole, part) = (capture().to_str().unwrap(), path.to_str().unwrap());
    let counted = |table: &str, capture: &Path| {
        let sql = format!("SELECT count(*) AS rows FROM {table}");
        query(capture, &["--format", "csv", &sql]).success().lines().nth(1).unwrap().to_owned()
    };
    let sql = "SELECT source, count(*) AS packets FROM packets GROUP BY source ORDER BY packets DESC";
    for window in ["", ", tumble('1 hour')"] {
        let sql = sql.replace("GROUP BY source", &format!("GROUP BY source{window}"));
        let run = query(capture(), &["--pcap", part, "--format", "csv", &sql]);
        let found: Vec<_> = run.success().lines().skip(1).collect();
        let expected = [format!("{whole},{}", counted("packets", capture())), format!("{part},1000")];
        let rows = found.iter().zip(&expected).filter(|(found, expected)| found.contains(expected.as_str()));
        assert_eq!((found.len(), rows.count()), (2, 2), "{found:?}");
    }
    let sql = "SELECT source, count(*) AS flows FROM flows GROUP BY source";
    let one = query(&path, &["--format", "csv", sql]);
    assert_eq!(one.success(), format!("source,flows\n{part},{}\n", counted("flows", &path)));
    // Every flow of the part is in the whole, too: of equal packets, those of the file that is named first come first.
    let both = query(capture(), &["--pcap", part, "--format", "csv", sql]);
    assert_eq!(both.success(), format!("source,flows\n{whole},{}\n", counted("flows", capture())));
}

#[test]
fn standard_input_is_a_source_by_the_name_that_was_given() {
    let sql = "SELECT source, count(*) > 0 AS is_there FROM packets GROUP BY source";
    let run = tapline_reading(capture(), &["query", "--pcap", "-", "--format", "csv", sql]);
    assert_eq!(run.success(), "source,is_there\n-,true\n");
}
