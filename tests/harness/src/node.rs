//! A node that runs beside a test.

use crate::run::{Finished, Running, binary, command, tapline};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A node; it ends with this value.
pub struct Node {
    running: Running,
    url: String,
    /// What a copy of the binary is in.
    _folder: Option<TempDir>,
}

impl Node {
    /// Starts `tapline run` with these arguments, on a port of the API that is free, and waits until it answers.
    ///
    /// # Panics
    /// When there is no binary, or the node does not begin in time.
    #[must_use]
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_at("127.0.0.1:0", arguments)
    }

    /// The same, its API being at this address.
    ///
    /// # Panics
    /// As [`Self::start`].
    #[must_use]
    pub fn start_at(api: &str, arguments: &[&str]) -> Self {
        Self::of(command(&[&["run", "--api", api], arguments].concat()), None)
    }

    /// The same, started by another program, such as setpriv(1), from a copy of the binary that all users may run.
    ///
    /// # Panics
    /// As [`Self::start`]; when there is no such program.
    #[must_use]
    pub fn start_by(program: &[&str], arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let copy = folder.path().join("tapline");
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("a temporary folder");
        fs::copy(binary(), &copy).expect("a copy of the binary");
        let (first, rest) = program.split_first().expect("a program");
        let mut command = Command::new(first);
        command.args(rest).arg(copy).args(["run", "--api", "127.0.0.1:0"]).args(arguments);
        Self::of(command, Some(folder))
    }

    fn of(mut command: Command, folder: Option<TempDir>) -> Self {
        let running = Running::start(command.stdin(Stdio::null()));
        running.wait_for("err", "tapline queries list");
        let told = running.text("err");
        let (_, url) = told.split_once("the API is at ").expect("the node says where its API is");
        let url = url.lines().next().unwrap_or_default().to_owned();
        Self { running, url, _folder: folder }
    }

    /// Where its API is.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The number of its process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.running.id()
    }

    /// Runs a command that asks this node.
    ///
    /// # Panics
    /// As for [`tapline`].
    #[must_use]
    pub fn ask(&self, arguments: &[&str]) -> Finished {
        tapline(&[arguments, &["--node", &self.url]].concat())
    }

    /// Sends it a signal, such as `HUP`.
    ///
    /// # Panics
    /// When it cannot be sent.
    pub fn signal(&self, name: &str) {
        self.running.signal(name);
    }

    /// Waits until it has said this.
    ///
    /// # Panics
    /// When it does not in time.
    pub fn wait_for(&self, text: &str) {
        self.running.wait_for("err", text);
    }

    /// All that it has said.
    ///
    /// # Panics
    /// When that cannot be read.
    #[must_use]
    pub fn told(&self) -> String {
        self.running.text("err")
    }

    /// Octets of memory that it holds.
    ///
    /// # Panics
    /// When the machine does not say.
    #[must_use]
    pub fn resident_octets(&self) -> u64 {
        self.running.resident_octets()
    }

    /// Ends it as systemd does.
    ///
    /// # Panics
    /// When it does not end in time.
    #[must_use]
    pub fn stop(self) -> Finished {
        self.running.signal("TERM");
        self.running.finish()
    }

    /// Ends it as a power cut does.
    ///
    /// # Panics
    /// When it does not end.
    pub fn kill(self) {
        self.running.signal("KILL");
        let _ = self.running.finish();
    }
}
