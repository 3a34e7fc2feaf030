//! Results on standard output in every format, everything else on standard error.

use super::{capture, query};
use arrow_array::RecordBatch;
use arrow_array::cast::AsArray as _;
use arrow_array::types::Int64Type;
use arrow_ipc::reader::StreamReader;
use arrow_schema::DataType;
use harness::csv::read_csv;
use harness::run::Ending;
use harness::tapline;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;
use std::fs::File;
use std::path::Path;

const BY_PROTOCOL: &str = "SELECT protocol, min(src_ip) AS least, count(*) AS packets FROM packets GROUP BY protocol ORDER BY protocol";

#[test]
fn every_format_tells_the_same() {
    let [csv, json, arrow] =
        ["csv", "json", "arrow"].map(|format| query(capture(), &["--format", format, BY_PROTOCOL]));
    let rows = read_csv(csv.success()).rows;
    assert!(rows.len() > 2, "{rows:?}");

    let lines: Vec<Value> = json.success().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of_json = |value: &Value| match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let from_json: Vec<Vec<String>> = lines
        .iter()
        .map(|row| ["protocol", "least", "packets"].map(|name| of_json(&row[name])).to_vec())
        .collect();
    assert_eq!(from_json, rows);

    assert_eq!(arrow.code, Some(0), "{}", arrow.stderr);
    let batches: Vec<RecordBatch> =
        StreamReader::try_new(&*arrow.stdout, None).unwrap().map(Result::unwrap).collect();
    let packets =
        batches.iter().flat_map(|batch| batch.column(2).as_primitive::<Int64Type>().values().to_vec());
    assert_eq!(
        packets.map(|count| count.to_string()).collect::<Vec<_>>(),
        rows.iter().map(|row| row[2].clone()).collect::<Vec<_>>()
    );

    let table = query(capture(), &["--format", "table", BY_PROTOCOL]);
    for row in &rows {
        let all_in = |line: &str| row.iter().all(|field| line.contains(field));
        assert!(table.success().lines().any(all_in), "{row:?} is not in\n{}", table.text());
    }
}

/// All rows of a Parquet file.
fn rows_of(file: &Path) -> Vec<RecordBatch> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(file).unwrap()).unwrap();
    reader.build().unwrap().map(Result::unwrap).collect()
}

#[test]
fn a_parquet_file_holds_what_csv_says_in_types_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let sql = "SELECT ts, src_ip, src_mac, octets, octets / 2.0 AS half, octets AS octets FROM packets";
    let output = folder.path().to_str().unwrap();
    let written = query(
        capture(),
        &["--format", "parquet", "--output", output, &sql.replace(", octets AS octets", "")],
    );
    assert_eq!(written.success(), "");
    let batches = rows_of(&folder.path().join("query.parquet"));
    let schema = batches[0].schema();
    let types: Vec<&DataType> = schema.fields().iter().map(|field| field.data_type()).collect();
    assert!(matches!(types[0], DataType::Timestamp(..)), "{types:?}");
    assert_eq!(types[1..], [&DataType::Utf8, &DataType::Utf8, &DataType::Int64, &DataType::Float64]);
    let csv = query(capture(), &["--format", "csv", "SELECT src_ip, src_mac, octets FROM packets"]);
    let rows = read_csv(csv.success()).rows;
    let text =
        |column: usize| batches.iter().flat_map(move |batch| batch.column(column).as_string::<i32>().iter());
    let octets = batches.iter().flat_map(|batch| batch.column(3).as_primitive::<Int64Type>().iter());
    let found = text(1).zip(text(2)).zip(octets).map(|((ip, mac), octets)| {
        let number = octets.map_or_else(String::new, |octets| octets.to_string());
        [ip.unwrap_or_default().to_owned(), mac.unwrap_or_default().to_owned(), number].to_vec()
    });
    assert!(found.eq(rows.iter().cloned()), "{} rows", rows.len());
}

