//! Stored results, from what takes them to what asks them.

mod away;
mod rolled;

use crate::history::History;
use crate::keeper::Order;
use crate::newest::Newest;
use crate::options::HistoryOptions;
use crate::tails::tail_of;
use datafusion::arrow::array::{ArrayRef, AsArray as _, FixedSizeBinaryArray, Int64Array, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Int64Type, Schema};
use datafusion::common::TableReference;
use datafusion::prelude::SessionContext;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tapline_operators::{QueryId, ResultColumns, Span, Status, WindowResult};
use tapline_query::Planner;
use tapline_record::EventTime;
use tapline_sinks::{Origin, Parcel, Refusal, ResultId, Sink, plain};
use tapline_sources::Clock;
use tokio::runtime::Builder;

const SECOND: i64 = 1_000_000_000;
const HOUR: i64 = 3600 * SECOND;
const BY_ADDRESS: &str = "SELECT src_ip, count(*) AS n FROM packets GROUP BY src_ip, tumble('1 second')";
const BY_PORT: &str = "SELECT dst_port, count(*) AS n FROM packets GROUP BY dst_port, tumble('1 second')";

/// A clock that stands.
#[derive(Debug, Default)]
struct Standing(AtomicI64);

impl Clock for Standing {
    fn now(&self) -> EventTime {
        EventTime(self.0.load(Ordering::Relaxed))
    }
}

type Said = Arc<Mutex<Vec<String>>>;

/// A history in a folder, and what stores there.
struct Stored {
    history: History,
    sink: Box<dyn Sink>,
    said: Said,
}

fn stored(options: HistoryOptions) -> Stored {
    of(History::new(options))
}

fn of(history: History) -> Stored {
    let said = Said::default();
    let tells = Arc::clone(&said);
    let told = Arc::new(move |_, what: &str| tells.lock().unwrap().push(what.to_owned()));
    let sink = history.sink(Arc::new(Standing::default()), told);
    Stored { history, sink, said }
}

fn open(folder: &Path) -> Stored {
    stored(HistoryOptions::new(folder))
}

/// A result of one row with this number, of the window that begins then.
fn parcel(sql: &str, start: i64, number: i64) -> Parcel {
    let columns = ResultColumns::of(&Planner::new().plan(sql).unwrap(), true);
    let rows = Arc::new(columns.schema().project(&[2, 3]).unwrap());
    let key: ArrayRef = match rows.field(0).data_type() {
        DataType::FixedSizeBinary(16) => {
            let address = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 0, 2, 7];
            Arc::new(FixedSizeBinaryArray::try_from_iter([address].into_iter()).unwrap())
        }
        other => datafusion::arrow::array::new_null_array(other, 1),
    };
    let rows = RecordBatch::try_new(rows, vec![key, Arc::new(Int64Array::from(vec![number]))]).unwrap();
    let window = Some(Span { start: EventTime(start), end: EventTime(start + SECOND) });
    let result = WindowResult {
        query: QueryId(0),
        window,
        status: Status::Final,
        revision: 0,
        completeness: Some(1.0),
        rows: vec![rows],
    };
    let origin = Origin::of("top-talkers", &Planner::new().plan(sql).unwrap());
    let id = ResultId { sender: 1, number };
    Parcel { id, origin: Arc::new(origin), result: Arc::new(result), given: EventTime(start + SECOND) }
}

/// What a statement over `top-talkers` answers.
fn ask(history: &History, newest: Option<Arc<dyn Newest>>, sql: &str) -> Result<Vec<RecordBatch>, String> {
    let schema = history.schema("top-talkers").map_err(|error| error.to_string())?.unwrap();
    let context = SessionContext::new();
    let name = TableReference::bare("top-talkers");
    context.register_table(name, history.table("top-talkers", schema, newest)).unwrap();
    let runtime = Builder::new_current_thread().build().unwrap();
    let answer = runtime.block_on(async { context.sql(sql).await?.collect().await });
    answer.map_err(|error| error.to_string())
}

/// The numbers in the first column.
fn first(batches: &[RecordBatch]) -> Vec<i64> {
    batches.iter().flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec()).collect()
}

/// The numbers that a statement answers in its first column.
fn numbers(history: &History, sql: &str) -> Vec<i64> {
    first(&ask(history, None, sql).unwrap())
}

fn all(history: &History) -> Vec<i64> {
    numbers(history, "SELECT n FROM \"top-talkers\" ORDER BY n")
}

