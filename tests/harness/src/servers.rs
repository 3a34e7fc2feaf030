//! Servers that results go to: real ones, each on a port and in a folder of its own.
//!
//! Where one is not installed, that is said in a line that begins with `skipped`, and there is none. A server ends with
//! its value.

mod clickhouse;
mod kafka;
mod postgresql;
mod seaweedfs;

pub use clickhouse::ClickHouse;
pub use kafka::Broker;
pub use postgresql::Postgresql;
pub use seaweedfs::SeaweedFs;

use std::net::TcpStream;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The password without which a server lets nobody in.
pub const SECRET: &str = "open sesame";
/// How long one takes until it listens, at most.
const LISTENS_WITHIN: Duration = Duration::from_secs(60);

/// The Python that has a package, where `cargo xtask setup` puts it.
#[must_use]
pub fn python_with(package: &str) -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    let mut pythons = program.ancestors().map(|folder| folder.join(package).join("bin/python"));
    pythons.find(|python| python.is_file())
}

fn wait_until_it_listens(port: u16) {
    let begun = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(begun.elapsed() < LISTENS_WITHIN, "nobody listens on port {port}");
        sleep(Duration::from_millis(50));
    }
}
