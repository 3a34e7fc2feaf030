//! Windows that become wider, and sums beside files, against the same statements over the rows as they were stored.

use super::{BY_ADDRESS, HOUR, SECOND, Stored, ask, damage_rows, files, keep, open, parcel, stored};
use crate::history::History;
use crate::options::{HistoryOptions, RollUp};
use crate::pruning::Conditions;
use crate::rule::StoredSums;
use crate::summing::sum_up;
use datafusion::arrow::array::{
    Array as _, ArrayRef, AsArray as _, FixedSizeBinaryArray, Int64Array, RecordBatch,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::common::TableReference;
use datafusion::execution::SessionStateBuilder;
use datafusion::prelude::{SessionContext, col, lit};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tapline_operators::{QueryId, Span, Status, WindowResult};
use tapline_query::Planner;
use tapline_record::EventTime;
use tapline_sinks::{Origin, Parcel, ResultId};
use tokio::runtime::Builder;

const MINUTE: i64 = 60 * SECOND;
const BY_PAIR: &str = "SELECT src_ip, dst_port, count(*) AS n, sum(octets) AS octets, min(octets) AS least, \
    max(octets) AS most FROM flows GROUP BY src_ip, dst_port, tumble('1 minute')";
const BEST: &str = "SELECT src_ip, dst_port, count(*) AS n, sum(octets) AS octets, min(octets) AS least, \
    max(octets) AS most FROM flows GROUP BY src_ip, dst_port, tumble('1 minute') ORDER BY n DESC LIMIT 100000";

/// Numbers that look random, and are the same in each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: i64) -> i64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as i64) % bound
    }
}

/// Rows of groups: number of the address and of the port, and a size; a folded row has no keys.
type Row = (Option<i64>, Option<i64>, i64);

/// A result of these rows, of the minute that begins then.
fn minute(sql: &str, start: i64, rows: &[Row], status: Status, completeness: Option<f64>) -> Parcel {
    let origin = Origin::of("top-talkers", &Planner::new().plan(sql).unwrap());
    let columns = &origin.columns;
    let schema = Arc::new(columns.schema().project(&columns.selected().collect::<Vec<_>>()).unwrap());
    let address = |number: i64| {
        let [.., high, low] = number.to_be_bytes();
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 0, high, low]
    };
    let addresses = rows.iter().map(|(number, ..)| number.map(address));
    let addresses = FixedSizeBinaryArray::try_from_sparse_iter_with_size(addresses, 16).unwrap();
    let numbers = |of: &dyn Fn(&Row) -> Option<i64>| Arc::new(rows.iter().map(of).collect::<Int64Array>());
    let columns_of_rows: [ArrayRef; 6] = [
        Arc::new(addresses),
        numbers(&|(_, port, _)| *port),
        numbers(&|(.., size)| Some(size % 7)),
        numbers(&|(.., size)| Some(*size)),
        numbers(&|(.., size)| Some(size / 3)),
        numbers(&|(.., size)| Some(size / 2)),
    ];
    let typed = columns_of_rows.iter().zip(schema.fields());
    let typed = typed.map(|(column, field)| cast(column, field.data_type()).unwrap()).collect();
    let window = Some(Span { start: EventTime(start), end: EventTime(start + MINUTE) });
    let rows = vec![RecordBatch::try_new(schema, typed).unwrap()];
    let (query, revision) = (QueryId(0), u64::from(status == Status::Revised));
    let result = WindowResult { query, window, status, revision, completeness, rows };
    let id = ResultId { sender: 1, number: start };
    Parcel { id, origin: Arc::new(origin), result: Arc::new(result), given: EventTime(start + MINUTE) }
}

