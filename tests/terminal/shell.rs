//! `tapline shell`: a node that is asked line by line.

use super::screen::{CTRL_C, Terminal};
use harness::node::Node;
use harness::ports::free_port;
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A node whose ledger has rows each second, of datagrams that mean nothing, and a query that stays.
fn node() -> Node {
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = free_port();
    let soon = ["--event-time", "receive", "--allowed-lateness-ms", "200"];
    let node =
        Node::start(&[&["--listen", &format!("udp://127.0.0.1:{port}"), "--bare"], &soon[..]].concat());
    // It ends with the test, and is refused once the node is gone.
    thread::spawn(move || {
        loop {
            let _ = sender.send_to(b"nothing", ("127.0.0.1", port));
            sleep(Duration::from_millis(50));
        }
    });
    let sql = "SELECT count(*) AS lines FROM ledger GROUP BY tumble('1 second')";
    assert_eq!(node.ask(&["queries", "add", "standing", sql]).code, Some(0));
    node
}

fn shell(node: &Node, state: &TempDir) -> Terminal {
    let mut terminal = Terminal::start(&["shell", "--node", node.url()], 120, state.path());
    assert!(terminal.shown_before_prompt().contains("at http://127.0.0.1:"));
    terminal
}

/// Names of a node's queries.
fn names(node: &Node) -> Vec<String> {
    let queries: Value =
        serde_json::from_str(node.ask(&["queries", "list", "--format", "json"]).success()).unwrap();
    queries.as_array().unwrap().iter().map(|query| query["name"].as_str().unwrap().to_owned()).collect()
}

const BY_SECOND: &str = "SELECT source, count(*) FROM ledger GROUP BY source, tumble('1 second');";

#[test]
fn a_statement_is_a_query_of_the_node_until_ctrl_c() {
    let (node, state) = (node(), tempfile::tempdir().unwrap());
    let mut terminal = shell(&node, &state);
    terminal.press(&format!("{BY_SECOND}\r"));
    let found = terminal.wait_for(|new| new.contains("udp://127.0.0.1"));
    assert!(found.contains("| window_start") && found.contains("| count(*) |"), "{found}");
    assert!(names(&node).len() == 2 && names(&node).iter().any(|name| name.starts_with("shell_")));
    terminal.press(CTRL_C);
    terminal.shown_before_prompt();
    assert_eq!(names(&node), ["standing"], "it is dropped");
    let found = terminal.answer("SELECT nosuch FROM ledger GROUP BY tumble('1 second');");
    assert!(found.contains("  |        ^^^^^^"), "{found}");
    let found = terminal.answer("\\explain SELECT count(*) FROM ledger GROUP BY tumble('1 second')");
    assert!(found.contains("result: count(*) Int64"), "{found}");
    terminal.press("\\q\r");
    assert_eq!(terminal.code(), Some(0));
    assert_eq!(node.stop().code, Some(0));
}

#[test]
fn what_stands_is_shown_and_stays() {
    let (node, state) = (node(), tempfile::tempdir().unwrap());
    let mut terminal = shell(&node, &state);
    let found = terminal.answer("\\d");
    assert!(found.contains("flows: ") && found.contains("query standing"), "{found}");
    assert!(terminal.answer("\\d standing").contains("FROM ledger"));
    assert!(terminal.answer("\\d flows").contains("sampling_rate"));
    assert!(terminal.answer("\\queries").contains("standing"));
    assert!(terminal.answer("\\sources").contains("udp://127.0.0.1"));
    assert!(terminal.answer("\\watch nosuch").contains("error: "));
    terminal.answer("\\x");
    terminal.press("\\watch standing\r");
    let found = terminal.wait_for(|new| new.contains("-[ row 1 ]"));
    assert!(found.contains("lines"), "{found}");
    terminal.press(CTRL_C);
    terminal.shown_before_prompt();
    assert_eq!(names(&node), ["standing"]);
}

#[test]
fn a_terminal_that_goes_away_leaves_no_query_behind() {
    for signal in ["HUP", "TERM"] {
        let (node, state) = (node(), tempfile::tempdir().unwrap());
        let mut terminal = shell(&node, &state);
        terminal.press(&format!("{BY_SECOND}\r"));
        terminal.wait_for(|new| new.contains("udp://127.0.0.1"));
        terminal.signal(signal);
        let started = Instant::now();
        while names(&node).len() > 1 {
            assert!(started.elapsed() < Duration::from_secs(20), "{signal}: {:?}", names(&node));
        }
        drop(terminal);
        // At the prompt, nothing is held, and the program ends at once.
        let terminal = shell(&node, &state);
        terminal.signal(signal);
        assert_eq!(terminal.code(), None, "{signal}");
    }
}

/// Reads a request, and gives its first line.
fn request(stream: &TcpStream) -> String {
    let mut reader = BufReader::new(stream);
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first).unwrap();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(octets) = line.strip_prefix("content-length:") {
            length = octets.trim().parse().unwrap();
        }
    }
    reader.read_exact(&mut vec![0; length]).unwrap();
    first
}

/// What answers as a node does, but a query only when it is told to; and what it was asked.
fn slow_node() -> (String, Receiver<String>, Sender<()>) {
    const ANSWER: &str = "{\"version\":\"0\",\"queries\":[]}";
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let ((asked, requests), (answer, told)) = (channel(), channel());
    // It ends with the program of the tests.
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let first = request(&stream);
            let is_query = first.starts_with("POST ");
            asked.send(first).unwrap();
            if is_query {
                told.recv().unwrap();
            }
            let length = ANSWER.len();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
            stream.write_all(format!("{head}{ANSWER}").as_bytes()).unwrap();
        }
    });
    (url, requests, answer)
}

#[test]
fn ctrl_c_before_the_node_has_answered_leaves_no_query_behind() {
    let ((url, requests, answer), state) = (slow_node(), tempfile::tempdir().unwrap());
    let wait_for = |begin: &str| {
        while !requests.recv_timeout(Duration::from_secs(20)).unwrap().starts_with(begin) {}
    };
    let mut terminal = Terminal::start(&["shell", "--node", &url], 120, state.path());
    terminal.shown_before_prompt();
    terminal.press(&format!("{BY_SECOND}\r"));
    wait_for("POST /api/v1/queries ");
    terminal.press(CTRL_C);
    sleep(Duration::from_millis(100));
    answer.send(()).unwrap();
    wait_for("DELETE /api/v1/queries/shell_");
    terminal.shown_before_prompt();
    terminal.press("\\q\r");
    assert_eq!(terminal.code(), Some(0));
}
