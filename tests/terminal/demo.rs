//! The end of `cargo xtask demo`: a node and its page on a terminal, nothing of the kind elsewhere.

use super::screen::{CTRL_C, Terminal};
use harness::run::xtask;
use harness::tapline;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The interface has one name, and what is left behind may be of one demonstration only.
static ALONE: Mutex<()> = Mutex::new(());

/// What the demonstration says when all is there.
const READY: &str = "Ctrl-C ends all of it";
const OFFICE: &str = "tapline-office";

fn alone() -> MutexGuard<'static, ()> {
    // A test that failed says nothing about the next one.
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn demo() -> Command {
    let mut command = xtask();
    command.args(["demo", "--no-build"]).env_remove("CI");
    command
}

/// A demonstration on a terminal that has come to its end, where the node is, and the address of its API.
fn with_node() -> (Terminal, String) {
    let mut terminal = Terminal::with(demo(), 120);
    terminal.wait_for(|new| new.contains("The same, live"));
    terminal.wait_for(|new| new.contains("What was hidden"));
    let shown = terminal.wait_for(|new| new.contains(READY));
    let url = shown.lines().map(str::trim).find(|line| line.starts_with("http://")).expect(&shown);
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    assert_eq!(shown.contains(&format!("the interface\r\n{OFFICE}")), is_root, "{shown}");
    (terminal, url.trim_end_matches('/').to_owned())
}

/// Namespaces, interfaces and temporary folders that are there.
fn left() -> BTreeSet<String> {
    let names = |folder: &Path| {
        let entries = fs::read_dir(folder).into_iter().flatten();
        let name = |entry: fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
        entries.map(|entry| name(entry.unwrap())).collect::<Vec<_>>()
    };
    let folders = ["/run/netns", "/sys/class/net"].map(Path::new).map(names);
    let all = folders.into_iter().flatten().chain(names(&std::env::temp_dir()));
    all.filter(|name| name.starts_with("tapline-")).collect()
}

/// How a source stands by `tapline status`, as soon as something came from each.
fn sources(url: &str) -> Vec<Value> {
    let started = Instant::now();
    loop {
        let status = tapline(&["status", "--node", url, "--format", "json"]);
        let status: Value = serde_json::from_str(status.success()).unwrap();
        let sources = status["sources"].as_array().unwrap();
        if sources.iter().all(|source| source["offered"].as_u64() > Some(0)) {
            return sources.clone();
        }
        assert!(started.elapsed() < Duration::from_secs(30), "{status}");
        sleep(Duration::from_millis(100));
    }
}

fn page(url: &str) -> String {
    let address = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    page
}

/// The process among the children of another one that runs a node.
fn node_of(parent: u32) -> String {
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap();
    let is_node = |child: &&str| {
        let line = fs::read_to_string(format!("/proc/{child}/cmdline")).unwrap_or_default();
        line.split('\0').nth(1) == Some("run")
    };
    children.split_whitespace().find(is_node).expect(&children).to_owned()
}

#[test]
fn on_a_terminal_a_node_and_its_page_stay_until_ctrl_c_and_leave_nothing() {
    let (_alone, before) = (alone(), left());
    let (mut terminal, url) = with_node();
    assert!(page(&url).contains(r#"<div id="page">"#), "{}", page(&url));
    let sources = sources(&url);
    let is_there =
        |begin: &str| sources.iter().any(|source| source["name"].as_str().unwrap().starts_with(begin));
    assert!(is_there("udp://127.0.0.1:"), "{sources:?}");
    assert_eq!(is_there(OFFICE), left().contains(OFFICE), "{sources:?}");
    terminal.press(CTRL_C);
    terminal.wait_for(|new| new.contains("Ended; nothing of it is left."));
    assert_eq!(terminal.code(), Some(0));
    assert_eq!(left(), before);
}

#[test]
fn a_node_that_dies_is_told_and_leaves_nothing() {
    let (_alone, before) = (alone(), left());
    let (mut terminal, _) = with_node();
    let node = node_of(terminal.id());
    assert!(Command::new("kill").args(["-KILL", &node]).status().unwrap().success());
    terminal.wait_for(|new| new.contains("error: `tapline run ") && new.contains("it said: "));
    assert_eq!(terminal.code(), Some(1));
    assert_eq!(left(), before);
}

#[test]
fn elsewhere_the_demonstration_ends_by_itself() {
    let (_alone, before) = (alone(), left());
    let output = demo().stdin(Stdio::null()).output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(shown.contains("Try next") && !shown.contains(READY), "{shown}");
    assert_eq!(left(), before);
}

#[test]
fn sensors_are_killed_and_what_comes_out_is_exact() {
    let _alone = alone();
    let before = left();
    let demo = xtask().args(["demo", "sensors", "--no-build"]).env("NO_COLOR", "1").output().unwrap();
    let [shown, said] =
        [&demo.stdout, &demo.stderr].map(|octets| String::from_utf8_lossy(octets).into_owned());
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        assert!(
            !demo.status.success() && said.contains("need root: sudo cargo xtask demo sensors"),
            "{said}"
        );
        return;
    }
    assert!(demo.status.success(), "{said}\n{shown}");
    for part in
        ["pop-2 is killed", "The aggregator is killed", "to the record and the octet", "completeness 0."]
    {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    assert_eq!(left(), before);
}
