//! Captures that appear in a folder while a node reads it: every frame counts once, in the second that it is of.

use super::node::{http, json, query};
use super::sender::now_ns;
use harness::node::Node;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

const SECOND: u64 = 1_000_000_000;
const BY_SECOND: &str =
    "SELECT count(*) AS packets, sum(frame_octets) AS octets FROM packets GROUP BY tumble('1 second')";

/// Frames and their octets, by second.
pub(super) type Truth = BTreeMap<u64, [u64; 2]>;

fn add(truth: &mut Truth, second: u64, octets: u64) {
    let sums = truth.entry(second).or_default();
    *sums = [sums[0] + 1, sums[1] + octets];
}

fn header() -> Vec<u8> {
    let words = [0xa1b2_3c4d_u32, 2 | 4 << 16, 0, 0, 65_535, 1];
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// A frame of a capture, of so many octets.
fn record(time_ns: u64, octets: u64) -> Vec<u8> {
    let words = [time_ns / SECOND, time_ns % SECOND, octets, octets];
    let mut record: Vec<u8> = words.iter().flat_map(|word| (*word as u32).to_le_bytes()).collect();
    record.resize(16 + octets as usize, 0);
    record
}

/// A capture of so many frames a second apart, of different lengths.
pub(super) fn capture(first_second: u64, frames: u64, truth: &mut Truth) -> Vec<u8> {
    let mut octets = header();
    for number in 0..frames {
        let (second, length) = (first_second + number / 5, 60 + number % 700);
        octets.extend(record(second * SECOND + number % 5, length));
        add(truth, second, length);
    }
    octets
}

fn node(folder: &Path, state: &Path) -> Node {
    let [folder, state] = [folder, state].map(|path| path.to_str().unwrap());
    let node = Node::start(&["--captures", folder, "--state", state, "--bare"]);
    let there = json(&node.ask(&["queries", "list", "--format", "json"]));
    if there.as_array().unwrap().is_empty() {
        assert_eq!(node.ask(&["queries", "add", "all", BY_SECOND]).code, Some(0));
    }
    node
}

fn wait_for(node: &Node, frames: u64) {
    let started = Instant::now();
    while query(node, "all")["used"].as_u64().unwrap() < frames {
        assert!(started.elapsed() < Duration::from_secs(30), "{frames}: {}", query(node, "all"));
        sleep(Duration::from_millis(20));
    }
}

/// The windows that a node has kept of its query.
fn windows(node: &Node) -> Vec<Value> {
    let (status, answer) = http(node, "GET", "/api/v1/queries/all/results?windows=1000", "");
    assert_eq!(status, 200, "{answer}");
    let answer: Value = serde_json::from_str(&answer).unwrap();
    answer["windows"].as_array().unwrap().clone()
}

/// What windows say, all of which are final and whole.
fn sums(windows: &[Value]) -> Truth {
    let mut sums = Truth::new();
    for window in windows {
        assert_eq!(
            (window["status"].as_str(), window["completeness"].as_f64()),
            (Some("final"), Some(1.0)),
            "{window}"
        );
        let row = &window["rows"][0];
        let known = sums.insert(second_of(window), ["packets", "octets"].map(|of| row[of].as_u64().unwrap()));
        assert_eq!(known, None, "{window} was given twice");
    }
    sums
}

/// The second since the epoch with which a window begins.
fn second_of(window: &Value) -> u64 {
    let text = window["window_start"].as_str().unwrap();
    let date = Command::new("date").args(["-u", "-d", text, "+%s"]).output().unwrap();
    String::from_utf8(date.stdout).unwrap().trim().parse().unwrap()
}

/// Waits until a node has given so many windows.
fn wait_for_windows(node: &Node, count: usize) -> Vec<Value> {
    let started = Instant::now();
    loop {
        let windows = windows(node);
        if windows.len() >= count {
            return windows;
        }
        assert!(started.elapsed() < Duration::from_secs(30), "{count}: {windows:?}");
        sleep(Duration::from_millis(100));
    }
}

/// The account of the only source, which adds up.
fn account(node: &Node) -> Value {
    let sources = json(&node.ask(&["sources", "--format", "json"]));
    let source = sources[0].clone();
    let fate = |of: &str| source[of].as_u64().unwrap();
    let fates = ["delivered", "filtered", "control", "undecodable", "dropped", "lost"].map(fate);
    assert_eq!(fate("offered"), fates.iter().sum::<u64>(), "{source}");
    source
}

fn folders() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let [captures, state] = ["captures", "state"].map(|name| folder.path().join(name));
    fs::create_dir(&captures).unwrap();
    (folder, captures, state)
}

