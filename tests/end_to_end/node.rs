//! A node that runs: queries come and go over its API, while exports arrive.

use super::sender::{Load, wait_for_listener};
use harness::node::Node;
use harness::ports::free_port;
use harness::{Finished, tapline};
use serde_json::Value;
use std::fs;
use std::time::{Duration, Instant};
use tapline_trafficgen::exports::{ExportPlan, Protocol};

/// Windows that close soon behind what arrives.
const SOON: [&str; 4] = ["--event-time", "receive", "--allowed-lateness-ms", "200"];
const BY_SECOND: &str =
    "SELECT count(*) AS records, sum(octets) AS octets FROM flows GROUP BY tumble('1 second')";

/// A node without queries that listens on this port.
pub(super) fn node(port: u16, arguments: &[&str]) -> Node {
    let url = format!("udp://127.0.0.1:{port}");
    let node = Node::start(&[&["--listen", &url], &SOON[..], arguments].concat());
    wait_for_listener(port);
    node
}

fn load(datagrams: u32) -> Load {
    let plan = ExportPlan { autonomous_systems: 20, ..ExportPlan::new(Protocol::NetflowV9, 3) };
    Load { plan, exporters: 2, datagrams, datagrams_a_nap: 5 }
}

pub(super) fn json(run: &Finished) -> Value {
    serde_json::from_str(run.success()).unwrap()
}

/// How a query stands.
pub(super) fn query(node: &Node, name: &str) -> Value {
    json(&node.ask(&["queries", "show", name, "--format", "json"]))
}

/// Names of a node's queries.
fn names(node: &Node) -> Vec<String> {
    let queries = json(&node.ask(&["queries", "list", "--format", "json"]));
    queries.as_array().unwrap().iter().map(|query| query["name"].as_str().unwrap().to_owned()).collect()
}

/// Waits until a query has used so many rows, and given the window of the last one.
pub(super) fn wait_for(node: &Node, name: &str, rows: u64) {
    let started = Instant::now();
    while query(node, name)["used"] != rows {
        assert!(started.elapsed() < Duration::from_secs(30), "{}", query(node, name));
    }
}

/// The sum of a column over the windows that a node has kept of a query.
fn kept(node: &Node, name: &str, column: &str) -> u64 {
    kept_rows(node, name).iter().map(|row| row[column].as_u64().unwrap()).sum()
}

/// The rows of the windows that a node has kept of a query.
pub(super) fn kept_rows(node: &Node, name: &str) -> Vec<Value> {
    let windows = kept_windows(node, name).into_iter();
    windows.flat_map(|window| window["rows"].as_array().unwrap().clone()).collect()
}

/// The windows that a node has kept of a query.
pub(super) fn kept_windows(node: &Node, name: &str) -> Vec<Value> {
    let path = format!("/api/v1/queries/{name}/results?windows=1000");
    let (status, answer) = http(node, "GET", &path, "");
    assert_eq!(status, 200, "{answer}");
    let answer: Value = serde_json::from_str(&answer).unwrap();
    answer["windows"].as_array().unwrap().clone()
}