/// Takes a result a second from `from` on, each into a file of its own.
fn store(stored: &mut Stored, from: i64, results: i64) {
    for number in from..from + results {
        stored.sink.take(&parcel(BY_ADDRESS, number * SECOND, number)).unwrap();
        stored.sink.tend(EventTime((number + 60) * SECOND)).unwrap();
    }
}

fn keep(stored: &Stored, now: i64) {
    let said = Arc::clone(&stored.said);
    let told = Arc::new(move |_, what: &str| said.lock().unwrap().push(what.to_owned()));
    Order::new(Arc::clone(&stored.history.shared), told).keep(EventTime(now), &AtomicBool::new(false));
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = vec![];
    for query in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if query.file_name().unwrap().to_str().unwrap().starts_with("query=") {
            for hour in fs::read_dir(query).unwrap().map(|entry| entry.unwrap().path()) {
                files.extend(fs::read_dir(hour).unwrap().map(|entry| entry.unwrap().path()));
            }
        }
    }
    files.sort();
    files
}

#[test]
fn a_result_is_seen_once_whether_it_waits_or_lies_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut stored = open(folder.path());
    stored.sink.take(&parcel(BY_ADDRESS, 0, 1)).unwrap();
    stored.sink.take(&parcel(BY_ADDRESS, HOUR, 2)).unwrap();
    stored.sink.tend(EventTime(SECOND)).unwrap();
    assert_eq!((files(folder.path()).len(), stored.sink.held()), (0, 2));
    assert_eq!(all(&stored.history), [1, 2]);
    stored.sink.tend(EventTime(HOUR + 11 * SECOND)).unwrap();
    let names: Vec<_> = files(folder.path())
        .iter()
        .map(|path| path.strip_prefix(folder.path()).unwrap().to_str().unwrap().to_owned())
        .collect();
    assert!(names[0].starts_with("query=top-talkers/hour=1970-01-01T00/00000001-"), "{names:?}");
    assert!(names[1].starts_with("query=top-talkers/hour=1970-01-01T01/00000001-"), "{names:?}");
    assert_eq!((names.len(), stored.sink.held()), (2, 0));
    let elsewhere = History::new(HistoryOptions::new(folder.path()));
    for history in [&stored.history, &elsewhere] {
        assert_eq!(all(history), [1, 2]);
        let hour = "SELECT n FROM \"top-talkers\" WHERE window_start >= '1970-01-01T01:00:00Z' AND src_ip = '192.0.2.7'";
        assert_eq!(numbers(history, hour), [2]);
        assert_eq!(numbers(history, "SELECT count(*) FROM \"top-talkers\" WHERE status = 'final'"), [2]);
    }
    assert_eq!(elsewhere.queries().unwrap(), ["top-talkers"]);
    assert!(elsewhere.schema("nobody").unwrap().is_none());
}

/// Results that somebody has in memory.
#[derive(Debug)]
struct Kept(Vec<Parcel>);

impl Newest for Kept {
    fn results(&self) -> datafusion::common::Result<Vec<Arc<WindowResult>>> {
        Ok(self.0.iter().map(|parcel| Arc::clone(&parcel.result)).collect())
    }

    fn rows(&self, result: &WindowResult, _: &Schema) -> datafusion::common::Result<Vec<RecordBatch>> {
        let batches = self.0[0].origin.columns.batches(result)?;
        Ok(batches.iter().map(plain).collect::<Result<_, _>>()?)
    }
}

#[test]
fn what_is_in_memory_too_is_seen_once_and_parts_of_one_window_each() {
    let folder = tempfile::tempdir().unwrap();
    let mut before = open(folder.path());
    before.sink.take(&parcel(BY_ADDRESS, 0, 1)).unwrap();
    before.sink.finish(EventTime(SECOND)).unwrap();
    let mut stored = open(folder.path());
    // The second part of the same window, a later one, and one that is on its way to the sink.
    let parcels =
        [(0, 2), (SECOND, 3), (2 * SECOND, 4)].map(|(start, number)| parcel(BY_ADDRESS, start, number));
    let kept: Arc<dyn Newest> = Arc::new(Kept(parcels.to_vec()));
    let seen = |stored: &Stored| {
        let sql = "SELECT n FROM \"top-talkers\" ORDER BY n";
        first(&ask(&stored.history, Some(Arc::clone(&kept)), sql).unwrap())
    };
    assert_eq!(seen(&stored), [1, 2, 3, 4], "nothing of it is stored");
    stored.sink.take(&parcels[0]).unwrap();
    assert_eq!(seen(&stored), [1, 2, 3, 4], "one waits to be written");
    stored.sink.tend(EventTime(60 * SECOND)).unwrap();
    stored.sink.take(&parcels[1]).unwrap();
    assert_eq!(seen(&stored), [1, 2, 3, 4], "one is written, and one waits");
    let late = "SELECT n FROM \"top-talkers\" WHERE window_start >= '1970-01-01T00:00:01Z' ORDER BY n";
    assert_eq!(first(&ask(&stored.history, Some(Arc::clone(&kept)), late).unwrap()), [3, 4]);
    assert_eq!(all(&stored.history), [1, 2, 3]);
}

