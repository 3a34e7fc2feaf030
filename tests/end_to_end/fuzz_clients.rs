//! Clients that are slow on purpose: they send an octet a second, read nothing of their answers, or say nothing at all.
//! A node gets rid of them in time, and answers others meanwhile.
//!
//! Runs of `TAPLINE_FUZZ_SECONDS` of 120 and more wait for those, too, that a node bears for a minute.

use super::node::http;
use super::psql::started;
use super::psql_strangers::{connect, startup};
use super::viewers::take_descriptors;
use harness::node::Node;
use serde_json::json;
use std::env;
use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

/// How long others wait for an answer at most, on a machine that has other work.
const ANSWERED_WITHIN: Duration = Duration::from_secs(15);
/// Connections that a node answers at once, and some more than that.
const TOO_MANY_OF_API: usize = 2048 + 100;
const TOO_MANY_OF_PSQL: usize = 64 + 36;
/// Beyond a limit of the node.
const GRACE: Duration = Duration::from_secs(10);
/// Rows of more octets than sockets hold.
const MUCH: &str = "SELECT repeat('x', 400) || CAST(value AS text) AS a FROM generate_series(1, 100000)";

/// A connection to a node's API.
fn to_api(node: &Node) -> TcpStream {
    TcpStream::connect(node.url().trim_start_matches("http://")).unwrap()
}

/// A connection over which statements may be sent; none where there is no room for it.
fn let_in(port: u16) -> Option<TcpStream> {
    let mut stream = connect(port);
    // Who is not let in may be told so before he has said who he is.
    let _ = stream.write_all(&startup());
    // The node says all that it has to say at once.
    let mut told = vec![];
    while !told.ends_with(b"Z\0\0\0\x05I") {
        let mut octets = [0; 4096];
        let count = stream.read(&mut octets).ok().filter(|count| *count > 0)?;
        told.extend_from_slice(&octets[..count]);
    }
    Some(stream)
}

fn to_psql(port: u16) -> TcpStream {
    let_in(port).expect("the node lets nobody in")
}

