//! A node that sends its results to servers: each comes once, whatever becomes of the servers, of answers and of the node.

mod clickhouse;
mod kafka;
mod postgresql;

use super::history::{load_and_wait, outlet, sorted, wait};
use super::node::kept_windows;
use super::sender::wait_for_listener;
use harness::node::Node;
use harness::ports::free_port;
use harness::servers::SECRET;
use std::fs;
use std::path::Path;

const BY_ADDRESS: &str = "SELECT src_ip, count(*) AS records, sum(octets) AS octets FROM flows \
    GROUP BY src_ip, tumble('1 second')";

/// A node with one sink, which is called `server`.
struct Place {
    config: String,
    port: u16,
}

impl Place {
    /// In this folder, with a sink of which this is said.
    fn new(folder: &Path, sink: &str) -> Self {
        let (port, config) = (free_port(), folder.join("node.toml"));
        let text = format!(
            "[[source]]\nlisten = \"udp://127.0.0.1:{port}\"\nevent_time = \"receive\"\nallowed_lateness_ms = 200\n\
             [node]\nstate = \"{0}/state\"\n\
             [[sink]]\nname = \"lines\"\nkind = \"file\"\nfolder = \"{0}/lines\"\n\
             [[sink]]\nname = \"server\"\n{sink}\n",
            folder.display()
        );
        fs::write(&config, text).unwrap();
        Self { config: config.to_str().unwrap().to_owned(), port }
    }

    fn start(&self) -> Node {
        let node = Node::start(&["--bare", "--config", &self.config]);
        wait_for_listener(self.port);
        node
    }

    /// Sends records, and waits until a query has given all windows of them.
    fn load(&self, node: &Node, datagrams: u32, name: &str) {
        load_and_wait((node, self.port), datagrams, name);
    }

    /// Starts it with a wrong password in the file beside it, of which this is said, and then writes the right one:
    /// everything arrives.
    fn start_with_wrong_password(&self, expected: &str) -> Node {
        let password = Path::new(&self.config).with_file_name("password");
        fs::write(&password, "open barley").unwrap();
        let node = self.start();
        add(&node, "by_address", BY_ADDRESS);
        self.load(&node, 20, "by_address");
        wait_for_trouble(&node, expected);
        assert!(!node.told().contains("barley"), "{}", node.told());
        fs::write(&password, SECRET).unwrap();
        wait_for_all(&node);
        node
    }
}

fn add(node: &Node, name: &str, sql: &str) {
    let added = node.ask(&["queries", "add", name, sql]);
    assert_eq!(added.code, Some(0), "{}", added.stderr);
}

/// Waits until everything has arrived.
fn wait_for_all(node: &Node) {
    wait("the server to have all", || {
        let server = outlet(node, "server");
        server["waiting"] == 0 && server["state"] == "running"
    });
}

/// Waits until the server is in trouble, of which this is said; nobody else notices.
fn wait_for_trouble(node: &Node, expected: &str) {
    wait(expected, || {
        let server = outlet(node, "server");
        server["state"] == "failing" && server["reason"].as_str().unwrap_or_default().contains(expected)
    });
    assert!(node.ask(&["status"]).success().contains("! server: "));
    assert_eq!(outlet(node, "lines")["state"], "running");
    assert_eq!(outlet(node, "lines")["lost"], 0);
    assert!(!node.told().contains(SECRET) && !node.ask(&["status"]).text().contains(SECRET));
}

/// What a node has given of a query by address, a row a line.
fn given(node: &Node, name: &str) -> Vec<String> {
    let mut rows = vec![];
    for window in kept_windows(node, name) {
        let start = window["window_start"].as_str().unwrap().trim_end_matches('Z').to_owned();
        let status = window["status"].as_str().unwrap();
        for row in window["rows"].as_array().unwrap() {
            let address = row["src_ip"].as_str().unwrap();
            rows.push(format!("{start}\t{address}\t{}\t{}\t{status}", row["records"], row["octets"]));
        }
    }
    sorted(rows)
}

/// Results that were given to the server, and of these the lost ones.
fn counts(node: &Node) -> (u64, u64) {
    let server = outlet(node, "server");
    (server["given"].as_u64().unwrap(), server["lost"].as_u64().unwrap())
}