#[test]
fn a_ring_is_followed_as_it_is_written_and_deleted() {
    let (_folder, captures, state) = folders();
    let node = node(&captures, &state);
    let (mut truth, mut frames, started) = (Truth::new(), 0, Instant::now());
    for number in 0..5 {
        let mut file = File::create(captures.join(format!("ring_{number:05}.pcap"))).unwrap();
        file.write_all(&header()).unwrap();
        while started.elapsed() < Duration::from_millis(1300 * (number + 1)) {
            let (mut octets, now) = (vec![], now_ns());
            for _ in 0..7 {
                let length = 60 + frames % 900;
                octets.extend(record(now, length));
                add(&mut truth, now / SECOND, length);
                frames += 1;
            }
            for chunk in octets.chunks(61) {
                file.write_all(chunk).unwrap();
            }
            sleep(Duration::from_millis(3));
        }
        drop(file);
        if number >= 2 {
            fs::remove_file(captures.join(format!("ring_{:05}.pcap", number - 2))).unwrap();
        }
    }
    wait_for(&node, frames);
    let found = sums(&wait_for_windows(&node, truth.len()));
    assert_eq!(found, truth);
    let stood = query(&node, "all");
    assert_eq!((&stood["used"], &stood["late"]), (&frames.into(), &0.into()), "{stood}");
    let account = account(&node);
    assert_eq!((&account["delivered"], &account["offered"]), (&frames.into(), &frames.into()), "{account}");
    let ended = node.stop();
    assert!(ended.code == Some(0) && !ended.stderr.contains("warning"), "{}", ended.stderr);
}

#[test]
fn captures_of_yesterday_give_windows_of_yesterday() {
    let (_folder, captures, state) = folders();
    let yesterday = now_ns() / SECOND - 86_400;
    let mut truth = Truth::new();
    // Whoever copies them does so in whichever order.
    for (name, first) in [("c.pcap", 40), ("a.pcap", 20), ("b.pcap", 0)] {
        fs::write(captures.join(name), capture(yesterday + first, 100, &mut truth)).unwrap();
    }
    let node = node(&captures, &state);
    wait_for(&node, 300);
    // A later one comes some seconds behind, and is no later for it.
    sleep(Duration::from_secs(3));
    fs::write(captures.join("d.pcap"), capture(yesterday + 60, 100, &mut truth)).unwrap();
    wait_for(&node, 400);
    assert_eq!(sums(&wait_for_windows(&node, truth.len())), truth);
    assert_eq!(query(&node, "all")["late"], 0);
    assert_eq!(account(&node)["delivered"], 400);
}

#[test]
fn a_node_that_starts_again_goes_on_where_it_was() {
    let (_folder, captures, state) = folders();
    let first_second = now_ns() / SECOND - 10_000;
    let mut truth = Truth::new();
    let one = capture(first_second, 103, &mut truth);
    let two = capture(first_second + 30, 102, &mut truth);
    let three = capture(first_second + 60, 101, &mut truth);
    fs::write(captures.join("x1.pcap"), &one).unwrap();
    let half = 24 + two[24..].len() / 2 - 7;
    fs::write(captures.join("x2.pcap"), &two[..half]).unwrap();
    let first = node(&captures, &state);
    wait_for(&first, 150);
    sleep(Duration::from_millis(500));
    let read = query(&first, "all")["used"].as_u64().unwrap();
    let mut given = windows(&first);
    assert!(first.stop().stderr.contains("are kept for the next start"));
    let mut two_behind = fs::OpenOptions::new().append(true).open(captures.join("x2.pcap")).unwrap();
    two_behind.write_all(&two[half..]).unwrap();
    fs::write(captures.join("x3.pcap"), &three).unwrap();
    let second = node(&captures, &state);
    wait_for(&second, 306 - read);
    given.extend(wait_for_windows(&second, truth.len() - given.len()));
    assert_eq!(sums(&given), truth);
    assert_eq!(account(&second)["delivered"], 306 - read);
    // What was noted by then is not read again after a loss of power, either.
    sleep(Duration::from_secs(2));
    second.kill();
    let third = node(&captures, &state);
    let more = capture(first_second + 90, 10, &mut Truth::new());
    fs::write(captures.join("x4.pcap"), more).unwrap();
    wait_for(&third, 10);
    sleep(Duration::from_millis(500));
    assert_eq!(account(&third)["delivered"], 10);
}