/// Sends an octet a second, of these and then the last one again, until the other side has enough; gives what it said.
fn drip(mut stream: TcpStream, octets: &[u8], within: Duration) -> String {
    stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let (begun, mut said) = (Instant::now(), vec![]);
    let last = octets.last().copied().unwrap_or_default();
    for octet in octets.iter().copied().chain(std::iter::repeat(last)) {
        assert!(begun.elapsed() < within + GRACE, "nobody has enough of {}", String::from_utf8_lossy(octets));
        let is_sent = stream.write_all(&[octet]).is_ok();
        let mut answer = [0; 4096];
        match stream.read(&mut answer) {
            Ok(0) => break,
            Ok(count) => said.extend_from_slice(&answer[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) && is_sent => {}
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&said).into_owned()
}

fn descriptors(node: &Node) -> usize {
    fs::read_dir(format!("/proc/{}/fd", node.id())).unwrap().count()
}

/// Whether the node is to be tried for longer.
fn is_long() -> bool {
    let seconds = env::var("TAPLINE_FUZZ_SECONDS").ok();
    seconds.is_some_and(|seconds| seconds.parse::<u64>().unwrap() >= 120)
}

/// Asks the node both ways, again and again, until there is nothing more to wait for.
fn ask_meanwhile(node: &Node, port: u16, is_over: &AtomicBool) {
    while !is_over.load(Ordering::Relaxed) {
        let begun = Instant::now();
        assert_eq!(http(node, "GET", "/healthz", "").0, 200);
        assert_eq!(http(node, "GET", "/api/v1/status", "").0, 200);
        drop(to_psql(port));
        assert!(begun.elapsed() < ANSWERED_WITHIN, "others waited for {:?}", begun.elapsed());
        sleep(Duration::from_millis(500));
    }
}

/// Ends whoever asks meanwhile, also where a test fails.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn slow_clients_are_left_and_others_are_answered() {
    let (node, port, _) = started("127.0.0.1:0", &[]);
    ask_once(&node, port);
    let before = descriptors(&node);
    let memory = node.resident_octets();
    let is_over = AtomicBool::new(false);
    let silent: Vec<TcpStream> =
        (0..150).map(|_| to_api(&node)).chain((0..30).map(|_| connect(port))).collect();
    let deaf = deaf(&node, port);
    let seconds = Duration::from_secs;
    thread::scope(|scope| {
        let ends = Ends(&is_over);
        let others = scope.spawn(|| ask_meanwhile(&node, port, &is_over));
        let slow = [
            scope.spawn(|| {
                drip(to_api(&node), b"GET /healthz HTTP/1.1\r\nhost: localhost\r\na: a", seconds(30))
            }),
            scope.spawn(|| {
                let mut stream = to_api(&node);
                write!(
                    stream,
                    "POST /api/v1/sql HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5000\r\n\r\n"
                )
                .unwrap();
                drip(stream, b"{ ", seconds(10))
            }),
            scope.spawn(|| drip(connect(port), b"\0\0\x10\0\0\x03\0\0a", seconds(10))),
            scope.spawn(|| drip(to_psql(port), b"Q\0\0\xff\xffx", seconds(30))),
        ];
        let [head, body, begin, message] = slow.map(|slow| slow.join().unwrap());
        assert!(head.is_empty() || head.starts_with("HTTP/1.1 408"), "{head}");
        assert!(
            body.starts_with("HTTP/1.1 408") && body.contains("the body of the request does not come"),
            "{body}"
        );
        assert!(begin.contains("took too long to say who it is"), "{begin}");
        assert!(message.contains("a message does not come to its end"), "{message}");
        let begun = Instant::now();
        while descriptors(&node) > before + 8 {
            assert!(begun.elapsed() < Duration::from_secs(90), "{before} became {}", descriptors(&node));
            sleep(Duration::from_millis(200));
        }
        drop(ends);
        others.join().unwrap();
    });
    drop((silent, deaf));
    assert!(node.resident_octets() < memory + (256 << 20), "it grows");
    assert!(!node.told().contains("panicked"), "{}", node.told());
    assert_eq!(node.stop().code, Some(0));
}

/// Warms up what the first request makes.
fn ask_once(node: &Node, port: u16) {
    let (status, answer) = http(node, "POST", "/api/v1/sql", &json!({ "sql": "SELECT 1 AS n" }).to_string());
    assert_eq!(status, 200, "{answer}");
    drop(to_psql(port));
}

/// Connections over which much is asked, and nothing is read.
fn deaf(node: &Node, port: u16) -> Vec<TcpStream> {
    let body = json!({ "sql": MUCH, "rows_max": 100_000 }).to_string();
    let mut deaf = vec![];
    for _ in 0..2 {
        let mut stream = to_api(node);
        let line = "POST /api/v1/sql HTTP/1.1\r\nhost: localhost";
        write!(stream, "{line}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
        deaf.push(stream);
    }
    // Which a node bears for as long as a pager may be looked at.
    if is_long() {
        let mut stream = to_psql(port);
        let statement = [MUCH.as_bytes(), &[0]].concat();
        let length = u32::try_from(statement.len() + 4).unwrap().to_be_bytes();
        stream.write_all(&[&b"Q"[..], &length, &statement].concat()).unwrap();
        deaf.push(stream);
    }
    deaf
}

#[test]
fn more_silent_clients_than_there_is_room_for_hold_up_others_for_a_while_only() {
    let (node, port, _) = started("127.0.0.1:0", &[]);
    ask_once(&node, port);
    take_descriptors();
    let of_api = (0..TOO_MANY_OF_API).map(|_| to_api(&node));
    let silent: Vec<TcpStream> = of_api.chain((0..TOO_MANY_OF_PSQL).map(|_| connect(port))).collect();
    let begun = Instant::now();
    let is_late = || begun.elapsed() > Duration::from_secs(30) + GRACE;
    while let_in(port).is_none() {
        assert!(!is_late(), "psql lets nobody in after {:?}", begun.elapsed());
        sleep(Duration::from_millis(200));
    }
    assert_eq!(http(&node, "GET", "/healthz", "").0, 200);
    assert!(!is_late(), "after {:?}", begun.elapsed());
    drop(silent);
    assert_eq!(node.stop().code, Some(0));
}
