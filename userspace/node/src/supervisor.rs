//! What systemd is told: that the node is ready, that it is there still, and that it ends.

use std::cell::Cell;
use std::env;
use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

/// Who started the node, if it wants to be told.
#[derive(Debug)]
pub(crate) struct Supervisor {
    socket: Option<(UnixDatagram, SocketAddr)>,
    /// How often it wants to hear that the node is there, and when it heard so last.
    stays_every: Option<Duration>,
    stayed: Cell<Instant>,
}

impl Supervisor {
    /// The one that the environment names.
    pub(crate) fn of_environment() -> Self {
        let socket = env::var_os("NOTIFY_SOCKET").and_then(|path| connect(&path));
        let limit =
            env::var("WATCHDOG_USEC").ok().and_then(|text| text.parse().ok()).map(Duration::from_micros);
        Self { socket, stays_every: limit.map(|limit| limit / 3), stayed: Cell::new(Instant::now()) }
    }

    pub(crate) fn ready(&self) {
        self.tell("READY=1\nSTATUS=reading");
    }

    pub(crate) fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    /// Says that the node is there still, where that is due.
    pub(crate) fn stay(&self) {
        if self.stays_every.is_some_and(|every| self.stayed.get().elapsed() >= every) {
            self.stayed.set(Instant::now());
            self.tell("WATCHDOG=1");
        }
    }

    fn tell(&self, what: &str) {
        if let Some((socket, address)) = &self.socket {
            // Where it cannot be told, it will notice.
            let _ = socket.send_to_addr(what.as_bytes(), address);
        }
    }
}

fn connect(path: &OsStr) -> Option<(UnixDatagram, SocketAddr)> {
    let address = match path.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(path),
    };
    Some((UnixDatagram::unbound().ok()?, address.ok()?))
}