#[test]
fn what_cannot_be_read_is_told_and_costs_nothing_else() {
    let (folder, captures, state) = folders();
    let yesterday = now_ns() / SECOND - 86_400;
    let mut truth = Truth::new();
    let mut damaged = capture(yesterday, 10, &mut truth);
    damaged.extend(record(0, 60));
    let place = damaged.len() - 68;
    damaged[place..place + 4].copy_from_slice(&[0xff; 4]);
    fs::write(captures.join("a.pcap"), damaged).unwrap();
    fs::write(captures.join("b.pcap"), capture(yesterday + 2, 10, &mut truth)).unwrap();
    fs::write(captures.join("c.txt"), "nothing but a text that somebody left here").unwrap();
    fs::write(captures.join("d.pcap"), [0; 4096]).unwrap();
    let started = node(&captures, &state);
    wait_for(&started, 20);
    assert_eq!(sums(&wait_for_windows(&started, truth.len())), truth);
    let told = started.stop().stderr;
    for part in [
        "a.pcap is damaged at octet",
        "c.txt is not a capture file: it looks like a text file",
        "d.pcap is not a capture file: it looks like data that begins with 00",
    ] {
        assert_eq!(told.matches(part).count(), 1, "{part}: {told}");
    }
    // Nor is a state that nobody can take up overwritten.
    let kept = fs::read_dir(&state).unwrap().map(|entry| entry.unwrap().path());
    let kept = kept.filter(|path| path.to_str().unwrap().contains("/captures-")).collect::<Vec<_>>();
    assert_eq!(kept.len(), 1, "{kept:?}");
    fs::write(&kept[0], "something else").unwrap();
    let again = node(&captures, &state);
    again.wait_for("is not known, and all captures that are there are read");
    let begun = Instant::now();
    // Their windows were given by then.
    while query(&again, "all")["dropped"] != 20 {
        assert!(begun.elapsed() < Duration::from_secs(20), "{}", query(&again, "all"));
        sleep(Duration::from_millis(20));
    }
    again.kill();
    assert_eq!(fs::read_to_string(kept[0].with_extension("refused")).unwrap(), "something else");
    drop(folder);
}

#[test]
fn a_folder_that_is_not_there_may_come_later() {
    let (_folder, captures, state) = folders();
    let missing = captures.join("later");
    let node = node(&missing, &state);
    node.wait_for("it is tried again each second");
    let sources = json(&node.ask(&["sources", "--format", "json"]));
    assert!(sources[0]["state"].to_string().contains("absent"), "{sources}");
    let mut truth = Truth::new();
    fs::create_dir(&missing).unwrap();
    fs::write(missing.join("a.pcap"), capture(1_700_000_000, 50, &mut truth)).unwrap();
    wait_for(&node, 50);
    assert_eq!(sums(&wait_for_windows(&node, truth.len())), truth);
    let (file, config) = (captures.join("file"), captures.join("node.toml"));
    fs::write(&file, "").unwrap();
    fs::write(&config, format!("[[source]]\nname = \"ring\"\ncaptures = {file:?}\n")).unwrap();
    let refused = harness::tapline(&["run", "--config", config.to_str().unwrap()]);
    assert!(
        refused.stderr.contains("file is no folder; name the folder of the captures"),
        "{}",
        refused.stderr
    );
}