/// The status and the body that a node answers with.
pub(super) fn http(node: &Node, method: &str, path: &str, body: &str) -> (u16, String) {
    use std::io::{Read as _, Write as _};
    let host = node.url().trim_start_matches("http://");
    let mut stream = std::net::TcpStream::connect(host).unwrap();
    let length = body.len();
    write!(stream, "{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}

#[test]
fn queries_come_and_go_while_records_flow() {
    let port = free_port();
    let node = node(port, &["--bare"]);
    assert_eq!(names(&node), Vec::<String>::new());
    let added = node.ask(&["queries", "add", "first", BY_SECOND, "--note", "How much."]);
    for part in ["result: records Int64", "sources: udp://127.0.0.1:"] {
        assert!(added.success().contains(part), "{}", added.text());
    }
    let sent = load(50).send(port).sent;
    wait_for(&node, "first", sent.records);
    assert_eq!(node.ask(&["queries", "add", "second", BY_SECOND]).code, Some(0));
    let more = load(30).send(port).sent;
    wait_for(&node, "first", sent.records + more.records);
    wait_for(&node, "second", more.records);
    assert_eq!(names(&node), ["first", "second"]);
    assert_eq!(query(&node, "first")["options"]["note"], "How much.");
    // Another text counts anew.
    let doubled = BY_SECOND.replace("count(*)", "2 * count(*)");
    assert_eq!(node.ask(&["queries", "replace", "second", &doubled]).code, Some(0));
    let last = load(10).send(port).sent;
    wait_for(&node, "second", last.records);
    assert_eq!(node.ask(&["queries", "drop", "first"]).code, Some(0));
    assert_eq!(names(&node), ["second"]);
    let watched = node.ask(&["queries", "watch", "second", "--format", "json", "--windows", "1"]);
    let row: Value = serde_json::from_str(watched.success().lines().next().unwrap()).unwrap();
    assert!(row["records"].as_u64().unwrap() <= 2 * last.records && row["status"] != Value::Null, "{row}");
    let status = json(&node.ask(&["status", "--format", "json"]));
    let source = &status["sources"][0];
    assert_eq!((&source["state"], &source["kind"]), (&"open".into(), &"flow exports".into()));
    assert_eq!(source["lost"], 0);
    let ended = node.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

#[test]
fn what_windows_say_is_what_was_sent() {
    let port = free_port();
    let node = node(port, &["--bare"]);
    assert_eq!(node.ask(&["queries", "add", "all", BY_SECOND]).code, Some(0));
    let sent = load(200).send(port).sent;
    wait_for(&node, "all", sent.records);
    let started = Instant::now();
    while kept(&node, "all", "records") < sent.records {
        assert!(started.elapsed() < Duration::from_secs(30));
    }
    assert_eq!(kept(&node, "all", "octets"), sent.octets);
    let (status, lines) = http(&node, "GET", "/api/v1/queries/all/stream?kept=1000&windows=1", "");
    assert!(status == 200 && lines.contains("event: window\ndata: {\"window_start\":\""), "{lines}");
    let (status, nothing) = http(&node, "GET", "/api/v1/queries/all/stream?windows=0", "");
    assert!(status == 200 && !nothing.contains("event: "), "{nothing}");
    drop(node);
}

#[test]
fn a_node_is_asked_by_a_socket_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("api.sock");
    let socket = path.to_str().unwrap();
    let node = node(free_port(), &["--bare", "--socket", socket]);
    let by_socket = format!("unix:{socket}");
    let ask = |arguments: &[&str]| tapline(&[arguments, &["--node", &by_socket]].concat());
    assert_eq!(ask(&["queries", "add", "all", BY_SECOND]).code, Some(0));
    assert_eq!(names(&node), ["all"]);
    assert!(ask(&["status"]).success().contains("all"));
    let second = ["run", "--listen", "udp://127.0.0.1:0", "--api", "127.0.0.1:0", "--socket", socket];
    let refused = tapline(&second);
    assert!(
        refused.code == Some(1) && refused.stderr.contains("another node answers there"),
        "{}",
        refused.text()
    );
    assert_eq!(node.stop().code, Some(0));
    assert!(!path.exists());
    let nobody = ask(&["status"]);
    assert!(
        nobody.code == Some(1) && nobody.stderr.contains("no node answers at unix:"),
        "{}",
        nobody.text()
    );
}

#[test]
fn what_is_wrong_is_said_and_changes_nothing() {
    let node = node(free_port(), &["--bare", "--queries-max", "2"]);
    let fails = |arguments: &[&str], code: i32, part: &str| {
        let run = node.ask(arguments);
        assert!(run.code == Some(code) && run.stderr.contains(part), "{arguments:?}: {}", run.stderr);
    };
    fails(
        &["queries", "add", "a", "SELECT count(*) FROM flow GROUP BY tumble('1 second')"],
        2,
        "line 1, column 22",
    );
    fails(
        &["queries", "add", "a", "SELECT count(*) FROM flows"],
        2,
        "never ends, so an aggregate over it needs a window",
    );
    fails(&["queries", "add", "a/b", BY_SECOND], 2, "`a/b` cannot be a query's name");
    fails(&["queries", "add", "a", BY_SECOND, "--early", "7s"], 2, "early: ");
    fails(&["queries", "drop", "a"], 2, "there is no query `a`");
    fails(&["reload"], 2, "start it with --state DIR");
    assert_eq!(node.ask(&["queries", "add", "talkers", BY_SECOND]).code, Some(0));
    fails(&["queries", "add", "talkers", BY_SECOND], 2, "there is a query `talkers` already");
    fails(&["queries", "show", "talker"], 2, "did you mean `talkers`?");
    fails(&["queries", "replace", "talkers", "SELECT 1 FROM"], 2, "Expected: identifier");
    assert_eq!(node.ask(&["queries", "add", "b", BY_SECOND]).code, Some(0));
    fails(&["queries", "add", "c", BY_SECOND], 1, "2 queries are running, and no more may");
    assert_eq!(names(&node), ["b", "talkers"]);
    let problem = |method, path, body| {
        let (status, answer) = http(&node, method, path, body);
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["status"], status);
        (status, answer["detail"].as_str().unwrap().to_owned(), answer["place"].clone())
    };
    let (status, detail, place) = problem("POST", "/api/v1/explain", r#"{"sql": "SELECT x\nFROM flows"}"#);
    assert!(status == 400 && detail.contains('x'), "{detail}");
    assert_eq!((&place["line"], &place["column"]), (&1.into(), &8.into()));
    assert_eq!(problem("POST", "/api/v1/queries", r#"{"nam": 1}"#).0, 400);
    assert_eq!(problem("POST", "/api/v1/queries", "[").0, 400);
    assert_eq!(problem("GET", "/api/v1/queries/b/results?window=1", "").0, 400);
    assert_eq!(problem("GET", "/nothing", "").0, 404);
    assert_eq!(problem("DELETE", "/api/v1/status", "").0, 405);
    assert_eq!(http(&node, "GET", "/healthz", ""), (200, "ok\n".to_owned()));
    assert_eq!(http(&node, "GET", "/readyz", ""), (200, "ready\n".to_owned()));
    let nobody = tapline(&["status", "--node", "http://127.0.0.1:9"]);
    assert!(
        nobody.code == Some(1) && nobody.stderr.contains("start one with `tapline run`"),
        "{}",
        nobody.stderr
    );
}

#[test]
fn queries_outlive_the_node_in_its_state_folder() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().to_str().unwrap();
    let queries = folder.path().join("queries");
    let port = free_port();
    let first = node(port, &["--state", state]);
    let starting_set = names(&first);
    assert!(
        starting_set.contains(&"top_talkers".to_owned())
            && !starting_set.contains(&"packet_sizes".to_owned())
    );
    assert_eq!(first.ask(&["queries", "add", "mine", BY_SECOND]).code, Some(0));
    assert_eq!(first.ask(&["queries", "drop", "top_pairs"]).code, Some(0));
    let second = tapline(&["run", "--listen", "udp://127.0.0.1:0", "--api", "127.0.0.1:0", "--state", state]);
    assert!(
        second.code == Some(1) && second.stderr.contains("another node is running on this folder"),
        "{}",
        second.stderr
    );
    first.kill();
    let again = node(port, &["--state", state]);
    let mut expected: Vec<String> = starting_set.into_iter().filter(|name| name != "top_pairs").collect();
    expected.push("mine".to_owned());
    expected.sort();
    assert_eq!(names(&again), expected);
    // By hand.
    fs::write(
        queries.join("mine.sql"),
        format!("-- Mine.\n-- early: 1s\n{}", BY_SECOND.replace("1 second", "1 minute")),
    )
    .unwrap();
    fs::write(queries.join("wrong.sql"), "SELECT nothing FROM nowhere").unwrap();
    again.signal("HUP");
    again.wait_for("mine is replaced");
    again.wait_for("wrong: ");
    assert_eq!(query(&again, "mine")["options"]["early"], "1s");
    fs::remove_file(queries.join("wrong.sql")).unwrap();
    fs::remove_file(queries.join("protocols.sql")).unwrap();
    let reloaded = again.ask(&["reload"]);
    assert_eq!(reloaded.success(), "dropped: protocols\n");
    assert_eq!(again.stop().code, Some(0));
}

#[test]
fn a_file_says_what_is_read_and_may_change() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("node.toml");
    let ports = [free_port(), free_port()];
    let source = |name: &str, port: u16| {
        format!(
            "[[source]]\nname = \"{name}\"\nlisten = \"udp://127.0.0.1:{port}\"\nevent_time = \"receive\"\n"
        )
    };
    let write = |parts: &[&str]| fs::write(&file, parts.concat()).unwrap();
    let [east, west] = [("east", ports[0]), ("west", ports[1])].map(|(name, port)| source(name, port));
    write(&[&east]);
    let node = Node::start(&["--config", file.to_str().unwrap(), "--bare"]);
    wait_for_listener(ports[0]);
    let by_source = "SELECT source, count(*) AS records FROM flows GROUP BY source, tumble('1 second')";
    assert_eq!(node.ask(&["queries", "add", "all", by_source]).code, Some(0));
    let names = || {
        let sources = json(&node.ask(&["sources", "--format", "json"]));
        let name = |source: &Value| format!("{} {}", source["name"].as_str().unwrap(), source["delivered"]);
        sources.as_array().unwrap().iter().map(name).collect::<Vec<_>>()
    };
    let first = load(20).send(ports[0]).sent.records;
    wait_for(&node, "all", first);
    write(&[&east, &west, "[limits]\nqueries_max = 7\n"]);
    let reloaded = node.ask(&["reload"]);
    assert_eq!(reloaded.success(), "sources added: west\nlater: [limits] holds from the next start on\n");
    wait_for_listener(ports[1]);
    let second = load(20).send(ports[1]).sent.records;
    wait_for(&node, "all", first + second);
    assert_eq!(names(), [format!("east {first}"), format!("west {second}")]);
    write(&[&east, &west, "[limit]\n"]);
    let wrong = node.ask(&["reload"]);
    let part = "there is no key `limit`; did you mean `limits`?";
    assert!(wrong.code == Some(2) && wrong.stderr.contains(part), "{}", wrong.stderr);
    assert_eq!(names().len(), 2, "nothing has changed");
    write(&[&west]);
    node.signal("HUP");
    node.wait_for("east is not read any more");
    assert_eq!(names(), [format!("west {second}")]);
    let third = load(20).send(ports[1]).sent.records;
    wait_for(&node, "all", first + second + third);
    assert_eq!(node.stop().code, Some(0));
}

#[test]
fn a_node_without_a_source_says_what_there_is() {
    let run = tapline(&["run"]);
    assert!(run.code == Some(2) && run.stderr.contains("The interfaces here are"), "{}", run.stderr);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let run = tapline(&["run", "--listen", "udp://127.0.0.1:0", "--api", &address]);
    assert!(run.code == Some(1) && run.stderr.contains("the API cannot listen on"), "{}", run.stderr);
}