#[test]
fn a_parquet_file_is_whole_whatever_ended_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("all.parquet");
    let nothing =
        query(capture(), &["--format", "parquet", "SELECT src_ip FROM packets WHERE protocol = 250"]);
    assert_eq!(nothing.code, Some(0), "{}", nothing.stderr);
    std::fs::write(&file, &nothing.stdout).unwrap();
    assert_eq!(rows_of(&file).len(), 0, "no row is a file with columns");

    let octets = std::fs::read(capture()).unwrap();
    let output = folder.path().to_str().unwrap();
    let sql = "SELECT count(*) FROM packets GROUP BY tumble('1 second')";
    let arguments = ["query", "--pcap", "-", "--format", "parquet", "--output", output, sql];
    let run = harness::run::tapline_fed_and_interrupted(&octets, &arguments);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let batches = rows_of(&folder.path().join("query.parquet"));
    let names: Vec<String> = batches[0].schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["window_start", "window_end", "count(*)", "status"]);
    let statuses: Vec<&str> =
        batches.iter().flat_map(|batch| batch.column(3).as_string::<i32>().iter().flatten()).collect();
    assert_eq!((statuses.first(), statuses.last()), (Some(&"final"), Some(&"partial")));
}

#[test]
fn a_row_may_be_lines() {
    let run = query(capture(), &["--format", "lines", "SELECT 1 AS first, NULL AS b FROM packets LIMIT 2"]);
    let row = |number: u8| format!("-[ row {number} ]-------------------\nfirst | 1\nb     | \n");
    assert_eq!(run.success(), row(1) + &row(2));
}

#[test]
fn a_summary_goes_to_standard_error_unless_it_is_unwanted() {
    let run = query(capture(), &["--format", "csv", BY_PROTOCOL]);
    assert!(!run.stderr.is_empty(), "how much was seen");
    let quiet = query(capture(), &["--quiet", "--format", "csv", BY_PROTOCOL]);
    assert_eq!((quiet.success(), &*quiet.stderr), (run.success(), ""));
}

#[test]
fn nothing_found_is_a_header_alone() {
    let run =
        query(capture(), &["--format", "csv", "SELECT src_ip, octets FROM packets WHERE protocol = 250"]);
    assert_eq!(run.success(), "src_ip,octets\n");
}

#[test]
fn several_queries_share_one_pass() {
    let [first, second] = ["SELECT count(*) AS packets FROM packets", "SELECT count(*) AS flows FROM flows"];
    let json = query(capture(), &["--format", "json", first, second]);
    let lines: Vec<Value> = json.success().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<&str> = lines.iter().map(|row| row["query"].as_str().unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert!(names.contains(&"query_1") && names.contains(&"query_2"), "{names:?}");

    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("results");
    let run = query(capture(), &["--format", "csv", "--output", output.to_str().unwrap(), first, second]);
    assert_eq!(run.success(), "", "results are in the files");
    for (name, sql) in [("query_1", first), ("query_2", second)] {
        let alone = query(capture(), &["--format", "csv", sql]);
        let together = std::fs::read_to_string(output.join(format!("{name}.csv"))).unwrap();
        assert_eq!(together, alone.success(), "{sql}");
    }
}

#[test]
fn queries_come_from_a_file_too() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("by_protocol.sql");
    std::fs::write(&file, format!("-- a comment; not a query\n{BY_PROTOCOL};\n")).unwrap();
    let run = query(capture(), &["--format", "csv", "--query-file", file.to_str().unwrap()]);
    assert_eq!(run.success(), query(capture(), &["--format", "csv", BY_PROTOCOL]).success());
}

#[test]
fn a_limit_stops_an_input_that_never_ends() {
    let octets = std::fs::read(capture()).unwrap();
    let arguments = ["query", "--pcap", "-", "--format", "csv", "SELECT ts, src_ip FROM packets LIMIT 3"];
    assert_eq!(harness::run::tapline_fed(octets, &arguments).success().lines().count(), 4);
}

