//! Asks a node over its socket: that is a file, which is reached from every network.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// A node that runs answers within this time.
const ANSWERS_WITHIN: Duration = Duration::from_secs(20);

/// The API of a node.
#[derive(Clone, Debug)]
pub struct Api(PathBuf);

impl Api {
    /// That of a node whose `--socket` is this.
    pub const fn new(socket: PathBuf) -> Self {
        Self(socket)
    }

    /// The socket.
    pub fn socket(&self) -> &Path {
        &self.0
    }

    /// What it answers to a question.
    ///
    /// # Errors
    /// When it does not answer, or refuses.
    pub fn get(&self, path: &str) -> Result<Value> {
        self.ask("GET", path, "")
    }

    /// What it answers to an order.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.ask("POST", path, &body.to_string())
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> Result<Value> {
        let nobody = || format!("nobody answers at {}", self.0.display());
        let mut stream = UnixStream::connect(&self.0).with_context(nobody)?;
        stream.set_read_timeout(Some(ANSWERS_WITHIN))?;
        stream.set_write_timeout(Some(ANSWERS_WITHIN))?;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).with_context(nobody)?;
        let (head, body) = answer.split_once("\r\n\r\n").with_context(nobody)?;
        let status = head.lines().next().unwrap_or_default();
        ensure!(status.starts_with("HTTP/1.1 2"), "{method} {path}: {status}: {}", body.trim());
        if body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(body).with_context(|| format!("{method} {path} is answered by no JSON: {body}"))
    }
}