#[test]
fn many_small_files_become_one_while_somebody_reads_them() {
    let folder = tempfile::tempdir().unwrap();
    let mut stored = open(folder.path());
    store(&mut stored, 0, 40);
    assert_eq!(files(folder.path()).len(), 40);
    // This reader has looked which files there are, and opens them afterwards.
    let (before, _) = stored.history.shared.snapshot("top-talkers", |_| true).unwrap();
    keep(&stored, 600 * SECOND);
    assert_eq!(files(folder.path()).len(), 1);
    assert_eq!(all(&stored.history), (0..40).collect::<Vec<_>>());
    let rows = |part| {
        let reader = stored.history.shared.reader(part).unwrap().build().unwrap();
        reader.map(|batch| batch.unwrap().num_rows()).sum::<usize>()
    };
    assert_eq!(before.iter().map(rows).sum::<usize>(), 40);
    store(&mut stored, 40, 2);
    assert_eq!(files(folder.path()).len(), 3);
    keep(&stored, HOUR + 600 * SECOND);
    assert_eq!(files(folder.path()).len(), 1, "the hour is over");
    assert_eq!(all(&stored.history), (0..42).collect::<Vec<_>>());
    assert_eq!(*stored.said.lock().unwrap(), Vec::<String>::new());
}

#[test]
fn what_a_crash_left_is_nobodys_and_what_was_stored_is_there_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut stored = open(folder.path());
    store(&mut stored, 0, 3);
    stored.sink.take(&parcel(BY_ADDRESS, 9 * SECOND, 9)).unwrap();
    drop(stored);
    let hour = folder.path().join("query=top-talkers/hour=1970-01-01T00");
    let beside = folder.path().join("query=top-talkers/.hour=1970-01-01T00");
    fs::create_dir(&beside).unwrap();
    let any = fs::read_dir(&hour).unwrap().next().unwrap().unwrap().path();
    fs::copy(&any, beside.join("00000009-00000000.parquet")).unwrap();
    fs::write(folder.path().join(".new/7"), "half a file").unwrap();
    let reads = History::new(HistoryOptions::new(folder.path()));
    assert_eq!(all(&reads), [0, 1, 2]);
    let mut again = open(folder.path());
    store(&mut again, 3, 1);
    assert_eq!(all(&again.history), [0, 1, 2, 3]);
    assert!(!beside.exists() && !folder.path().join(".new/7").exists());
}

#[test]
fn a_file_that_cannot_be_read_is_named_and_put_aside() {
    let folder = tempfile::tempdir().unwrap();
    let mut stored = open(folder.path());
    store(&mut stored, 0, 3);
    let torn = files(folder.path())[1].clone();
    fs::write(&torn, "PAR1 and no end").unwrap();
    let failed = ask(&stored.history, None, "SELECT count(n) FROM \"top-talkers\"");
    assert!(failed.unwrap_err().contains("cannot be read"));
    keep(&stored, 2 * HOUR);
    assert_eq!(all(&stored.history), [0, 2]);
    assert!(stored.said.lock().unwrap()[0].contains("was put aside as "), "{:?}", stored.said);
    let aside = torn.with_extension("damaged");
    assert_eq!(fs::read_to_string(aside).unwrap(), "PAR1 and no end", "it stays where it was told to be");
}

#[test]
fn others_are_merged_without_a_file_that_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut stored = open(folder.path());
    store(&mut stored, 0, 3);
    stored.sink.finish(EventTime(3 * SECOND)).unwrap();
    let torn = files(folder.path())[1].clone();
    fs::remove_file(&torn).unwrap();
    std::os::unix::fs::symlink(&torn, &torn).unwrap();
    keep(&stored, 2 * HOUR);
    // What is no file of anybody's goes with the folder.
    assert_eq!((files(folder.path()).len(), all(&stored.history)), (1, vec![0, 2]));
    let said = stored.said.lock().unwrap().join("\n");
    assert!(said.contains("cannot be merged") && said.contains("others go on"), "{said}");
}