#[test]
fn results_are_shown_while_a_pipe_is_silent() {
    let octets = std::fs::read(capture()).unwrap();
    let sql = "SELECT count(*) AS packets FROM packets GROUP BY tumble('1 second')";
    let whole = query(capture(), &["--format", "csv", sql]);
    let closed = whole.success().lines().nth(1).unwrap();
    for format in ["csv", "json", "table"] {
        let arguments = ["query", "--pcap", "-", "--format", format, sql];
        let packets = closed.split(',').nth(2).unwrap();
        let run = harness::run::tapline_fed_until(octets.clone(), &arguments, packets, Ending::Input);
        assert_eq!(run.success().matches("partial").count(), 0, "{format}");
    }
}

#[test]
fn ctrl_c_ends_the_input_and_open_windows_are_partial() {
    let octets = std::fs::read(capture()).unwrap();
    let sql = "SELECT count(*) AS packets FROM packets GROUP BY tumble('1 second')";
    let arguments = ["query", "--pcap", "-", "--format", "csv", sql];
    let run = harness::run::tapline_fed_until(octets, &arguments, "final", Ending::Interrupt);
    let rows = read_csv(run.success()).rows;
    let statuses: Vec<&str> = rows.iter().map(|row| row[3].as_str()).collect();
    let (last, before) = statuses.split_last().unwrap();
    assert_eq!((*last, before[0]), ("partial", "final"));
    assert!(run.stderr.contains("ended before the input did"), "{}", run.stderr);
}

#[test]
fn a_limit_is_kept() {
    for limit in [0, 1, 10] {
        let sql = format!("SELECT ts, src_ip FROM packets LIMIT {limit}");
        let run = query(capture(), &["--format", "csv", &sql]);
        assert_eq!(run.success().lines().count(), limit + 1, "{sql}");
    }
}

#[test]
fn results_do_not_depend_on_the_number_of_workers() {
    let sql = "SELECT src_ip, dst_ip, count(*), sum(octets), min(ts), max(ttl) FROM packets \
        GROUP BY src_ip, dst_ip, hop('7 seconds', '21 seconds') ORDER BY src_ip, dst_ip";
    let run = |workers| query(capture(), &["--workers", workers, "--format", "csv", sql]);
    let sorted = |text: &str| text.lines().map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
    let one = run("1");
    for workers in ["2", "3", "7"] {
        assert_eq!(sorted(run(workers).success()), sorted(one.success()), "{workers} workers");
    }
}

#[test]
fn explain_says_what_an_interface_answers_in_the_kernel() {
    let explain = |arguments: &[&str]| {
        let arguments = [&["query", "--interface", "nosuch", "--explain"], arguments].concat();
        tapline(&arguments).success().to_owned()
    };
    let by_table = "SELECT protocol, count(*) FROM packets GROUP BY protocol, tumble('1 second')";
    let by_packet = "SELECT ttl, count(*) FROM packets GROUP BY ttl, tumble('1 second')";
    for ways in [&[][..], &["--mirror"]] {
        let text = explain(&[ways, &[by_table, by_packet]].concat());
        assert_eq!(text.matches("over the kernel's flow table").count(), 1, "{text}");
        assert!(text.contains("reads packets: ttl is no key of the kernel's flow table"), "{text}");
    }
}

#[test]
fn explain_runs_nothing_and_shows_both_halves() {
    let flag = query(capture(), &["--explain", BY_PROTOCOL]);
    let word = query(capture(), &[&format!("EXPLAIN {BY_PROTOCOL}")]);
    assert_eq!(flag.success(), word.success());
    assert!(flag.text().contains("protocol"), "{}", flag.text());
}

#[test]
fn groups_beyond_the_cap_fold_into_one_row_and_totals_stay() {
    let sql = "SELECT src_ip, count(*) AS packets FROM packets GROUP BY src_ip, tumble('60 seconds')";
    let total =
        |text: &str| read_csv(text).rows.iter().map(|row| row[3].parse::<u64>().unwrap()).sum::<u64>();
    let free = query(capture(), &["--format", "csv", sql]);
    let capped = query(capture(), &["--format", "csv", "--groups-max", "5", sql]);
    assert_eq!(total(capped.success()), total(free.success()));
    let folded = read_csv(capped.text()).rows.into_iter().filter(|row| row.last().unwrap() == "folded");
    assert!(folded.inspect(|row| assert_eq!(row[2], "", "keys are NULL")).count() > 0);
}
