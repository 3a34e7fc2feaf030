//! Tables of ClickHouse, which runs in a process of Python and answers as a server does.

use super::{BY_ADDRESS, Place, SECRET, add, given, sorted, wait, wait_for_all, wait_for_trouble};
use crate::history::python_with;
use harness::ports::free_port;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;
use tempfile::TempDir;

/// What rows look like that are compared with those of the API.
const ROWS: &str = "formatDateTime(window_start, '%Y-%m-%dT%H:%i:%S', 'UTC'), \
    replaceOne(toString(src_ip), '::ffff:', ''), records, octets, status";

/// A server, in a folder of its own.
struct ClickHouse {
    python: PathBuf,
    folder: TempDir,
    port: u16,
    process: Option<Child>,
}

impl ClickHouse {
    fn start() -> Option<Self> {
        let Some(python) = python_with("chdb") else {
            println!("skipped: chdb is not installed (`cargo xtask setup --for test` installs it)");
            return None;
        };
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        let mut server = Self { python, folder, port, process: None };
        server.up();
        Some(server)
    }

    fn up(&mut self) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("end_to_end/sinks/clickhouse_shim.py");
        let mut command = Command::new(&self.python);
        command.arg("-B").arg(script).arg(self.folder.path()).arg(self.port.to_string()).arg(SECRET);
        self.process = Some(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap());
        wait("ClickHouse", || TcpStream::connect(("127.0.0.1", self.port)).is_ok());
    }

    /// Ends it as a crash does.
    fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// What it answers to a statement.
    fn sql(&self, statement: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let escaped: String = statement.bytes().map(|octet| format!("%{octet:02x}")).collect();
        write!(
            stream,
            "POST /?query={escaped} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 0\r\n\
             x-clickhouse-user: default\r\nx-clickhouse-key: {SECRET}\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(" 200 "), "{statement}: {body}");
        body.trim_end().to_owned()
    }

    fn rows(&self, table: &str) -> Vec<String> {
        sorted(self.sql(&format!("SELECT {ROWS} FROM {table}")).lines().map(str::to_owned).collect())
    }
}

impl Drop for ClickHouse {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What is said of the sink, with a password in this folder.
fn sink(folder: &Path, port: u16) -> String {
    let password = folder.join("password");
    fs::write(&password, SECRET).unwrap();
    format!(
        "kind = \"clickhouse\"\nurl = \"http://tapline@127.0.0.1:{port}/default\"\ntable = \"t_{{query}}\"\n\
         password_file = \"{}\"",
        password.display()
    )
}

#[test]
fn results_are_in_their_table_once_over_lost_answers_and_crashes() {
    let Some(mut server) = ClickHouse::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new(folder.path(), &sink(folder.path(), server.port));
    let first = place.start();
    add(&first, "by_address", BY_ADDRESS);
    place.load(&first, 50, "by_address");
    wait_for_all(&first);
    assert_eq!(server.rows("t_by_address"), given(&first, "by_address"));
    let mark = server.folder.path().join("lose_answer");
    fs::write(&mark, "").unwrap();
    place.load(&first, 50, "by_address");
    wait("an answer to be lost", || !mark.exists());
    wait_for_all(&first);
    // The server knows a block again, so that nobody needs to ask with FINAL.
    assert_eq!(server.rows("t_by_address"), given(&first, "by_address"));
    server.kill();
    place.load(&first, 50, "by_address");
    wait_for_trouble(&first, "does not answer");
    let mut rows = given(&first, "by_address");
    first.kill();
    let second = place.start();
    place.load(&second, 20, "by_address");
    server.up();
    wait_for_all(&second);
    rows.extend(given(&second, "by_address"));
    assert_eq!(server.rows("t_by_address FINAL"), sorted(rows));
    let kinds =
        server.sql("SELECT groupArray(name || ' ' || type) FROM system.columns WHERE table = 't_by_address'");
    for part in ["src_ip Nullable(IPv6)", "records Nullable(Int64)", "status LowCardinality(String)"] {
        assert!(kinds.contains(part), "{kinds}");
    }
    assert_eq!(second.stop().code, Some(0));
}

#[test]
fn columns_are_added_and_what_is_wrong_is_named_with_the_mend() {
    let Some(server) = ClickHouse::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new(folder.path(), &sink(folder.path(), server.port));
    let node = place.start_with_wrong_password("does not let tapline in: Code: 516.");
    let more = BY_ADDRESS.replace("AS octets", "AS octets, max(dst_port) AS port");
    assert_eq!(node.ask(&["queries", "replace", "by_address", &more]).code, Some(0));
    place.load(&node, 20, "by_address");
    wait_for_all(&node);
    let ports = server.sql("SELECT count(port) > 0, count() > count(port) FROM t_by_address");
    assert_eq!(ports, "1\t1");
    server.sql("CREATE TABLE t_other (window_start DateTime64(9, 'UTC'), records IPv6) ENGINE = MergeTree ORDER BY window_start");
    add(&node, "other", BY_ADDRESS);
    place.load(&node, 20, "other");
    wait_for_trouble(&node, "the column `records` of `default`.`t_other` is of type IPv6");
    server.sql("DROP TABLE t_other");
    wait_for_all(&node);
    sleep(Duration::from_millis(100));
    assert_eq!(server.rows("t_other"), given(&node, "other"));
    assert_eq!(node.stop().code, Some(0));
}