#[test]
fn a_filter_keeps_what_it_says_and_is_read_again() {
    let (folder, captures, state) = folders();
    let config = folder.path().join("node.toml");
    let write = |filter: &str| {
        let sources = format!("[[source]]\ncaptures = {captures:?}\n{filter}\n");
        fs::write(&config, format!("[node]\nstate = {state:?}\n{sources}")).unwrap();
    };
    write("filter = \"greater 100\"");
    let node = Node::start(&["--bare", "--config", config.to_str().unwrap()]);
    assert_eq!(node.ask(&["queries", "add", "all", BY_SECOND]).code, Some(0));
    let first_second = now_ns() / SECOND - 86_400;
    // Of a hundred frames, those of 60 to 99 octets are left out.
    fs::write(captures.join("a.pcap"), capture(first_second, 100, &mut Truth::new())).unwrap();
    wait_for(&node, 60);
    sleep(Duration::from_millis(300));
    let read = account(&node);
    let fates = ["offered", "delivered", "filtered"].map(|fate| read[fate].as_u64().unwrap());
    assert_eq!((fates, &read["filter"]), ([100, 60, 40], &"greater 100".into()), "{read}");
    let metrics = http(&node, "GET", "/metrics", "").1;
    let filtered = metrics.lines().find(|line| line.starts_with("tapline_source_filtered_records_total{"));
    assert!(filtered.is_some_and(|line| line.ends_with(" 40")), "{metrics}");
    write("filter = \"less 99 and greater 81\"");
    let told = node.ask(&["reload"]);
    assert!(told.success().contains(": only what `less 99 and greater 81` keeps is read, and no longer"));
    sleep(Duration::from_millis(200));
    fs::write(captures.join("b.pcap"), capture(first_second + 20, 100, &mut Truth::new())).unwrap();
    wait_for(&node, 60 + 19);
    write("filter = \"less\"");
    let wrong = node.ask(&["reload"]);
    assert!(wrong.code != Some(0) && wrong.stderr.contains("[[source]] 1: filter: "), "{}", wrong.text());
    assert_eq!(account(&node)["filter"], "less 99 and greater 81");
    assert_eq!(node.stop().code, Some(0));
}

#[test]
fn a_capture_that_is_delivered_again_counts_once() {
    let (_folder, captures, state) = folders();
    let yesterday = now_ns() / SECOND - 86_400;
    let [once, more] = [100, 140].map(|frames| capture(yesterday, frames, &mut Truth::new()));
    fs::write(captures.join("a.pcap"), &once).unwrap();
    let first = node(&captures, &state);
    wait_for(&first, 100);
    fs::copy(captures.join("a.pcap"), captures.join("b.pcap")).unwrap();
    first.wait_for("b.pcap is a capture that was read before: its 100 frames count once");
    assert_eq!(account(&first)["delivered"], 100);
    assert_eq!(first.stop().code, Some(0));
    // A later run knows it, too, and reads what is new in it.
    let second = node(&captures, &state);
    fs::write(captures.join("c.pcap"), &once).unwrap();
    second.wait_for("c.pcap is a capture that was read before: its 100 frames count once");
    fs::write(captures.join("d.pcap"), &more).unwrap();
    wait_for(&second, 40);
    sleep(Duration::from_secs(3));
    assert_eq!(account(&second)["delivered"], 40);
    assert_eq!(second.stop().code, Some(0));
}

