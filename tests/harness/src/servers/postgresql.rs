//! A PostgreSQL server.

use super::SECRET;
use crate::ports::free_port;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A server with the user `tapline` and the database `postgres`.
pub struct Postgresql {
    programs: PathBuf,
    folder: TempDir,
    port: u16,
}

impl Postgresql {
    /// Makes one and starts it.
    ///
    /// # Panics
    /// When it is installed and does not start.
    #[must_use]
    pub fn start() -> Option<Self> {
        let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
        let programs = versions.map(|version| version.path().join("bin"));
        let Some(programs) = programs.filter(|folder| folder.join("initdb").is_file()).max() else {
            println!("skipped: no PostgreSQL server is installed (Debian package postgresql)");
            return None;
        };
        let folder = tempfile::tempdir().expect("a temporary folder");
        let server = Self { programs, folder, port: free_port() };
        server.own();
        let password = server.folder.path().join("password");
        fs::write(&password, format!("{SECRET}\n")).expect("a file in a temporary folder");
        let mut initdb = server.program("initdb");
        initdb.args(["--pgdata", &server.data(), "--auth", "scram-sha-256", "--username", "tapline"]);
        initdb.args(["--no-sync", "--encoding", "UTF8", "--locale", "C", "--pwfile"]).arg(password);
        let made = initdb.output().expect("initdb starts");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        server.up();
        Some(server)
    }

    /// Where it listens.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Starts it where it was ended.
    ///
    /// # Panics
    /// When it does not start.
    pub fn up(&self) {
        let (port, folder) = (self.port, self.folder.path().display());
        let options = format!(
            "-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={folder} -c fsync=off"
        );
        let log = format!("{folder}/log");
        let mut command = self.program("pg_ctl");
        command.args(["--pgdata", &self.data(), "--wait", "--log", &log, "--options", &options, "start"]);
        let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("pg_ctl starts");
        assert!(status.success(), "{}", fs::read_to_string(log).unwrap_or_default());
    }

    /// Ends it as a crash does.
    pub fn kill(&self) {
        let mut command = self.program("pg_ctl");
        command.args(["--pgdata", &self.data(), "--wait", "--mode", "immediate", "stop"]);
        let _ = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    }

    /// What psql prints for a statement, or a command of its own.
    ///
    /// # Panics
    /// When the server refuses it.
    pub fn sql(&self, statement: &str) -> String {
        let output = Command::new("psql")
            .args(["--no-psqlrc", "--no-align", "--tuples-only", "--set", "ON_ERROR_STOP=1"])
            .args(["--field-separator", "\t", "--host", "127.0.0.1", "--port", &self.port.to_string()])
            .args(["--username", "tapline", "--dbname", "postgres", "--command", statement])
            .env("PGPASSWORD", SECRET)
            .output()
            .expect("psql starts");
        assert!(output.status.success(), "{statement}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// The folder belongs to a user that may run a server: root may not.
    fn own(&self) {
        if is_root() {
            let owned = Command::new("chown").arg("postgres").arg(self.folder.path()).status();
            assert!(owned.is_ok_and(|status| status.success()), "there is a user postgres");
        }
    }

    fn program(&self, name: &str) -> Command {
        let program = self.programs.join(name);
        let mut command = Command::new(if is_root() { Path::new("setpriv") } else { program.as_path() });
        if is_root() {
            command.args(["--reuid", "postgres", "--regid", "postgres", "--clear-groups"]).arg(&program);
        }
        command.current_dir("/").stdin(Stdio::null());
        command
    }

    fn data(&self) -> String {
        self.folder.path().join("data").display().to_string()
    }
}

impl Drop for Postgresql {
    fn drop(&mut self) {
        self.kill();
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|found| found.uid() == 0)
}
