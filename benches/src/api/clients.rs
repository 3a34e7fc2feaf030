//! Clients that ask at a steady rate, each over a connection that stays open.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// What is asked, in turn.
const PATHS: [&str; 6] = [
    "/api/v1/status",
    "/api/v1/queries",
    "/api/v1/queries/matrix/results",
    "/api/v1/ledger",
    "/api/v1/sources",
    "/api/v1/queries/talkers",
];
pub(super) const CLIENTS: u32 = 8;
/// A request is answered so soon.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);

/// A connection that stays open.
pub(super) struct Connection {
    stream: BufReader<TcpStream>,
    node: SocketAddr,
}

impl Connection {
    pub(super) fn open(node: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(node).with_context(|| format!("nobody answers at {node}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWERED_WITHIN))?;
        Ok(Self { stream: BufReader::new(stream), node })
    }

    /// The body of an answer.
    pub(super) fn get(&mut self, path: &str) -> Result<Vec<u8>> {
        self.ask("GET", path, None)
    }

    /// The body of an answer to a request, which may have a body, too.
    pub(super) fn ask(&mut self, method: &str, path: &str, body: Option<&Value>) -> Result<Vec<u8>> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.node,
            body.len()
        );
        self.stream.get_mut().write_all(request.as_bytes())?;
        let status = self.line()?;
        let mut octets = 0;
        loop {
            let line = self.line()?.to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(length) = line.strip_prefix("content-length:") {
                octets = length.trim().parse()?;
            }
        }
        let mut body = vec![0; octets];
        self.stream.read_exact(&mut body)?;
        ensure!(
            status.starts_with("HTTP/1.1 2"),
            "{method} {path}: {status} {}",
            String::from_utf8_lossy(&body)
        );
        Ok(body)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        ensure!(self.stream.read_line(&mut line)? > 0, "the node has closed a connection");
        Ok(line.trim_end().to_owned())
    }
}

/// Asks so many times a second; gives how long after it was due each answer was there, in order of that.
pub(super) fn ask(node: SocketAddr, requests: u32, time: Duration) -> Result<Vec<Duration>> {
    let outcomes: Vec<Result<Vec<Duration>>> = thread::scope(|scope| {
        let client = |number| scope.spawn(move || ask_one(node, number, requests, time));
        let clients: Vec<_> = (0..CLIENTS).map(client).collect();
        clients.into_iter().map(|client| client.join().expect("invariant: asking does not panic")).collect()
    });
    let mut times: Vec<Duration> = outcomes.into_iter().collect::<Result<Vec<_>>>()?.concat();
    times.sort_unstable();
    Ok(times)
}

/// What one of the clients asks.
fn ask_one(node: SocketAddr, number: u32, requests: u32, time: Duration) -> Result<Vec<Duration>> {
    let mut connection = Connection::open(node)?;
    let started = Instant::now();
    let mut times = vec![];
    for request in (number..).step_by(CLIENTS as usize) {
        let due = Duration::from_secs(1) * request / requests;
        if due >= time {
            break;
        }
        thread::sleep(due.saturating_sub(started.elapsed()));
        connection.get(PATHS[request as usize % PATHS.len()])?;
        times.push(started.elapsed() - due);
        ensure!(started.elapsed() < time * 2, "the node does not answer {requests} requests a second");
    }
    Ok(times)
}