#[test]
fn a_burst_of_windows_loses_no_result() {
    const SECONDS: u64 = 12_000;
    let (folder, captures, state) = folders();
    let (config, lines) = (folder.path().join("node.toml"), folder.path().join("lines"));
    let sink = format!("[[sink]]\nname = \"lines\"\nkind = \"file\"\nfolder = {lines:?}\n");
    let source = format!("[[source]]\ncaptures = {captures:?}\n");
    fs::write(&config, format!("[node]\nstate = {state:?}\n{source}{sink}")).unwrap();
    let node = Node::start(&["--bare", "--config", config.to_str().unwrap()]);
    assert_eq!(node.ask(&["queries", "add", "all", BY_SECOND]).code, Some(0));
    // A quiet night: a frame a second, each a window of its own, all of them there at once.
    let (mut octets, first) = (header(), now_ns() / SECOND - 86_400);
    (0..SECONDS).for_each(|second| octets.extend(record((first + second) * SECOND, 60)));
    fs::write(captures.join("night.pcap"), octets).unwrap();
    wait_for(&node, SECONDS);
    let started = Instant::now();
    let given = || {
        let outlets = json(&node.ask(&["status", "--format", "json"]))["outlets"].clone();
        outlets[0]["given"].as_u64().unwrap()
    };
    // The last ones are open still.
    while given() < SECONDS - 10 {
        assert!(started.elapsed() < Duration::from_secs(60), "{} of {SECONDS}", given());
        sleep(Duration::from_millis(100));
    }
    let stood = query(&node, "all");
    assert_eq!((&stood["results_lost"], &stood["late"]), (&0.into(), &0.into()), "{stood}");
    assert_eq!(node.stop().code, Some(0));
}

/// Starts a program that captures on the loopback interface; `None`, and a line that says so, where it cannot.
fn start(program: &str, arguments: &[&str], captures: &Path) -> Option<Child> {
    let mut command = Command::new(program);
    let started =
        command.args(arguments).current_dir(captures).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let Ok(mut started) = started else {
        println!("skipped: {program} not found");
        return None;
    };
    sleep(Duration::from_secs(2));
    if started.try_wait().unwrap().is_some() {
        println!("skipped: {program} may not capture here");
        return None;
    }
    Some(started)
}

/// Sends datagrams through the loopback interface while a program captures them in a ring; they all count.
fn capture_by(program: &str, arguments: &[&str], port: u16) {
    let (_folder, captures, state) = folders();
    // Programs that give up their rights write as somebody else.
    let open = Command::new("chmod").arg("777").arg(&captures).status().unwrap();
    assert!(open.success());
    let outside = Command::new("chmod").arg("755").arg(captures.parent().unwrap()).status().unwrap();
    assert!(outside.success());
    let Some(mut capturing) = start(program, arguments, &captures) else { return };
    let node = node(&captures, &state);
    let (socket, started, mut sent) = (UdpSocket::bind("127.0.0.1:0").unwrap(), Instant::now(), 0);
    while started.elapsed() < Duration::from_secs(6) {
        for _ in 0..10 {
            socket.send_to(&[7; 300], ("127.0.0.1", port)).unwrap();
            sent += 1;
        }
        sleep(Duration::from_millis(5));
    }
    sleep(Duration::from_secs(1));
    // It writes what it has left.
    let pid = capturing.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    capturing.wait().unwrap();
    wait_for(&node, sent);
    let stood = query(&node, "all");
    assert_eq!((&stood["used"], &stood["late"]), (&sent.into(), &0.into()), "{stood}");
    assert_eq!(account(&node)["delivered"], sent);
    let files = fs::read_dir(&captures).unwrap().count();
    println!("{program}: {sent} datagrams, {files} files at the end");
    drop(node.stop());
}

#[test]
fn a_ring_of_dumpcap_is_read_whole() {
    let port = harness::ports::free_port();
    let filter = format!("udp port {port}");
    let ring = ["-q", "-i", "lo", "-f", &filter, "-b", "duration:1", "-b", "files:3", "-w", "ring.pcapng"];
    capture_by("dumpcap", &ring, port);
}

#[test]
fn rotated_captures_of_tcpdump_are_read_whole() {
    let port = harness::ports::free_port();
    let filter = format!("udp port {port}");
    capture_by("tcpdump", &["-i", "lo", "-U", "-G", "1", "-w", "by-second-%s.pcap", &filter], port);
}

#[test]
fn a_ring_of_tcpdump_by_size_is_read_whole() {
    let port = harness::ports::free_port();
    let filter = format!("udp port {port}");
    capture_by("tcpdump", &["-i", "lo", "-U", "-C", "1", "-W", "3", "-w", "by-size.pcap", &filter], port);
}
