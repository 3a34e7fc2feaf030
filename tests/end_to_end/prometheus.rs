//! Prometheus' own programs: promtool, and a server that reads a node.

use harness::ports::free_port;
use serde_json::Value;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Says that a test cannot do its work.
fn skipped(program: &str) {
    println!(
        "skipped: {program} is not installed (Debian package prometheus; `cargo xtask setup --for test` installs it)"
    );
}

/// Runs promtool, which must find nothing wrong, with this as its input; gives what it says of that on standard error.
/// `None`, and a line that says so, where it is not installed.
pub(super) fn promtool(arguments: &[&str], input: &str) -> Option<String> {
    let mut command = Command::new("promtool");
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut child) = command.spawn() else {
        skipped("promtool");
        return None;
    };
    // One that reads none of it may be gone.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let [said, wrong] =
        [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
    assert!(output.status.success(), "{arguments:?}: {said}{wrong}");
    Some(wrong)
}

/// The head and the body of what a server answers to a GET that accepts this.
pub(super) fn answer(address: &str, path: &str, accept: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    // By HTTP/1.0 a body comes in one piece.
    write!(stream, "GET {path} HTTP/1.0\r\nhost: {address}\r\naccept: {accept}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_lowercase(), body.to_owned())
}

/// A Prometheus that reads one node each second; it ends with this value.
pub(super) struct Prometheus {
    server: Child,
    address: String,
    _folder: TempDir,
}

impl Prometheus {
    /// Starts it, with these rules, and waits until it answers. `None`, and a line that says so, where it is not
    /// installed.
    pub(super) fn start(target: &str, rules: &Path) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("prometheus.yml");
        let text = format!(
            "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\nrule_files: [\"{}\"]\nscrape_configs:\n  - job_name: tapline\n    static_configs: [{{ targets: [\"{target}\"] }}]\n",
            rules.display()
        );
        fs::write(&config, text).unwrap();
        let port = free_port();
        let address = format!("127.0.0.1:{port}");
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", config.display()));
        command.arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()));
        command.arg(format!("--web.listen-address={address}")).arg("--log.level=error");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(server) = command.current_dir(folder.path()).spawn() else {
            skipped("prometheus");
            return None;
        };
        let prometheus = Self { server, address, _folder: folder };
        let started = Instant::now();
        while !prometheus.is_ready() {
            assert!(started.elapsed() < Duration::from_secs(60), "Prometheus does not answer");
            sleep(Duration::from_millis(50));
        }
        Some(prometheus)
    }

    fn is_ready(&self) -> bool {
        TcpStream::connect(&self.address).is_ok()
            && answer(&self.address, "/-/ready", "*/*").0.starts_with("http/1.0 200")
    }

    /// What it answers to an expression.
    pub(super) fn ask(&self, expression: &str) -> Value {
        let encoded: String = expression.bytes().map(|octet| format!("%{octet:02X}")).collect();
        let (_, body) = answer(&self.address, &format!("/api/v1/query?query={encoded}"), "*/*");
        serde_json::from_str(&body).unwrap()
    }

    /// The value of an expression that has one sample.
    pub(super) fn value(&self, expression: &str) -> Option<f64> {
        let answered = self.ask(expression);
        assert_eq!(answered["status"], "success", "{expression}: {answered}");
        answered["data"]["result"][0]["value"][1].as_str()?.parse().ok()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
