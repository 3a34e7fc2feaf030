//! ClickHouse, which runs in a process of Python and answers as a server does.

use super::{SECRET, python_with, wait_until_it_listens};
use crate::ports::free_port;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// A server with the database `default`.
pub struct ClickHouse {
    python: PathBuf,
    folder: TempDir,
    port: u16,
    process: Option<Child>,
}

impl ClickHouse {
    /// Starts one.
    ///
    /// # Panics
    /// When it is installed and does not start.
    #[must_use]
    pub fn start() -> Option<Self> {
        let Some(python) = python_with("chdb") else {
            println!("skipped: chdb is not installed (`cargo xtask setup --for test` installs it)");
            return None;
        };
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut server = Self { python, folder, port: free_port(), process: None };
        server.up();
        Some(server)
    }

    /// Where it listens.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Makes it lose the answer to the next insert; gives a file that is there until it did.
    ///
    /// # Panics
    /// When its folder cannot be written.
    #[must_use]
    pub fn lose_answer(&self) -> PathBuf {
        let mark = self.folder.path().join("lose_answer");
        std::fs::write(&mark, "").expect("a file in a temporary folder");
        mark
    }

    /// Starts it where it was ended.
    ///
    /// # Panics
    /// When it does not start.
    pub fn up(&mut self) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/servers/clickhouse_shim.py");
        let mut command = Command::new(&self.python);
        command.arg("-B").arg(script).arg(self.folder.path()).arg(self.port.to_string()).arg(SECRET);
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        self.process = Some(process.expect("Python starts"));
        wait_until_it_listens(self.port);
    }

    /// Ends it as a crash does.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// What it answers to a statement.
    ///
    /// # Panics
    /// When it refuses it.
    pub fn sql(&self, statement: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("it listens");
        let escaped: String = statement.bytes().map(|octet| format!("%{octet:02x}")).collect();
        let asked = write!(
            stream,
            "POST /?query={escaped} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 0\r\n\
             x-clickhouse-user: default\r\nx-clickhouse-key: {SECRET}\r\n\r\n"
        );
        let mut answer = String::new();
        asked.and_then(|()| stream.read_to_string(&mut answer)).expect("it answers");
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer of HTTP");
        assert!(head.contains(" 200 "), "{statement}: {body}");
        body.trim_end().to_owned()
    }
}

impl Drop for ClickHouse {
    fn drop(&mut self) {
        self.kill();
    }
}
