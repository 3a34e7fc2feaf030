//! `tapline shell`: a node that is asked line by line.

use super::screen::{CTRL_C, Terminal};
use harness::node::Node;
use serde_json::Value;
use std::net::UdpSocket;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A node whose ledger has rows each second, of datagrams that mean nothing, and a query that stays.
fn node() -> Node {
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
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
