//! Queries that somebody asks of a node who watches them come: they end with him, and nobody else sees them.

use super::node::{http, json, kept_windows, node};
use super::sender::{Load, free_port};
use harness::node::Node;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tapline_trafficgen::exports::{ExportPlan, Protocol};

const BY_SECOND: &str =
    "SELECT count(*) AS records, sum(octets) AS octets FROM flows GROUP BY tumble('1 second')";
const BY_PROTOCOL: &str =
    "SELECT protocol, count(*) AS records FROM flows GROUP BY protocol, tumble('1 second')";

/// What a node answers to a preview, event by event.
struct Preview {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
}

impl Preview {
    fn ask(node: &Node, body: &Value) -> Self {
        let host = node.url().trim_start_matches("http://");
        let mut stream = TcpStream::connect(host).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let (body, line) = (body.to_string(), "POST /api/v1/preview HTTP/1.1");
        let length = body.len();
        write!(stream, "{line}\r\nhost: {host}\r\ncontent-length: {length}\r\n\r\n{body}").unwrap();
        let reader = BufReader::new(stream.try_clone().unwrap());
        Self { stream, reader }
    }

    /// The next event and its data; none when it is over.
    fn next(&mut self) -> Option<(String, Value)> {
        let mut event = String::new();
        loop {
            let mut line = String::new();
            // The last chunk of the answer is empty.
            if self.reader.read_line(&mut line).unwrap_or(0) == 0 || line == "0\r\n" {
                return None;
            }
            if let Some(name) = line.strip_prefix("event: ") {
                event = name.trim().to_owned();
            }
            if let Some(data) = line.strip_prefix("data: ") {
                return Some((event, serde_json::from_str(data.trim()).unwrap()));
            }
        }
    }

    fn all(mut self) -> Vec<(String, Value)> {
        std::iter::from_fn(|| self.next()).collect()
    }

    fn go_away(self) {
        self.stream.shutdown(Shutdown::Both).unwrap();
    }
}

/// Sends for as long as something else goes on.
pub(super) fn while_records_come<T>(port: u16, what: impl FnOnce() -> T) -> T {
    /// Ends the sender, also where a test fails.
    struct Ends<'a>(&'a AtomicBool);
    impl Drop for Ends<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let ends = Ends(&is_over);
        let sender = scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                let plan = ExportPlan { autonomous_systems: 20, ..ExportPlan::new(Protocol::NetflowV9, 3) };
                Load { plan, exporters: 2, datagrams: 20, datagrams_a_nap: 5 }.send(port);
            }
        });
        let done = what();
        drop(ends);
        sender.join().unwrap();
        done
    })
}

fn names(events: &[(String, Value)]) -> Vec<&str> {
    events.iter().map(|(name, _)| name.as_str()).collect()
}

/// How a node stands.
fn status(node: &Node) -> Value {
    json(&node.ask(&["status", "--format", "json"]))
}

#[test]
fn previews_answer_what_a_query_of_the_node_does() {
    let port = free_port();
    let node = node(port, &["--bare"]);
    assert_eq!(node.ask(&["queries", "add", "all", BY_SECOND]).code, Some(0));
    let (first, second) = while_records_come(port, || {
        let first = Preview::ask(&node, &json!({ "sql": BY_SECOND, "windows": 4 }));
        let second = Preview::ask(&node, &json!({ "sql": BY_PROTOCOL }));
        thread::scope(|scope| {
            let second = scope.spawn(move || second.all());
            (first.all(), second.join().unwrap())
        })
    });
    assert_eq!(names(&first), ["schema", "window", "window", "window", "window"]);
    assert_eq!(names(&second), ["schema", "window", "window", "window"], "three where nothing is said");
    assert_eq!(first[0].1[2], json!({ "name": "records", "type": "Int64" }));
    let known = kept_windows(&node, "all");
    let whole: Vec<&Value> =
        first[1..].iter().map(|(_, window)| window).filter(|window| window["status"] == "final").collect();
    assert!(whole.len() >= 3, "{first:?}");
    for window in whole {
        let same = known.iter().find(|known| known["window_start"] == window["window_start"]);
        assert_eq!(same.unwrap()["rows"], window["rows"]);
    }
    let queries = status(&node)["queries"].as_array().unwrap().len();
    assert_eq!(queries, 1, "previews stand in no list");
    let (code, picture) = http(&node, "GET", "/api/v1/queries/all/plan", "");
    let picture: Value = serde_json::from_str(&picture).unwrap();
    assert_eq!((code, &picture["diagram"]["boxes"][0]["title"]), (200, &json!("flows")));
    assert!(picture["diagram"]["boxes"][0]["numbers"]["delivered"].as_u64().unwrap() > 0, "{picture}");
    assert_eq!(node.stop().code, Some(0));
}