/// Takes an hour of minutes into files of some minutes each: one partial, one with groups beyond the cap, and real
/// groups without keys beside.
fn take_hour(stored: &mut Stored, sql: &str, start: i64) {
    let mut numbers = Numbers(start.unsigned_abs() + 7);
    for number in 0..60 {
        let row = |numbers: &mut Numbers| {
            let [address, port] =
                [30, 5].map(|bound| Some(numbers.below(bound)).filter(|number| *number > 0));
            (address, port, numbers.below(1_000_000))
        };
        let mut rows: Vec<Row> = (0..400).map(|_| row(&mut numbers)).collect();
        rows.sort_by_key(|(address, port, _)| (*address, *port));
        rows.dedup_by_key(|(address, port, _)| (*address, *port));
        let (status, completeness) = if number == 7 { (Status::Partial, 0.5) } else { (Status::Final, 1.0) };
        let begin = start + number * MINUTE;
        stored.sink.take(&minute(sql, begin, &rows, status, Some(completeness))).unwrap();
        if number == 9 {
            let beyond = [(None, None, 12_345)];
            stored.sink.take(&minute(sql, begin, &beyond, Status::Folded, Some(1.0))).unwrap();
        }
        if number % 13 == 0 {
            stored.sink.tend(EventTime(begin + 10 * MINUTE)).unwrap();
        }
    }
    stored.sink.tend(EventTime(start + 2 * HOUR)).unwrap();
}

fn rolling(folder: &Path) -> Stored {
    let hour = Duration::from_secs(3600);
    let rollup = vec![RollUp { after: hour, window: hour }];
    stored(HistoryOptions { rollup, ..HistoryOptions::new(folder) })
}

fn shown(history: &History, sql: &str) -> String {
    pretty_format_batches(&ask(history, None, sql).unwrap()).unwrap().to_string()
}

const ROLLED: &str = "SELECT src_ip, dst_port, sum(n) AS n, sum(octets) AS octets, min(least) AS least, \
    max(most) AS most, status = 'folded' AS beyond FROM \"top-talkers\" \
    GROUP BY src_ip, dst_port, status = 'folded' ORDER BY src_ip, dst_port, beyond";
const ROWS: &str = "SELECT src_ip, dst_port, n, octets, least, most, status = 'folded' AS beyond \
    FROM \"top-talkers\" ORDER BY src_ip, dst_port, beyond, n, octets, least, most";

#[test]
fn wider_windows_are_what_their_rows_come_to() {
    let folder = tempfile::tempdir().unwrap();
    let mut stored = rolling(folder.path());
    take_hour(&mut stored, BY_PAIR, 0);
    let expected = shown(&stored.history, ROLLED);
    keep(&stored, HOUR + 10 * MINUTE);
    let windows = "SELECT count(DISTINCT window_start) AS n FROM \"top-talkers\"";
    assert!(shown(&stored.history, windows).contains("60"), "it is not old enough");
    keep(&stored, 3 * HOUR);
    assert_eq!(shown(&stored.history, ROWS), expected);
    let windows = shown(
        &stored.history,
        "SELECT DISTINCT window_start, window_end, round(completeness * 600) AS completeness, status \
            FROM \"top-talkers\" ORDER BY status",
    );
    let lines: Vec<&str> = windows.lines().filter(|line| line.contains("1970")).collect();
    assert_eq!(lines.len(), 2, "{windows}");
    for (line, status) in lines.iter().zip(["folded", "partial"]) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        assert_eq!(cells[1..5], ["1970-01-01T00:00:00Z", "1970-01-01T01:00:00Z", "595.0", status], "{line}");
    }
    assert_eq!(*stored.said.lock().unwrap(), Vec::<String>::new());
}