/// Overwrites what is in front of a file's end, which stays as it is; gives what was in the file.
fn damage_rows(path: &Path) -> Vec<u8> {
    let octets = fs::read(path).unwrap();
    let tail = tail_of(path).unwrap().len();
    let mut damaged = octets.clone();
    let rows = 4..octets.len() - tail;
    damaged[rows].fill(0xff);
    fs::write(path, damaged).unwrap();
    octets
}

#[test]
fn a_file_whose_rows_are_damaged_costs_itself_only_and_joins_the_others_when_it_is_mended() {
    let folder = tempfile::tempdir().unwrap();
    let mut stored = open(folder.path());
    store(&mut stored, 0, 4);
    stored.sink.finish(EventTime(3 * SECOND)).unwrap();
    let damaged = files(folder.path())[1].clone();
    let octets = damage_rows(&damaged);
    keep(&stored, 2 * HOUR);
    assert_eq!(files(folder.path()).len(), 2, "the others are one");
    let why = stored.sink.trouble().unwrap();
    let name = damaged.file_name().unwrap().to_str().unwrap();
    assert!(why.starts_with("1 files wait that cannot be read") && why.contains(name), "{why}");
    let (parts, _) = stored.history.shared.snapshot("top-talkers", |_| true).unwrap();
    let rows = |part| stored.history.shared.reader(part).unwrap().metadata().file_metadata().num_rows();
    assert_eq!(parts.iter().map(rows).collect::<Vec<_>>(), [1, 3]);
    // It is not told again, whenever it is tried.
    for minutes in [1, 6, 12] {
        keep(&stored, 2 * HOUR + minutes * 60 * SECOND);
        assert_eq!(files(folder.path()).len(), 2);
    }
    assert_eq!(*stored.said.lock().unwrap(), Vec::<String>::new(), "the outlet tells what is trouble");
    fs::write(&damaged, octets).unwrap();
    keep(&stored, 2 * HOUR + 13 * 60 * SECOND);
    assert_eq!(files(folder.path()).len(), 2, "it is left alone for a while");
    keep(&stored, 2 * HOUR + 20 * 60 * SECOND);
    assert_eq!((files(folder.path()).len(), all(&stored.history)), (1, vec![0, 1, 2, 3]));
    assert_eq!(stored.sink.trouble(), None);
}

#[test]
fn whoever_only_reads_is_answered_from_what_can_be_opened_and_told_what_cannot() {
    let folder = tempfile::tempdir().unwrap();
    let mut stored = open(folder.path());
    store(&mut stored, 0, 3);
    stored.sink.take(&parcel(BY_ADDRESS, HOUR, 3)).unwrap();
    stored.sink.finish(EventTime(HOUR)).unwrap();
    let whole = History::of_folder(folder.path());
    assert_eq!((all(&whole), whole.left_out()), (vec![0, 1, 2, 3], None));
    let torn = files(folder.path())[1].clone();
    fs::write(&torn, "PAR1 and no end").unwrap();
    // It is the newest one, which says the columns.
    let newest = files(folder.path())[3].clone();
    fs::write(&newest, "rubbish").unwrap();
    let reads = History::of_folder(folder.path());
    let late = "SELECT n FROM \"top-talkers\" WHERE window_start < '1970-01-01T00:00:01Z' AND n < 9";
    let of_hour = numbers(&reads, late);
    assert_eq!(of_hour, [0]);
    let said = reads.left_out().unwrap();
    assert!(
        said.starts_with("1 files are left out of the answer: ") && said.contains("cannot be read"),
        "{said}"
    );
    assert!(said.contains(torn.to_str().unwrap()), "{said}");
    assert_eq!(all(&reads), [0, 2]);
    assert!(reads.left_out().unwrap().starts_with("2 files are left out"));
    // Who stores there puts it aside, and refuses a question that it would answer without it until then.
    let node = History::new(HistoryOptions::new(folder.path()));
    assert!(ask(&node, None, "SELECT count(n) FROM \"top-talkers\"").unwrap_err().contains("cannot be read"));
    files(folder.path()).iter().for_each(|path| fs::write(path, "rubbish").unwrap());
    let nothing = History::of_folder(folder.path()).schema("top-talkers").unwrap_err().to_string();
    assert!(nothing.contains("cannot be read"), "{nothing}");
}

