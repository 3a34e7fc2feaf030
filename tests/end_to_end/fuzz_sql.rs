//! Statements that nobody would write, over HTTP and over PostgreSQL's protocol: a node answers each in time, in words,
//! and loses nothing meanwhile.
//!
//! `TAPLINE_FUZZ_SEED` and `TAPLINE_FUZZ_SECONDS` make other runs, and longer ones; see CONTRIBUTING.md.

mod grammar;
mod wire;

use super::node::{http, node};
use super::preview::while_records_come;
use super::psql::port_of;
use grammar::{Grammar, Words, hostile};
use harness::node::Node;
use harness::ports::free_port;
use serde_json::{Value, json};
use std::env;
use std::fmt::Debug;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::str::FromStr;
use std::thread::sleep;
use std::time::{Duration, Instant};
use wire::{Client, Told, asking, message};

/// How long a node works on a statement, and how much longer its answer may take on a machine that has other work.
const WORKS_WITHIN: Duration = Duration::from_secs(30);
const GRACE: Duration = Duration::from_secs(15);
/// The same, for a client that said so.
const STATEMENT_TIMEOUT: &str = "2s";
/// What a node may hold more afterwards than before, once it has answered some. An allocator need not give back what was
/// taken at once, and statements take more than the 256 MiB that they are weighed by.
const GROWTH_MAX: u64 = 1 << 30;
/// The same of threads, which end when they have no work for a while.
const THREADS_MAX: u64 = 8;
/// What nobody is told.
const INTERNALS: [&str; 5] =
    ["panicked", "Internal error", "DataFusion's code", "caused by a bug", "RUST_BACKTRACE"];

const STANDING: &str =
    "SELECT count(*) AS records, sum(octets) AS octets FROM flows GROUP BY tumble('1 second')";