#[test]
fn a_preview_ends_with_whoever_asked() {
    let port = free_port();
    let node = node(port, &["--bare", "--queries-max", "2"]);
    let endless = json!({ "sql": BY_SECOND, "windows": null });
    let mut previews: Vec<Preview> = (0..2).map(|_| Preview::ask(&node, &endless)).collect();
    for preview in &mut previews {
        assert_eq!(preview.next().unwrap().0, "schema");
    }
    let refused = node.ask(&["queries", "add", "one", BY_SECOND]);
    assert!(refused.stderr.contains("2 queries are running, and no more may"), "{}", refused.text());
    let (code, _) = http(&node, "POST", "/api/v1/preview", &endless.to_string());
    assert_eq!(code, 429);
    previews.into_iter().for_each(Preview::go_away);
    let started = Instant::now();
    while node.ask(&["queries", "add", "one", BY_SECOND]).code != Some(0) {
        assert!(started.elapsed() < Duration::from_secs(5), "what nobody watches runs still");
    }
    assert_eq!(node.stop().code, Some(0));
}

#[test]
fn why_a_preview_failed_is_told() {
    let port = free_port();
    let node = node(port, &["--bare"]);
    let sql = "SELECT sum(octets * 9223372036854775807) AS x FROM flows GROUP BY tumble('1 second')";
    let events = while_records_come(port, || Preview::ask(&node, &json!({ "sql": sql })).all());
    let (last, data) = events.last().unwrap();
    assert_eq!(last, "failed", "{events:?}");
    assert!(data["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{data}");
    let (code, refused) =
        http(&node, "POST", "/api/v1/preview", &json!({ "sql": "SELECT x FROM flows" }).to_string());
    assert_eq!(code, 400, "{refused}");
    assert_eq!(node.stop().code, Some(0));
}

#[test]
fn nothing_of_a_preview_is_kept() {
    let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
    let state = folder.path().to_str().unwrap();
    let first = node(port, &["--bare", "--state", state]);
    let mut preview = Preview::ask(&first, &json!({ "sql": BY_SECOND, "windows": null }));
    assert_eq!(preview.next().unwrap().0, "schema");
    assert_eq!(std::fs::read_dir(folder.path().join("queries")).unwrap().count(), 0);
    assert_eq!(first.stop().code, Some(0));
    assert!(preview.all().iter().all(|(event, _)| event == "window"));
    let again = node(port, &["--bare", "--state", state]);
    assert_eq!(status(&again)["queries"], json!([]));
    assert_eq!(again.stop().code, Some(0));
}

#[test]
fn a_text_is_changed_and_can_be_asked() {
    let node = node(free_port(), &["--bare"]);
    let change = |sql: &str, change: Value| {
        let (code, answer) =
            http(&node, "POST", "/api/v1/edit", &json!({ "sql": sql, "change": change }).to_string());
        (code, serde_json::from_str::<Value>(&answer).unwrap())
    };
    let (code, edited) =
        change(BY_PROTOCOL, json!({ "add_filter": { "column": "src_ip", "value": "10.0.0.1" } }));
    assert_eq!((code, &edited["parts"]["filters"]), (200, &json!(["src_ip = '10.0.0.1'"])));
    let sql = edited["sql"].as_str().unwrap();
    let (code, explained) = http(&node, "POST", "/api/v1/explain", &json!({ "sql": sql }).to_string());
    let explained: Value = serde_json::from_str(&explained).unwrap();
    assert_eq!(
        (code, &explained["diagram"]["boxes"][1]["title"]),
        (200, &json!("WHERE src_ip = '10.0.0.1'"))
    );
    let (code, refused) = change(sql, json!({ "window": null }));
    assert!(code == 400 && refused["detail"].as_str().unwrap().contains("needs a window"), "{refused}");
    assert_eq!(node.stop().code, Some(0));
}
