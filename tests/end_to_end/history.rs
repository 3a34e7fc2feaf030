//! A node that stores its results: what it gave is there once, over a power cut and a full disk, and other engines read
//! the same.

use super::captures::{Truth, capture};
use super::node::{http, json as json_of, kept_windows, query};
use super::psql::{has_psql, port_of, psql};
use super::sender::{Load, wait_for_listener};
use harness::node::Node;
use harness::ports::free_port;
use harness::servers::python_with;
use harness::tapline;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};
use tapline_trafficgen::exports::{ExportPlan, Protocol};

const BY_ADDRESS: &str = "SELECT src_ip, count(*) AS records, sum(octets) AS octets FROM flows \
    GROUP BY src_ip, tumble('1 second')";
/// Rows of `by_address` as all engines print them.
const COLUMNS: &str = "src_ip, records, octets, status";
const MOST: Duration = Duration::from_secs(60);

/// A node that stores its results in this folder, and writes them as lines beside.
struct Place {
    folder: PathBuf,
    config: PathBuf,
    port: u16,
}

impl Place {
    fn new(folder: &Path) -> Self {
        let (port, config) = (free_port(), folder.join("node.toml"));
        let text = format!(
            r#"
[[source]]
listen = "udp://127.0.0.1:{port}"
event_time = "receive"
allowed_lateness_ms = 200
[node]
state = "{0}/state"
[history]
folder = "{0}/history"
keep = "30d"
flush_after = "300ms"
[[sink]]
name = "lines"
kind = "file"
folder = "{0}/lines"
queries = ["by*"]
"#,
            folder.display()
        );
        fs::write(&config, text).unwrap();
        Self { folder: folder.to_owned(), config, port }
    }

    fn history(&self) -> PathBuf {
        self.folder.join("history")
    }

    fn start(&self) -> Node {
        self.start_with(&[])
    }

    fn start_with(&self, more: &[&str]) -> Node {
        let node = Node::start(&[&["--bare", "--config", self.config.to_str().unwrap()], more].concat());
        wait_for_listener(self.port);
        node
    }

    /// Sends records, and waits until a query has given all windows of them.
    fn load(&self, node: &Node, datagrams: u32) {
        load_and_wait((node, self.port), datagrams, "by_address");
    }
}

/// Sends records to a node at this port, and waits until a query has given all windows of them.
pub(super) fn load_and_wait((node, port): (&Node, u16), datagrams: u32, name: &str) {
    let before = query(node, name)["used"].as_u64().unwrap();
    let plan = ExportPlan { autonomous_systems: 20, ..ExportPlan::new(Protocol::NetflowV9, 3) };
    let load = Load { plan, exporters: 2, datagrams, datagrams_a_nap: 2 };
    let sent = load.send(port).sent.records;
    wait("all records", || query(node, name)["used"] == before + sent);
    // The last window closes behind its end and the lateness.
    sleep(Duration::from_secs(3));
}

pub(super) fn wait(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < MOST, "waited in vain for {what}");
        sleep(Duration::from_millis(50));
    }
}

pub(super) fn outlet(node: &Node, name: &str) -> Value {
    let status = json_of(&node.ask(&["status", "--format", "json"]));
    let outlets = status["outlets"].as_array().unwrap();
    outlets.iter().find(|outlet| outlet["name"] == name).unwrap().clone()
}

fn is_stored(node: &Node) -> bool {
    let history = outlet(node, "history");
    history["waiting"] == 0 && history["lost"] == 0 && history["state"] == "running"
}

/// What a node has given of the query, a row a line: the window's start in microseconds, and the columns.
fn given(node: &Node) -> Vec<String> {
    let mut rows = vec![];
    for window in kept_windows(node, "by_address") {
        let start = window["window_start"].as_str().unwrap().trim_end_matches('Z').to_owned();
        let status = window["status"].as_str().unwrap();
        for row in window["rows"].as_array().unwrap() {
            let address = row["src_ip"].as_str().unwrap();
            rows.push(format!("{start}\t{address}\t{}\t{}\t{status}", row["records"], row["octets"]));
        }
    }
    rows
}

pub(super) fn sorted(mut rows: Vec<String>) -> Vec<String> {
    rows.sort();
    rows
}

