//! A node, and the description of its API: whatever this allows is answered as it says, what it does not is refused.

use super::node::{kept_rows, node};
use super::sender::Load;
use harness::ports::free_port;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use tapline_trafficgen::exports::{ExportPlan, Protocol};

/// All runs ask the same.
const SEED: &str = "1";
/// A query that has windows before anything is asked.
const BUSY: &str = "SELECT count(*) AS records FROM flows GROUP BY tumble('1 second')";

/// The program that asks, where `cargo xtask setup` puts it: in the folder that cargo builds into.
fn schemathesis() -> Option<PathBuf> {
    let test = std::env::current_exe().unwrap();
    let program = test.ancestors().nth(3)?.join("schemathesis/bin/schemathesis");
    program.is_file().then_some(program)
}

#[test]
fn the_api_is_as_it_is_described() {
    let Some(program) = schemathesis() else {
        println!("skipped: schemathesis is not installed (`cargo xtask setup --for test` installs it)");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let node = node(port, &["--state", folder.path().join("state").to_str().unwrap()]);
    // The description names this one.
    assert_eq!(node.ask(&["queries", "replace", "top_talkers", BUSY]).code, Some(0));
    let plan = ExportPlan { autonomous_systems: 20, ..ExportPlan::new(Protocol::NetflowV9, 3) };
    Load { plan, exporters: 2, datagrams: 100, datagrams_a_nap: 5 }.send(port);
    let started = Instant::now();
    while kept_rows(&node, "top_talkers").is_empty() {
        assert!(started.elapsed() < Duration::from_secs(30), "no window came");
    }
    let settings = Path::new(env!("CARGO_MANIFEST_DIR")).join("end_to_end/schemathesis");
    let mut command = Command::new(program);
    command.arg("--config-file").arg(settings.join("schemathesis.toml"));
    command.arg("run").arg(format!("{}/api/v1/openapi.json", node.url()));
    command.args(["--seed", SEED, "--checks", "all", "--phases", "examples,coverage,fuzzing,stateful"]);
    command.env("SCHEMATHESIS_HOOKS", settings.join("hooks.py"));
    command.env("PYTHONDONTWRITEBYTECODE", "1").current_dir(folder.path());
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(node.stop().code, Some(0));
}
