//! A server of webhooks: a double of the test, which takes notices, fails, hangs or goes away as it is told.

use serde_json::Value;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle, sleep};
use std::time::Duration;

/// What it does with a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Takes,
    Fails,
    Hangs,
    /// It is to end.
    Ends,
}

/// What it has been told, and does.
struct Shared {
    mode: Mode,
    requests: usize,
    heads: Vec<String>,
    notices: Vec<Value>,
}

/// The server; it ends with this value.
pub(super) struct Hook {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    thread: Option<JoinHandle<()>>,
}

impl Hook {
    pub(super) fn start(mode: Mode) -> Self {
        Self::at(([127, 0, 0, 1], 0).into(), mode)
    }

    /// One at an address that another one had.
    pub(super) fn at(address: SocketAddr, mode: Mode) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Shared { mode, requests: 0, heads: vec![], notices: vec![] };
        let shared = Arc::new(Mutex::new(shared));
        let serves = Arc::clone(&shared);
        let thread = Some(thread::spawn(move || serve(&listener, &serves)));
        Self { address, shared, thread }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn set(&self, mode: Mode) {
        lock(&self.shared).mode = mode;
    }

    /// How many notices came, whatever became of them.
    pub(super) fn requests(&self) -> usize {
        lock(&self.shared).requests
    }

    /// The heads of requests whose notices were taken.
    pub(super) fn heads(&self) -> Vec<String> {
        lock(&self.shared).heads.clone()
    }

    /// The notices that were taken.
    pub(super) fn notices(&self) -> Vec<Value> {
        lock(&self.shared).notices.clone()
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        self.set(Mode::Ends);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lock(shared: &Mutex<Shared>) -> std::sync::MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(listener: &TcpListener, shared: &Arc<Mutex<Shared>>) {
    while lock(shared).mode != Mode::Ends {
        match listener.accept() {
            Ok((stream, _)) => {
                let shared = Arc::clone(shared);
                thread::spawn(move || answer(stream, &shared));
            }
            Err(_) => sleep(Duration::from_millis(5)),
        }
    }
}

fn answer(mut stream: TcpStream, shared: &Mutex<Shared>) {
    stream.set_nonblocking(false).unwrap();
    let Some((head, body)) = request(&mut stream) else { return };
    let mode = {
        let mut shared = lock(shared);
        shared.requests += 1;
        if shared.mode == Mode::Takes {
            shared.heads.push(head.to_lowercase());
            shared.notices.push(serde_json::from_slice(&body).unwrap());
        }
        shared.mode
    };
    let status = match mode {
        Mode::Takes => "204 No Content",
        Mode::Fails => "500 Internal Server Error",
        Mode::Hangs | Mode::Ends => {
            // Whoever waits gives up before.
            sleep(Duration::from_secs(5));
            return;
        }
    };
    // Whoever asked may be gone.
    let _ = write!(stream, "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
}

/// The head and the body of a request; nothing where it breaks off.
fn request(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let (mut octets, mut block) = (vec![], [0; 4096]);
    loop {
        let read = stream.read(&mut block).ok().filter(|read| *read > 0)?;
        octets.extend_from_slice(&block[..read]);
        let text = String::from_utf8_lossy(&octets);
        let Some((head, _)) = text.split_once("\r\n\r\n") else { continue };
        let lower = head.to_lowercase();
        let length = lower.lines().find_map(|line| line.strip_prefix("content-length:"));
        let length: usize = length.unwrap().trim().parse().unwrap();
        let start = head.len() + 4;
        if octets.len() >= start + length {
            return Some((head.to_owned(), octets[start..start + length].to_vec()));
        }
    }
}