#[test]
fn what_comes_late_joins_its_wider_window() {
    let folder = tempfile::tempdir().unwrap();
    let mut stored = rolling(folder.path());
    take_hour(&mut stored, BY_PAIR, 0);
    keep(&stored, 3 * HOUR);
    stored.sink.take(&minute(BY_PAIR, 5 * MINUTE, &[(Some(3), Some(2), 70)], Status::Final, None)).unwrap();
    stored.sink.tend(EventTime(4 * HOUR)).unwrap();
    let expected = shown(&stored.history, ROLLED);
    keep(&stored, 5 * HOUR);
    assert_eq!(shown(&stored.history, ROWS), expected);
    let unknown = "SELECT count(*) AS n, count(completeness) AS known FROM \"top-talkers\"";
    assert!(shown(&stored.history, unknown).contains("| 0     |"), "{}", shown(&stored.history, unknown));
    assert!(
        shown(&stored.history, "SELECT count(DISTINCT window_start) AS n FROM \"top-talkers\"")
            .contains("| 1 |")
    );
}

/// Hours of a day, and the first one of the next.
fn take_day(stored: &mut Stored) {
    for hour in [2, 3, 23, 24] {
        take_hour(stored, BY_PAIR, hour * HOUR);
    }
}

fn by_day(folder: &Path) -> Stored {
    let hours = |hours: u64| Duration::from_secs(hours * 3600);
    let rollup = vec![RollUp { after: hours(1), window: hours(24) }];
    stored(HistoryOptions { rollup, ..HistoryOptions::new(folder) })
}

#[test]
fn a_day_that_is_over_becomes_one_window_in_its_first_hour() {
    let folder = tempfile::tempdir().unwrap();
    let mut stored = by_day(folder.path());
    take_day(&mut stored);
    let day = "WHERE window_start < '1970-01-02T00:00:00Z'";
    let of_day = |sql: &str| sql.replace("FROM \"top-talkers\"", &format!("FROM \"top-talkers\" {day}"));
    let expected = shown(&stored.history, &of_day(ROLLED));
    keep(&stored, 24 * HOUR + 59 * MINUTE);
    let windows = "SELECT count(DISTINCT window_start) AS n FROM \"top-talkers\"";
    assert!(shown(&stored.history, windows).contains("240"), "it is not old enough");
    keep(&stored, 26 * HOUR);
    keep(&stored, 26 * HOUR);
    assert_eq!(shown(&stored.history, &of_day(ROWS)), expected);
    let rolled = "SELECT DISTINCT window_start, window_end, round(completeness * 600) AS completeness \
        FROM \"top-talkers\" WHERE window_start < '1970-01-02T00:00:00Z'";
    let rolled = shown(&stored.history, rolled);
    let cells: Vec<Vec<&str>> = rolled
        .lines()
        .filter(|line| line.contains("1970"))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    assert_eq!(cells.len(), 1, "{rolled}");
    assert_eq!(cells[0][1..4], ["1970-01-01T00:00:00Z", "1970-01-02T00:00:00Z", "595.0"]);
    let hours: Vec<PathBuf> =
        files(folder.path()).iter().map(|path| path.parent().unwrap().to_owned()).collect();
    let hours: Vec<_> = hours.iter().map(|hour| hour.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(hours, ["hour=1970-01-01T00", "hour=1970-01-02T00"]);
    // What comes late joins its day.
    stored
        .sink
        .take(&minute(BY_PAIR, 5 * HOUR, &[(Some(3), Some(2), 70)], Status::Final, Some(1.0)))
        .unwrap();
    stored.sink.tend(EventTime(26 * HOUR)).unwrap();
    let expected = shown(&stored.history, &of_day(ROLLED));
    keep(&stored, 27 * HOUR);
    assert_eq!(shown(&stored.history, &of_day(ROWS)), expected);
    assert_eq!(*stored.said.lock().unwrap(), Vec::<String>::new());
}

#[test]
fn a_day_counts_once_when_a_crash_came_between() {
    let folder = tempfile::tempdir().unwrap();
    let mut stored = by_day(folder.path());
    take_day(&mut stored);
    keep(&stored, 24 * HOUR + 59 * MINUTE);
    let before: Vec<(PathBuf, Vec<u8>)> =
        files(folder.path()).into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect();
    let old: Vec<(PathBuf, Vec<u8>)> = before.into_iter().take(3).collect();
    keep(&stored, 26 * HOUR);
    stored.sink.finish(EventTime(26 * HOUR)).unwrap();
    let expected = shown(&stored.history, ROWS);
    // As if the hours had not gone yet.
    let name = |path: &Path| format!("{}\n", path.strip_prefix(folder.path()).unwrap().display());
    let mut text = name(&files(folder.path())[0]);
    for (path, octets) in &old {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, octets).unwrap();
        text.push_str(&name(path));
    }
    std::fs::write(folder.path().join(".replaced"), text).unwrap();
    let mut again = by_day(folder.path());
    again.sink.tend(EventTime(26 * HOUR)).unwrap();
    assert_eq!(shown(&again.history, ROWS), expected);
    assert_eq!(files(folder.path()).len(), 2);
    assert!(!folder.path().join(".replaced").exists());
}