fn variable<T: FromStr<Err: Debug>>(name: &str, otherwise: T) -> T {
    env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

fn seed() -> u64 {
    variable("TAPLINE_FUZZ_SEED", 1)
}

/// How long a part of the run takes, which is as long as some others.
fn part(parts: u64) -> Duration {
    Duration::from_secs(variable("TAPLINE_FUZZ_SECONDS", 36)) / u32::try_from(parts).unwrap()
}

/// A node that is looked at, and a query that runs while others come and go.
struct Watched {
    node: Node,
    psql: u16,
    exports: u16,
    /// How much it has said that was looked at.
    seen: usize,
}

/// What a process holds.
#[derive(Clone, Copy, Debug)]
struct Holds {
    octets: u64,
    threads: u64,
    descriptors: usize,
}

impl Watched {
    fn start() -> Self {
        let exports = free_port();
        let node = node(exports, &["--bare", "--psql", "127.0.0.1:0"]);
        let psql = port_of(&node);
        assert_eq!(node.ask(&["queries", "add", "standing", STANDING]).code, Some(0));
        let seen = node.told().len();
        Self { node, psql, exports, seen }
    }

    fn holds(&self) -> Holds {
        let of = format!("/proc/{}", self.node.id());
        let status = fs::read_to_string(format!("{of}/status")).unwrap();
        let threads = status.lines().find_map(|line| line.strip_prefix("Threads:")).unwrap();
        Holds {
            octets: self.node.resident_octets(),
            threads: threads.trim().parse().unwrap(),
            descriptors: fs::read_dir(format!("{of}/fd")).unwrap().count(),
        }
    }

    /// Whether it runs, and says nothing of a panic since it was last looked at; else what it says.
    fn look(&mut self) -> Result<(), String> {
        let is_there = self.is_there();
        let told = self.node.told();
        let news = told.get(self.seen..).unwrap_or_default().to_owned();
        self.seen = told.len();
        if is_there && !news.contains("panicked") { Ok(()) } else { Err(format!("the node says: {news}")) }
    }

    /// Asks something over HTTP; the answer comes in time, and what is refused is refused in words.
    fn ask(&mut self, request: (&str, &str), body: &Value) -> (u16, String) {
        self.asked(request, body).unwrap_or_else(|why| {
            let least = self.least(request, body);
            panic!("seed {}: {request:?} {body}\n{why}\nthe least that does so: {least}", seed())
        })
    }

    fn asked(&mut self, request: (&str, &str), body: &Value) -> Result<(u16, String), String> {
        let begun = Instant::now();
        let (status, head, text) = exchange(self.node.url(), request, &body.to_string());
        self.look()?;
        let took = begun.elapsed();
        let is_refused = status >= 400;
        let problem: Value = serde_json::from_str(&text).unwrap_or_default();
        let detail = problem["detail"].as_str().unwrap_or_default();
        let is_in_words = head.contains("application/problem+json")
            && !detail.is_empty()
            && !INTERNALS.iter().any(|word| detail.contains(word));
        let is_answered = (200..500).contains(&status) || status == 503;
        if is_answered && took < WORKS_WITHIN + GRACE && (!is_refused || is_in_words) {
            return Ok((status, text));
        }
        Err(format!("{status} after {took:?}: {}", cut(&text)))
    }

    /// The shortest statement found for which a request fails, as long as there is a node to ask.
    fn least(&mut self, request: (&str, &str), body: &Value) -> String {
        let mut letters: Vec<char> = body["sql"].as_str().unwrap_or_default().chars().collect();
        let (begun, mut size) = (Instant::now(), letters.len() / 2);
        while size > 0 {
            let mut place = 0;
            while place < letters.len() && begun.elapsed() < Duration::from_secs(60) {
                let end = (place + size).min(letters.len());
                let fewer = [&letters[..place], &letters[end..]].concat();
                let mut shorter = body.clone();
                shorter["sql"] = fewer.iter().collect::<String>().into();
                if self.is_there() && self.asked(request, &shorter).is_err() && self.is_there() {
                    letters = fewer;
                } else {
                    place += size;
                }
            }
            size /= 2;
        }
        letters.into_iter().collect()
    }

    fn is_there(&self) -> bool {
        let status = fs::read_to_string(format!("/proc/{}/status", self.node.id()));
        // What has ended is there until somebody asks how.
        status.is_ok_and(|status| !status.contains("State:\tZ"))
    }

    /// Ticks of the clock that it has worked for.
    fn ticks(&self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.node.id())).unwrap();
        let (_, behind_name) = stat.rsplit_once(')').unwrap();
        let fields: Vec<&str> = behind_name.split_whitespace().collect();
        [11, 12].iter().map(|field: &usize| fields[*field].parse::<u64>().unwrap()).sum()
    }

    /// Nothing works on after everything was answered, however long that was waited for.
    fn check_idle(&self) {
        let begun = Instant::now();
        loop {
            let before = self.ticks();
            sleep(Duration::from_secs(2));
            // Of two hundred, where one thread works.
            if self.ticks() - before < 100 {
                return;
            }
            assert!(begun.elapsed() < WORKS_WITHIN + GRACE, "something works on, of what was answered");
        }
    }

    fn sql(&mut self, sql: &str) -> (u16, String) {
        self.ask(("POST", "/api/v1/sql"), &json!({ "sql": sql, "rows_max": 100 }))
    }

    /// Asks a statement in one of the ways there are.
    fn ask_somehow(&mut self, grammar: &mut Grammar) {
        match grammar.below(100) {
            0..50 => {
                let sql = grammar.over_tables();
                self.sql(&sql);
            }
            50..75 => {
                let sql = grammar.over_streams();
                self.ask(("POST", "/api/v1/explain"), &json!({ "sql": sql }));
            }
            75..83 => {
                let (sql, key) =
                    (grammar.over_streams(), grammar.one(&["src_ip", "7", "no column", "'", "a, b"]));
                let kind = grammar.one(&["add_key", "drop_key", "add_aggregate", "window", "source"]);
                let change = if grammar.percent(50) { json!({ kind: key }) } else { Value::Null };
                self.ask(("POST", "/api/v1/edit"), &json!({ "sql": sql, "change": change }));
            }
            83..90 => {
                let sql = grammar.over_streams();
                self.ask(("POST", "/api/v1/preview"), &json!({ "sql": sql, "windows": 0 }));
            }
            _ => {
                let sql = grammar.over_streams();
                self.ask(("POST", "/api/v1/queries"), &json!({ "name": "fuzzed", "sql": sql }));
                self.ask(("DELETE", "/api/v1/queries/fuzzed"), &Value::Null);
            }
        }
    }

    /// Numbers that a statement over all rows gives as `missing`.
    fn missing(&mut self, sql: &str) -> Vec<i64> {
        let (status, text) = self.sql(sql);
        assert_eq!(status, 200, "{text}");
        let answer: Value = serde_json::from_str(&text).unwrap();
        answer["rows"].as_array().unwrap().iter().map(|row| row["missing"].as_i64().unwrap()).collect()
    }

    /// Each record has one fate, and the standing query goes on.
    fn check_account(&mut self) {
        let queries = "SELECT delivered - used - filtered - late - dropped AS missing FROM queries";
        let sources = "SELECT offered - delivered - filtered - control - undecodable - dropped - lost AS missing FROM sources";
        for sql in [queries, sources] {
            let missing = self.missing(sql);
            assert!(!missing.is_empty() && missing.iter().all(|missing| *missing == 0), "{sql}: {missing:?}");
        }
        let (_, text) = http(&self.node, "GET", "/api/v1/queries/standing", "");
        let standing: Value = serde_json::from_str(&text).unwrap();
        assert!(standing["used"].as_u64().unwrap() > 0 && standing["results_lost"] == 0, "{standing}");
    }

    /// What it holds is near to what it held, once it has had a moment.
    fn check_growth(&mut self, before: Holds) {
        let is_near = |now: Holds| {
            now.octets < before.octets + GROWTH_MAX
                && now.threads <= before.threads + THREADS_MAX
                && now.descriptors <= before.descriptors + 4
        };
        let begun = Instant::now();
        while !is_near(self.holds()) {
            assert!(begun.elapsed() < Duration::from_secs(40), "{before:?} became {:?}", self.holds());
            sleep(Duration::from_millis(200));
        }
    }
}