#[test]
fn another_query_of_the_name_has_columns_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let mut stored = open(folder.path());
    store(&mut stored, 0, 2);
    stored.sink.take(&parcel(BY_PORT, 2 * SECOND, 2)).unwrap();
    stored.sink.tend(EventTime(60 * SECOND)).unwrap();
    keep(&stored, 2 * HOUR);
    assert_eq!(files(folder.path()).len(), 2, "one for each set of columns");
    assert_eq!(all(&stored.history), [0, 1, 2]);
    let with = |column: &str| format!("SELECT n FROM \"top-talkers\" WHERE {column} IS NOT NULL ORDER BY n");
    assert_eq!(numbers(&stored.history, &with("src_ip")), [0, 1]);
    assert_eq!(numbers(&stored.history, "SELECT count(dst_port) FROM \"top-talkers\""), [0]);
}

#[test]
fn old_hours_go_by_age_and_by_size() {
    let folder = tempfile::tempdir().unwrap();
    let keep_for = Some(Duration::from_secs(3 * 3600));
    let mut old = stored(HistoryOptions { keep: keep_for, ..HistoryOptions::new(folder.path()) });
    for hour in 0..6 {
        old.sink.take(&parcel(BY_ADDRESS, hour * HOUR, hour)).unwrap();
    }
    old.sink.tend(EventTime(6 * HOUR)).unwrap();
    keep(&old, 6 * HOUR + 1);
    assert_eq!(all(&old.history), [3, 4, 5], "they ended at most three hours ago");
    drop(old);
    let octets: u64 = files(folder.path()).iter().map(|path| path.metadata().unwrap().len()).sum();
    let octets_max = Some(octets - 1);
    let large = stored(HistoryOptions { octets_max, ..HistoryOptions::new(folder.path()) });
    keep(&large, 6 * HOUR);
    assert_eq!(all(&large.history), [4, 5]);
}

#[test]
fn a_folder_that_cannot_be_written_keeps_results_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("history");
    fs::write(&place, "a file").unwrap();
    let options = HistoryOptions { waiting_octets_max: 1, ..HistoryOptions::new(&place) };
    let mut stored = stored(options);
    stored.sink.take(&parcel(BY_ADDRESS, 0, 0)).unwrap();
    assert!(stored.sink.tend(EventTime(60 * SECOND)).unwrap_err().contains("cannot be written"));
    let refused = stored.sink.take(&parcel(BY_ADDRESS, SECOND, 1)).unwrap_err();
    assert!(matches!(refused, Refusal::Later(_)), "{refused}");
    assert_eq!(stored.sink.held(), 1);
    fs::remove_file(&place).unwrap();
    stored.sink.take(&parcel(BY_ADDRESS, SECOND, 1)).unwrap();
    stored.sink.finish(EventTime(60 * SECOND)).unwrap();
    assert_eq!(all(&stored.history), [0, 1]);
}

#[test]
fn what_comes_again_after_a_crash_is_stored_once() {
    let folder = tempfile::tempdir().unwrap();
    let options = || HistoryOptions { comes_again: true, ..HistoryOptions::new(folder.path()) };
    let mut first = stored(options());
    first.sink.take(&parcel(BY_ADDRESS, 0, 0)).unwrap();
    assert_eq!(first.sink.unsafe_since()["top-talkers"], EventTime(SECOND), "a crash would take it");
    first.sink.tend(EventTime(60 * SECOND)).unwrap();
    assert!(first.sink.unsafe_since().is_empty());
    first.sink.take(&parcel(BY_ADDRESS, SECOND, 1)).unwrap();
    // It is killed.
    drop(first);
    let mut second = stored(options());
    for (number, start) in [(0, 0), (1, SECOND), (2, 2 * SECOND)] {
        second.sink.take(&parcel(BY_ADDRESS, start, number)).unwrap();
    }
    // Of one run, windows may come in parts.
    second.sink.take(&parcel(BY_ADDRESS, 2 * SECOND, 3)).unwrap();
    second.sink.finish(EventTime(60 * SECOND)).unwrap();
    assert_eq!(all(&second.history), [0, 1, 2, 3]);
}

#[test]
fn two_nodes_do_not_store_in_one_folder() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = open(folder.path());
    first.sink.tend(EventTime(0)).unwrap();
    let mut second = open(folder.path());
    let refused = second.sink.tend(EventTime(0)).unwrap_err();
    assert!(refused.starts_with("another node stores results in "), "{refused}");
    first.sink.finish(EventTime(0)).unwrap();
    second.sink.tend(EventTime(0)).unwrap();
}
