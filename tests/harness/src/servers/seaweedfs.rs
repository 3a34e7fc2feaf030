//! SeaweedFS, which speaks S3's protocol and keeps objects in a folder.

use super::{LISTENS_WITHIN, SECRET, python_with, wait_until_it_listens};
use crate::ports::free_port;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Who may ask; the secret is [`SECRET`].
const USER: &str = "tapline";
/// The bucket that there is.
const BUCKET: &str = "results";

/// A server with one bucket, which is empty at first.
pub struct SeaweedFs {
    program: PathBuf,
    folder: TempDir,
    ports: [u16; 8],
    process: Option<Child>,
}

impl SeaweedFs {
    /// Starts one.
    ///
    /// # Panics
    /// When it is installed and does not start.
    #[must_use]
    pub fn start() -> Option<Self> {
        let program = python_with("seaweedfs").map(|python| python.with_file_name("weed"));
        let Some(program) = program.filter(|program| program.is_file()) else {
            println!("skipped: SeaweedFS is not installed (`cargo xtask setup --for test` installs it)");
            return None;
        };
        let folder = tempfile::tempdir().expect("a temporary folder");
        let identities = format!(
            r#"{{"identities": [{{"name": "{USER}", "actions": ["Admin", "Read", "List", "Write"],
                "credentials": [{{"accessKey": "{USER}", "secretKey": "{SECRET}"}}]}}]}}"#
        );
        let credentials =
            format!("[default]\naws_access_key_id = {USER}\naws_secret_access_key = {SECRET}\n");
        for (name, text) in [("s3.json", identities), ("credentials", credentials)] {
            fs::write(folder.path().join(name), text).expect("a file in a temporary folder");
        }
        fs::create_dir(folder.path().join("data")).expect("a folder in a temporary folder");
        let mut server = Self { program, folder, ports: [(); 8].map(|()| free_port()), process: None };
        server.up();
        server.make_bucket();
        Some(server)
    }

    /// Where it listens, as a URL.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port())
    }

    /// The bucket, as a URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("s3://{BUCKET}")
    }

    /// A file of who may ask, as AWS's programs have it.
    #[must_use]
    pub fn credentials_file(&self) -> PathBuf {
        self.folder.path().join("credentials")
    }

    /// A table of ClickHouse over Parquet files at these keys, which may have a `*`.
    #[must_use]
    pub fn for_clickhouse(&self, keys: &str) -> String {
        format!("s3('{}/{BUCKET}/{keys}', '{USER}', '{SECRET}', 'Parquet')", self.endpoint())
    }

    /// Starts it where it was ended.
    ///
    /// # Panics
    /// When it does not start.
    pub fn up(&mut self) {
        let names = [
            "master.port",
            "master.port.grpc",
            "volume.port",
            "volume.port.grpc",
            "filer.port",
            "filer.port.grpc",
            "s3.port",
            "s3.port.grpc",
        ];
        let at = |name: &str| self.folder.path().join(name).display().to_string();
        let mut command = Command::new(&self.program);
        command.args(["server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3"]);
        command.args(["-s3.port.iceberg=0", "-s3.port.lance=0"]);
        command.args([format!("-dir={}", at("data")), format!("-s3.config={}", at("s3.json"))]);
        command.args(names.iter().zip(self.ports).map(|(name, port)| format!("-{name}={port}")));
        // It writes logs where files for a while are.
        command.env("TMPDIR", self.folder.path());
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        self.process = Some(process.expect("the server starts"));
        wait_until_it_listens(self.port());
    }

    /// Ends it as a crash does; it would take its time otherwise.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    fn port(&self) -> u16 {
        let [.., port, _] = self.ports;
        port
    }

    /// Makes the bucket, which is a folder of the server's own.
    fn make_bucket(&self) {
        let [.., port, _, _, _] = self.ports;
        let begun = Instant::now();
        while !is_made(port) {
            assert!(begun.elapsed() < LISTENS_WITHIN, "the server makes no bucket");
            sleep(Duration::from_millis(100));
        }
    }
}

/// Asks for the bucket; the server may not be ready yet.
fn is_made(port: u16) -> bool {
    let path = Path::new("/buckets").join(BUCKET);
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        let head = format!("POST {}/ HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n", path.display());
        stream.write_all(format!("{head}Content-Length: 0\r\nConnection: close\r\n\r\n").as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.starts_with("HTTP/1.1 201"))
}

impl Drop for SeaweedFs {
    fn drop(&mut self) {
        self.kill();
    }
}