/// What is stored, as this program reads it.
fn stored(history: &Path) -> Vec<String> {
    let sql = format!("SELECT window_start, {COLUMNS} FROM by_address");
    let run = tapline(&["query", "--history", history.to_str().unwrap(), "--format", "json", &sql]);
    let rows = run.success().lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    sorted(rows.map(|row| line(&row)).collect())
}

/// A row of the query as all engines print it.
fn line(row: &Value) -> String {
    let text = |name: &str| row[name].as_str().unwrap();
    let (start, address, status) =
        (text("window_start").trim_end_matches('Z'), text("src_ip"), text("status"));
    format!("{start}\t{address}\t{}\t{}\t{status}", row["records"], row["octets"])
}

/// The rows of a statement over HTTP.
pub(super) fn answered(node: &Node, sql: &str) -> Vec<Value> {
    let body = json!({ "sql": sql, "rows_max": 100_000 }).to_string();
    let (code, answer) = http(node, "POST", "/api/v1/sql", &body);
    assert_eq!(code, 200, "{answer}");
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert!(answer.get("left_out").is_none(), "{answer}");
    answer["rows"].as_array().unwrap().clone()
}

/// What a node has of the query, in memory and stored.
fn tabled(node: &Node) -> Vec<String> {
    let rows = answered(node, &format!("SELECT window_start, {COLUMNS} FROM by_address"));
    sorted(rows.iter().map(line).collect())
}