/// How the rows of the window that begins first are said to be, and how many of them say how complete that is; of files
/// that can be read.
fn statuses_of_first(stored: &Stored) -> (Vec<String>, usize) {
    let shared = &stored.history.shared;
    let part = shared.snapshot("top-talkers", |_| true).unwrap().0.remove(0);
    let (mut statuses, mut known) = (BTreeSet::new(), 0);
    for batch in shared.reader(&part).unwrap().build().unwrap() {
        let batch = batch.unwrap();
        let column = |name: &str| batch.column_by_name(name).unwrap();
        let texts = cast(column("status"), &DataType::Utf8).unwrap();
        statuses.extend(texts.as_string::<i32>().iter().flatten().map(str::to_owned));
        let completeness = column("completeness");
        known += completeness.len() - completeness.null_count();
    }
    (statuses.into_iter().collect(), known)
}

/// Takes hours of a day all of whose windows are complete.
fn take_whole_day(stored: &mut Stored) {
    for hour in [2, 3] {
        let rows = [(Some(3), Some(2), 70), (Some(4), None, 9)];
        for number in [0, 30] {
            let begin = hour * HOUR + number * MINUTE;
            stored.sink.take(&minute(BY_PAIR, begin, &rows, Status::Final, Some(1.0))).unwrap();
            stored.sink.tend(EventTime(begin + 10 * MINUTE)).unwrap();
        }
    }
    stored.sink.finish(EventTime(5 * HOUR)).unwrap();
}

/// What is done to a file.
type Harm<'a> = &'a dyn Fn(&Path);

#[test]
fn a_day_that_lacks_a_file_is_not_said_to_be_complete() {
    let rubbish = |path: &Path| std::fs::write(path, "rubbish").unwrap();
    let damaged = |path: &Path| {
        damage_rows(path);
    };
    let torn = |path: &Path| {
        std::fs::remove_file(path).unwrap();
        std::os::unix::fs::symlink(path, path).unwrap();
    };
    let ways: [(&str, Harm); 4] =
        [("whole", &|_: &Path| ()), ("rubbish", &rubbish), ("damaged", &damaged), ("torn", &torn)];
    for (way, harm) in ways {
        let folder = tempfile::tempdir().unwrap();
        let mut stored = by_day(folder.path());
        take_whole_day(&mut stored);
        let last = files(folder.path()).pop().unwrap();
        harm(&last);
        for turn in 0..4 {
            keep(&stored, 26 * HOUR + turn * 20 * SECOND);
        }
        let windows = if way == "whole" { ("final", 2) } else { ("partial", 0) };
        assert_eq!(statuses_of_first(&stored), (vec![windows.0.to_owned()], windows.1), "{way}");
    }
}

