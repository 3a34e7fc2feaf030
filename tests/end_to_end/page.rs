//! The page of a node, in a browser: what a person does, and what they see.

use super::node::{http, node};
use super::sender::{Load, faulty, free_port};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use tapline_trafficgen::exports::{ExportPlan, Faults, Protocol};

/// What drives the browser, where `cargo xtask setup` puts it: in the folder that cargo builds into.
fn driver() -> Option<PathBuf> {
    let test = std::env::current_exe().unwrap();
    let folder = test.ancestors().nth(3)?.join("browser");
    folder.join("installed").is_file().then_some(folder)
}

fn is_there(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

/// What is missing here, if anything is.
fn prepared() -> Result<PathBuf, String> {
    let missing =
        |what: &str| format!("{what} is not installed (`cargo xtask setup --for test` installs it)");
    for program in ["chromium", "node"] {
        if !is_there(program) {
            return Err(missing(program));
        }
    }
    driver().ok_or_else(|| missing("what drives a browser"))
}

/// Runs a script of `tests/browser`; it has said what is wrong when it fails.
fn run(driver: &Path, script: &str, arguments: &[&str]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser");
    let mut command = Command::new("node");
    command.arg(folder.join(script)).args(arguments).env("TAPLINE_BROWSER", driver);
    let output = command.output();
    let output = output.unwrap();
    let said = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
    println!("{}", said[0]);
    assert!(output.status.success(), "{script}: {}\n{}", said[0], said[1]);
}

#[test]
fn a_person_finds_what_they_look_for_on_the_page() {
    let driver = match prepared() {
        Ok(driver) => driver,
        Err(missing) => {
            println!("skipped: {missing}");
            return;
        }
    };
    let screenshots = driver.with_file_name("page");
    let state = tempfile::tempdir().unwrap();
    let port = free_port();
    let busy = node(port, &["--state", state.path().to_str().unwrap()]);
    let idle = node(free_port(), &["--bare"]);
    // Some of what is sent never arrives, so that there is a loss to see.
    let plan = ExportPlan { autonomous_systems: 12, ..ExportPlan::new(Protocol::NetflowV9, 3) };
    let plan = faulty(plan, Faults { lose_percent: 2, ..Faults::default() });
    let load = Load { plan, exporters: 2, datagrams: 300, datagrams_a_nap: 1 };
    let is_over = AtomicBool::new(false);
    let arguments = [busy.url(), idle.url(), screenshots.to_str().unwrap()];
    thread::scope(|scope| {
        let sending = scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                load.send(port);
            }
        });
        let browsing = scope.spawn(|| run(&driver, "page.mjs", &arguments));
        let outcome = browsing.join();
        is_over.store(true, Ordering::Relaxed);
        sending.join().unwrap();
        assert!(outcome.is_ok(), "the page is not as it should be");
    });
    assert_eq!(busy.stop().code, Some(0));
    assert_eq!(idle.stop().code, Some(0));
}

#[test]
fn the_modules_of_the_page_are_of_the_types_that_they_say() {
    let driver = match prepared() {
        Ok(driver) => driver,
        Err(missing) => {
            println!("skipped: {missing}");
            return;
        }
    };
    run(&driver, "types.mjs", &[]);
    run(&driver, "logic.mjs", &[]);
}

#[test]
fn a_node_serves_its_page() {
    let node = node(free_port(), &["--bare"]);
    let (status, page) = http(&node, "GET", "/", "");
    assert!(status == 200 && page.contains(r#"<div id="page">"#), "{page}");
    assert_eq!(http(&node, "GET", "/js/main.js", "").0, 200);
    assert_eq!(http(&node, "GET", "/vendor/LICENSES", "").0, 200);
    assert_eq!(http(&node, "POST", "/", "").0, 405);
    assert_eq!(http(&node, "GET", "/js/../Cargo.toml", "").0, 404);
    let (status, schema) = http(&node, "GET", "/api/v1/schema", "");
    assert!(status == 200 && schema.contains("approx_distinct") && schema.contains("src_ip"), "{schema}");
}