/// The rows that another engine answers, or why it is not asked.
pub(super) fn asked(engine: &str, script: &str) -> Option<Vec<String>> {
    let Some(python) = python_with(engine) else {
        println!("skipped: {engine} is not installed (`cargo xtask setup --for test` installs it)");
        return None;
    };
    let output = Command::new(python).args(["-c", script]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(sorted(text.lines().map(str::to_owned).collect()))
}

/// The query of README.md, by DuckDB.
fn by_duckdb(history: &Path) -> Option<Vec<String>> {
    let script = format!(
        r#"
import datetime, duckdb
rows = duckdb.sql("""
    SELECT epoch_us(window_start), {COLUMNS}
    FROM read_parquet('{}/query=by_address/hour=*/*.parquet', union_by_name = true)
""").fetchall()
for microseconds, *row in rows:
    start = datetime.datetime.fromtimestamp(microseconds // 1_000_000, datetime.timezone.utc)
    print(start.strftime("%Y-%m-%dT%H:%M:%S"), *row, sep="\t")
"#,
        history.display()
    );
    asked("duckdb", &script)
}

/// The same by ClickHouse, in process.
fn by_clickhouse(history: &Path) -> Option<Vec<String>> {
    let script = format!(
        r#"
import chdb
print(chdb.query("""
    SELECT formatDateTime(window_start, '%Y-%m-%dT%H:%i:%S', 'UTC'), {COLUMNS}
    FROM file('{}/query=by_address/hour=*/*.parquet', 'Parquet')
""", "TSV"), end="")
"#,
        history.display()
    );
    asked("chdb", &script)
}

#[test]
fn what_was_given_is_stored_once_over_a_power_cut_and_read_by_other_engines() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new(folder.path());
    let first = place.start();
    assert_eq!(first.ask(&["queries", "add", "by_address", BY_ADDRESS]).code, Some(0));
    let unkept = ["queries", "add", "unkept", BY_ADDRESS, "--history", "off"];
    assert_eq!(first.ask(&unkept).code, Some(0));
    place.load(&first, 200);
    wait("history", || is_stored(&first));
    let mut rows = given(&first);
    first.kill();
    let second = place.start();
    place.load(&second, 100);
    wait("history", || is_stored(&second));
    rows.extend(given(&second));
    let rows = sorted(rows);
    assert!(rows.len() > 10, "{rows:?}");
    assert_eq!(stored(&place.history()), rows, "while it runs");
    let shown = second.ask(&["status"]);
    assert!(shown.success().contains("history") && shown.success().contains("lines"), "{}", shown.text());
    assert_eq!(second.stop().code, Some(0));
    assert_eq!(stored(&place.history()), rows);
    assert!(!place.history().join("query=unkept").exists());
    for answer in [by_duckdb(&place.history()), by_clickhouse(&place.history())].into_iter().flatten() {
        assert_eq!(answer, rows);
    }
    let lines = fs::read_to_string(place.folder.join("lines/by_address.jsonl")).unwrap();
    assert_eq!(lines.lines().count(), rows.len());
    assert!(lines.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
    let unknown = tapline(&["query", "--history", place.history().to_str().unwrap(), "SELECT * FROM nobody"]);
    assert_eq!(unknown.code, Some(2));
    assert!(unknown.stderr.contains("there is no table 'nobody'"), "{}", unknown.stderr);
    // What is no file of results costs itself only, and is told.
    let hours = fs::read_dir(place.history().join("query=by_address")).unwrap();
    let mut hours = hours.map(|hour| hour.unwrap().path());
    let hour = hours.find(|hour| hour.to_str().unwrap().contains("/hour=")).unwrap();
    fs::write(hour.join("00009999-00000001.parquet"), "rubbish").unwrap();
    let count = "SELECT count(*) AS n FROM by_address";
    let run = tapline(&["query", "--history", place.history().to_str().unwrap(), "--format", "json", count]);
    let answer: Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!((run.code, &answer["n"]), (Some(1), &json!(rows.len())));
    let said = "error: 1 files are left out of the answer: ";
    assert!(run.stderr.contains(said) && run.stderr.contains("00009999-00000001.parquet"), "{}", run.stderr);
}

#[test]
fn tables_are_what_is_stored_and_what_is_in_memory_each_window_once() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new(folder.path());
    let first = place.start();
    assert_eq!(first.ask(&["queries", "add", "by_address", BY_ADDRESS]).code, Some(0));
    place.load(&first, 50);
    let rows = given(&first);
    // Whether they are stored by now or not.
    assert_eq!(tabled(&first), sorted(rows.clone()));
    wait("history", || is_stored(&first));
    assert_eq!(tabled(&first), sorted(rows.clone()));
    assert_eq!(first.stop().code, Some(0));
    let second = place.start_with(&["--psql", "127.0.0.1:0"]);
    assert_eq!(tabled(&second), sorted(rows.clone()), "nothing is in memory");
    place.load(&second, 50);
    let all = sorted([rows.clone(), given(&second)].concat());
    assert_eq!(tabled(&second), all);
    wait("history", || is_stored(&second));
    assert_eq!(tabled(&second), all);
    if has_psql() {
        let port = port_of(&second);
        let count = format!("{0}|{0}", all.len());
        let each = "window_start::text || ' ' || src_ip || ' ' || status";
        assert_eq!(psql(port, &format!("SELECT count(*), count(DISTINCT {each}) FROM by_address")), count);
        let later = rows.iter().max().unwrap().split('\t').next().unwrap();
        let later = format!("SELECT count(*) FROM by_address WHERE window_start > '{later}Z'");
        assert_eq!(psql(port, &later), given(&second).len().to_string());
    }
    // Another query of the name has columns of its own, and what is stored stays.
    let by_port = "SELECT dst_port, count(*) AS records FROM flows GROUP BY dst_port, tumble('1 second')";
    assert_eq!(second.ask(&["queries", "replace", "by_address", by_port]).code, Some(0));
    let old = "SELECT count(*) AS n FROM by_address WHERE src_ip IS NOT NULL AND dst_port IS NULL";
    assert_eq!(answered(&second, old)[0]["n"], all.len());
    assert_eq!(second.ask(&["queries", "drop", "by_address"]).code, Some(0));
    assert_eq!(tabled(&second), all, "what is stored outlives its query");
    let (code, refused) = http(&second, "POST", "/api/v1/sql", r#"{"sql": "SELECT octets FROM flows"}"#);
    assert!(code == 400 && refused.contains("POST /api/v1/preview"), "{refused}");
    let few = r#"{"sql": "SELECT * FROM by_address", "rows_max": 3}"#;
    let (code, answer) = http(&second, "POST", "/api/v1/sql", few);
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!((code, &answer["left_out"]), (200, &json!(all.len() - 3)));
    assert_eq!(second.stop().code, Some(0));
}

#[test]
fn windows_of_long_ago_become_an_hour_that_holds_what_they_held() {
    let folder = tempfile::tempdir().unwrap();
    let [captures, history, config] =
        ["captures", "history", "node.toml"].map(|name| folder.path().join(name));
    fs::create_dir(&captures).unwrap();
    let text = format!(
        r#"
[[source]]
captures = "{0}/captures"
[node]
state = "{0}/state"
[history]
folder = "{0}/history"
flush_after = "300ms"
rollup = [{{ after = "1s", window = "1h" }}]
"#,
        folder.path().display()
    );
    fs::write(&config, text).unwrap();
    let node = Node::start(&["--bare", "--config", config.to_str().unwrap()]);
    let by_second = "SELECT count(*) AS packets, sum(frame_octets) AS octets, max(frame_octets) AS longest \
        FROM packets GROUP BY tumble('1 second')";
    assert_eq!(node.ask(&["queries", "add", "by_second", by_second]).code, Some(0));
    let best = format!("{by_second} ORDER BY packets LIMIT 1");
    assert_eq!(node.ask(&["queries", "add", "best", &best]).code, Some(0));
    let mut truth = Truth::new();
    let frames = capture(1_700_000_000, 600, &mut truth);
    fs::write(captures.join("old.pcap"), frames).unwrap();
    let sql = "SELECT window_start, window_end, packets, octets, longest, status FROM by_second";
    let is_whole = |rows: &[Value]| rows.len() == 1 && rows[0]["packets"] == 600;
    wait("an hour", || is_whole(&answered(&node, sql)));
    let run = tapline(&["query", "--history", history.to_str().unwrap(), "--format", "json", sql]);
    for row in [answered(&node, sql)[0].clone(), serde_json::from_str(run.success()).unwrap()] {
        let octets: u64 = truth.values().map(|[_, octets]| octets).sum();
        assert_eq!((&row["octets"], &row["longest"]), (&json!(octets), &json!(659)), "{row}");
        let times = [&row["window_start"], &row["window_end"]].map(|time| time.as_str().unwrap().to_owned());
        assert!(times[0].starts_with("2023-11-14T22:00:00"), "{row}");
        assert!(times[1].starts_with("2023-11-14T23:00:00"), "{row}");
        assert_eq!(row["status"], "final");
    }
    node.wait_for("history: windows of `best` are not put together while they age: LIMIT leaves groups out");
    assert_eq!(node.stop().code, Some(0));
}

/// A file system of its own, as long as this value lives.
struct Disk(PathBuf);

impl Disk {
    /// A small one at this place; `None` where that is not allowed.
    fn mount(place: &Path) -> Option<Self> {
        fs::create_dir(place).unwrap();
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tapline-test"]).arg(place).output();
        mounted.is_ok_and(|output| output.status.success()).then(|| Self(place.to_owned()))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).output();
    }
}

#[test]
fn a_full_disk_stops_history_alone_and_nothing_is_lost_while_there_is_room_to_wait() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new(folder.path());
    let Some(disk) = Disk::mount(&place.history()) else {
        println!("skipped: needs CAP_SYS_ADMIN to mount a small disk");
        return;
    };
    let filler = disk.0.join("filler");
    let node = place.start();
    assert_eq!(node.ask(&["queries", "add", "by_address", BY_ADDRESS]).code, Some(0));
    place.load(&node, 20);
    wait("history", || is_stored(&node));
    // As much as there is room for.
    let _ = fs::write(&filler, vec![1; 2 << 20]);
    place.load(&node, 20);
    wait("a full disk", || outlet(&node, "history")["state"] == "failing");
    let history = outlet(&node, "history");
    assert!(history["reason"].as_str().unwrap().contains("No space left"), "{history}");
    node.wait_for("error: history: ");
    assert!(node.ask(&["status"]).success().contains("! history: "));
    assert_eq!(query(&node, "by_address")["state"], "running");
    assert_eq!(
        (&outlet(&node, "lines")["state"], &outlet(&node, "lines")["waiting"]),
        (&"running".into(), &0.into())
    );
    fs::remove_file(&filler).unwrap();
    wait("room", || is_stored(&node));
    assert_eq!(stored(&place.history()), sorted(given(&node)));
    assert_eq!(node.stop().code, Some(0));
}