#[test]
fn a_day_becomes_one_window_without_a_file_that_cannot_be_read_which_joins_it_later() {
    let folder = tempfile::tempdir().unwrap();
    let mut stored = by_day(folder.path());
    take_day(&mut stored);
    let of_day = |sql: &str| {
        let day = "FROM \"top-talkers\" WHERE window_start < '1970-01-02T00:00:00Z'";
        sql.replace("FROM \"top-talkers\"", day)
    };
    let expected = shown(&stored.history, &of_day(ROLLED));
    keep(&stored, 24 * HOUR + 59 * MINUTE);
    let torn = files(folder.path()).remove(1);
    let octets = std::fs::read(&torn).unwrap();
    std::fs::remove_file(&torn).unwrap();
    std::os::unix::fs::symlink(&torn, &torn).unwrap();
    keep(&stored, 26 * HOUR);
    keep(&stored, 26 * HOUR + 20 * SECOND);
    let why = stored.sink.trouble().unwrap();
    assert!(why.contains("cannot be rolled up") && why.contains("others go on"), "{why}");
    assert_eq!(files(folder.path()).len(), 3, "the day, the file and the next day");
    assert_eq!(statuses_of_first(&stored), (vec!["folded".to_owned(), "partial".to_owned()], 0));
    std::fs::remove_file(&torn).unwrap();
    std::fs::write(&torn, octets).unwrap();
    keep(&stored, 26 * HOUR + 10 * MINUTE);
    assert_eq!(files(folder.path()).len(), 2);
    assert_eq!(shown(&stored.history, &of_day(ROWS)), expected);
}

#[test]
fn windows_that_lack_groups_stay_and_that_is_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut stored = rolling(folder.path());
    take_hour(&mut stored, BEST, 0);
    let before = shown(&stored.history, ROWS);
    keep(&stored, 3 * HOUR);
    assert_eq!(shown(&stored.history, ROWS), before);
    let said = stored.said.lock().unwrap().join("\n");
    assert_eq!(said, "windows of `top-talkers` are not put together while they age: LIMIT leaves groups out");
}

#[test]
fn what_is_revised_is_not_added_to_what_it_replaces() {
    let folder = tempfile::tempdir().unwrap();
    let mut stored = rolling(folder.path());
    take_hour(&mut stored, BY_PAIR, 0);
    let revised = [(Some(3), Some(2), 70), (None, Some(1), 9)];
    stored.sink.take(&minute(BY_PAIR, 5 * MINUTE, &revised, Status::Revised, Some(1.0))).unwrap();
    stored.sink.tend(EventTime(2 * HOUR)).unwrap();
    let before = shown(&stored.history, ROWS);
    keep(&stored, 3 * HOUR);
    assert_eq!(shown(&stored.history, ROWS), before, "windows stay as they are");
    let revised = "SELECT count(*) AS n FROM \"top-talkers\" WHERE status = 'revised'";
    assert_eq!(super::numbers(&stored.history, revised), [2]);
    let said = stored.said.lock().unwrap().join("\n");
    assert_eq!(
        said,
        "windows of `top-talkers` are not put together while they age: some of an hour were revised"
    );
}

/// What a statement answers where sums are read, and how.
fn summed(history: &History, sql: &str) -> (String, String) {
    let state = SessionStateBuilder::new().with_default_features().with_optimizer_rule(Arc::new(StoredSums));
    let context = SessionContext::new_with_state(state.build());
    let schema = history.schema("top-talkers").unwrap().unwrap();
    let name = TableReference::bare("top-talkers");
    context.register_table(name, history.table("top-talkers", schema, None)).unwrap();
    let runtime = Builder::new_current_thread().build().unwrap();
    let asked = |sql: String| {
        let answer = runtime.block_on(async { context.sql(&sql).await?.collect().await });
        pretty_format_batches(&answer.unwrap()).unwrap().to_string()
    };
    (asked(sql.to_owned()), asked(format!("EXPLAIN {sql}")))
}