/// Status, head and body of an answer.
fn exchange(url: &str, (method, path): (&str, &str), body: &str) -> (u16, String, String) {
    let host = url.trim_start_matches("http://");
    let mut answer = vec![];
    // A node that ends takes its connections along.
    if let Ok(mut stream) = TcpStream::connect(host) {
        stream.set_read_timeout(Some(WORKS_WITHIN + GRACE)).unwrap();
        let (line, length) = (format!("{method} {path} HTTP/1.1"), body.len());
        let _ = write!(
            stream,
            "{line}\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        let _ = stream.read_to_end(&mut answer);
    }
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    (status, head.to_owned(), body.to_owned())
}

fn cut(text: &str) -> String {
    text.chars().take(500).collect()
}

/// Looks whether a refusal over PostgreSQL's protocol is one.
fn check_refusal(told: &Told, asked: &str) {
    let Told::Error(code, sentence) = told else { return };
    let is_fine =
        code.len() == 5 && !sentence.is_empty() && !INTERNALS.iter().any(|word| sentence.contains(word));
    // Of the codes, these say that it is not the statement that is wrong.
    let is_ours = ["XX000", "58000"].contains(&code.as_str());
    assert!(is_fine && !is_ours, "seed {}: {asked}\n{code} {sentence}", seed());
}

/// Sends some messages, and hears all of what they come to; whether the connection goes on.
fn converse(watched: &mut Watched, client: &mut Client, grammar: &mut Grammar) -> bool {
    let messages: Vec<(Vec<u8>, String)> = (0..=grammar.below(8)).map(|_| grammar.message()).collect();
    let asked: Vec<String> = messages.iter().map(|(_, told)| cut(told)).collect();
    let asked = asked.join("\n");
    messages.iter().for_each(|(octets, _)| client.send(octets));
    if grammar.percent(10) {
        client.cancel();
    }
    // What comes last is answered last, by what nothing else is answered by.
    let end = format!("the_end_{}", grammar.below(1 << 30));
    let last = [asking("ROLLBACK"), asking(&format!("SHOW {end}"))].concat();
    client.send(&message(b'S', &[]));
    client.send(&last);
    let begun = Instant::now();
    let goes_on = loop {
        let Some(told) = client.told() else { break false };
        match &told {
            Told::Error(_, sentence) if sentence.contains(&end) => break true,
            // Somebody asked to end what came last.
            Told::Error(code, _) if code == "57014" => client.send(&last),
            _ => check_refusal(&told, &asked),
        }
        assert!(begun.elapsed() < WORKS_WITHIN + GRACE, "seed {}: {asked}", seed());
    };
    check_node(watched, &asked);
    goes_on
}

fn check_node(watched: &mut Watched, asked: &str) {
    if let Err(why) = watched.look() {
        panic!("seed {}: {asked}\n{why}", seed());
    }
}

#[test]
fn whatever_is_asked_over_http_is_answered() {
    let mut watched = Watched::start();
    let exports = watched.exports;
    while_records_come(exports, || {
        let mut grammar = Grammar::new(seed(), Words::of(&watched.node));
        (0..50).for_each(|_| watched.ask_somehow(&mut grammar));
        let before = watched.holds();
        for sql in hostile() {
            watched.sql(&sql);
            watched.ask(("POST", "/api/v1/explain"), &json!({ "sql": sql }));
        }
        watched.check_idle();
        let begun = Instant::now();
        while begun.elapsed() < part(2) {
            watched.ask_somehow(&mut grammar);
        }
        watched.check_account();
        watched.check_growth(before);
    });
    assert_eq!(watched.node.stop().code, Some(0));
}

#[test]
fn whatever_is_sent_over_psql_is_answered() {
    let mut watched = Watched::start();
    let exports = watched.exports;
    while_records_come(exports, || {
        let mut grammar = Grammar::new(seed(), Words::of(&watched.node));
        let connect = |port: u16| Client::connect(port, STATEMENT_TIMEOUT, WORKS_WITHIN + GRACE);
        let mut client = connect(watched.psql);
        let before = watched.holds();
        for sql in hostile() {
            client.send(&asking(&sql));
            while let Some(told) = client.told() {
                check_refusal(&told, &cut(&sql));
                if matches!(told, Told::Ready) {
                    break;
                }
            }
            check_node(&mut watched, &cut(&sql));
        }
        watched.check_idle();
        let begun = Instant::now();
        while begun.elapsed() < part(2) {
            if !converse(&mut watched, &mut client, &mut grammar) {
                client = connect(watched.psql);
            }
        }
        drop(client);
        watched.check_account();
        watched.check_growth(before);
    });
    assert_eq!(watched.node.stop().code, Some(0));
}