/// Two hours that are summed up, and the beginning of one that is not.
fn two_hours(folder: &Path) -> Stored {
    let mut stored = open(folder);
    take_hour(&mut stored, BY_PAIR, 0);
    take_hour(&mut stored, BY_PAIR, HOUR);
    keep(&stored, 3 * HOUR);
    let (parts, _) = stored.history.shared.snapshot("top-talkers", |_| true).unwrap();
    assert_eq!(parts.len(), 2);
    for part in &parts {
        sum_up(&stored.history.shared, part, &AtomicBool::new(false)).unwrap();
        assert!(stored.history.shared.store.sums_of(part).len() > 1, "{part:?}");
    }
    stored.sink.take(&minute(BY_PAIR, 2 * HOUR, &[(Some(3), Some(2), 70)], Status::Final, None)).unwrap();
    stored
}

#[test]
fn sums_answer_what_rows_would() {
    let folder = tempfile::tempdir().unwrap();
    let stored = two_hours(folder.path());
    let from = |hours: &str| format!("FROM \"top-talkers\" WHERE window_start >= '1970-01-01T{hours}:00Z'");
    let statements = [
        "SELECT count(*) AS rows, sum(octets) AS octets, min(least) AS least, max(most) AS most, count(n) AS n FROM \"top-talkers\"".to_owned(),
        "SELECT src_ip, sum(octets) AS octets FROM \"top-talkers\" GROUP BY src_ip ORDER BY octets DESC LIMIT 3".to_owned(),
        "SELECT date_trunc('hour', window_start) AS hour, sum(n) AS n, count(*) AS rows FROM \"top-talkers\" GROUP BY hour ORDER BY hour".to_owned(),
        "SELECT DISTINCT dst_port FROM \"top-talkers\" ORDER BY dst_port".to_owned(),
        "SELECT t.dst_port, max(t.most) AS most FROM \"top-talkers\" AS t WHERE t.dst_port IN (1, 2) GROUP BY t.dst_port ORDER BY t.dst_port".to_owned(),
        format!("SELECT src_ip, sum(octets) AS octets {} GROUP BY src_ip ORDER BY src_ip", from("01:00")),
        format!("SELECT src_ip, sum(octets) AS octets {} GROUP BY src_ip ORDER BY src_ip", from("00:31")),
        format!("SELECT src_ip, sum(octets) AS octets {} AND src_ip = '10.0.0.3' GROUP BY src_ip", from("00:31")),
        format!("SELECT count(*) AS rows, sum(n) AS n, min(window_start) AS first {} AND status = 'final'", from("00:31")),
    ];
    for sql in &statements {
        let (answer, plan) = summed(&stored.history, sql);
        assert_eq!(answer, shown(&stored.history, sql), "{sql}");
        let has_aggregates = !sql.contains("DISTINCT");
        assert_eq!(plan.contains("computed"), has_aggregates, "{sql}: {plan}");
    }
}

#[test]
fn what_is_not_in_sums_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let stored = two_hours(folder.path());
    for sql in [
        "SELECT count(DISTINCT src_ip) AS n, avg(octets) AS mean FROM \"top-talkers\"",
        "SELECT n, count(*) AS rows FROM \"top-talkers\" GROUP BY n ORDER BY n",
        "SELECT src_ip, count(*) AS rows FROM \"top-talkers\" WHERE octets > 500000 GROUP BY src_ip ORDER BY src_ip",
        "SELECT count(*) AS rows, sum(n) AS n FROM \"top-talkers\" WHERE window_start >= '2000-01-01T00:00:00Z'",
        "SELECT sum(dst_port) AS ports FROM \"top-talkers\"",
    ] {
        let (answer, plan) = summed(&stored.history, sql);
        assert_eq!(answer, shown(&stored.history, sql), "{sql}");
        assert!(!plan.contains("number of rows") && !plan.contains("computed"), "{sql}: {plan}");
    }
}

#[test]
fn what_ends_before_its_time_leaves_no_sums() {
    let folder = tempfile::tempdir().unwrap();
    let mut stored = open(folder.path());
    take_hour(&mut stored, BY_PAIR, 0);
    stored.sink.finish(EventTime(2 * HOUR)).unwrap();
    let shared = &stored.history.shared;
    let (parts, _) = shared.snapshot("top-talkers", |_| true).unwrap();
    sum_up(shared, &parts[0], &AtomicBool::new(true)).unwrap();
    assert!(!shared.store.has_sums(&parts[0]), "who sums it up again makes all of them");
    assert_eq!(std::fs::read_dir(folder.path().join(".new")).unwrap().count(), 0);
    sum_up(shared, &parts[0], &AtomicBool::new(false)).unwrap();
    assert!(!shared.store.sums_of(&parts[0]).is_empty());
}

#[test]
fn sums_go_with_their_files() {
    let folder = tempfile::tempdir().unwrap();
    let mut stored = two_hours(folder.path());
    let sums = folder.path().join(".sums/query=top-talkers");
    let hours = || std::fs::read_dir(&sums).map_or(0, Iterator::count);
    assert_eq!(hours(), 2);
    // Another file comes to the first hour, and both become one.
    stored.sink.take(&minute(BY_PAIR, MINUTE, &[(Some(3), Some(2), 70)], Status::Final, None)).unwrap();
    stored.sink.tend(EventTime(4 * HOUR)).unwrap();
    keep(&stored, 5 * HOUR);
    assert_eq!(hours(), 1);
    stored.sink.finish(EventTime(5 * HOUR)).unwrap();
    std::fs::remove_dir_all(folder.path().join("query=top-talkers/hour=1970-01-01T01")).unwrap();
    let mut again = open(folder.path());
    again.sink.tend(EventTime(5 * HOUR)).unwrap();
    assert_eq!(hours(), 0, "sums of files that somebody took away go at the next start");
}

#[test]
fn an_address_is_looked_for_where_it_may_be() {
    let folder = tempfile::tempdir().unwrap();
    let mut stored = open(folder.path());
    let rows: Vec<Row> = (0..140_000).map(|row| (Some(row / 4), Some(row % 4), row)).collect();
    stored.sink.take(&minute(BY_PAIR, 0, &rows, Status::Final, None)).unwrap();
    stored.sink.finish(EventTime(HOUR)).unwrap();
    let shared = &stored.history.shared;
    let (parts, _) = shared.snapshot("top-talkers", |_| true).unwrap();
    let schema = stored.history.schema("top-talkers").unwrap().unwrap();
    let state = SessionContext::new().state();
    let groups = |filter| {
        let reader = shared.reader(&parts[0]).unwrap();
        assert_eq!(reader.metadata().num_row_groups(), 2);
        Conditions::of(&[filter], &schema, &state).unwrap().groups(&reader)
    };
    assert_eq!(groups(col("src_ip").eq(lit("10.0.0.0"))), [0], "texts are in order");
    assert_eq!(groups(col("src_ip").eq(lit("10.0.99.99"))), [1]);
    assert_eq!(groups(col("dst_port").eq(lit(2))), [0, 1]);
    assert_eq!(groups(col("dst_port").eq(lit(9))), [0; 0]);
    // They lie between others, and yet a file knows of most that they are not there.
    let is_known = |number: &i32| groups(col("src_ip").eq(lit(format!("10.0.1.1x{number}")))).is_empty();
    assert!((0..40).filter(is_known).count() > 30);
}

#[test]
fn rows_of_one_key_are_read_from_files_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let mut stored = open(folder.path());
    for number in 0..3 {
        stored.sink.take(&parcel(BY_ADDRESS, number * SECOND, number)).unwrap();
    }
    stored.sink.finish(EventTime(HOUR)).unwrap();
    assert_eq!(super::numbers(&stored.history, "SELECT n FROM \"top-talkers\""), [0, 1, 2]);
}
