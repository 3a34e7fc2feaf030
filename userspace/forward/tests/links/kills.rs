//! Processes that are killed: what sensors had and made safe is what is taken, each once.
//!
//! The processes are this test's own binary, started for one test that is a sensor or an aggregator.

use crate::scene::{Lists, Results, WIDTH_NS, cut, decode, options, part, sensor, upstream, wait};
use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;
use tapline_delivery::Given;
use tapline_forward::{FolderStore, Receiver, Sender, Taker};

const ROLE: &str = "TAPLINE_FORWARD_ROLE";
const NUMBERS: u64 = 400;
const SENSORS: usize = 2;

/// What is taken goes into a file, and counts when it is there.
struct File(PathBuf);

impl Taker for File {
    fn take(&mut self, given: &[Given]) {
        let mut file = OpenOptions::new().create(true).append(true).open(&self.0).unwrap();
        for given in given {
            let numbers: Vec<_> = decode(&given.state).iter().map(u64::to_string).collect();
            let line = format!("{} {} {} .\n", given.pane.start, given.revision, numbers.join(","));
            file.write_all(line.as_bytes()).unwrap();
        }
        file.sync_data().unwrap();
    }

    fn assigned(&mut self, _: &[u8]) {}

    fn ended(&mut self, _: &str) {}

    fn tell(&mut self, _: &str) {}
}

/// All numbers that were taken, each once.
fn taken(file: &Path) -> BTreeSet<u64> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let mut panes: BTreeMap<&str, (u64, &str)> = BTreeMap::new();
    for line in text.lines().filter_map(|line| line.strip_suffix(" .")) {
        let fields: Vec<_> = line.split(' ').collect();
        let revision = fields[1].parse().unwrap();
        let known = panes.entry(fields[0]).or_insert((revision, fields[2]));
        if known.0 < revision {
            *known = (revision, fields[2]);
        }
    }
    let mut all = BTreeSet::new();
    for number in
        panes.values().flat_map(|(_, numbers)| numbers.split(',')).filter(|number| !number.is_empty())
    {
        assert!(all.insert(number.parse().unwrap()), "{number} is there twice");
    }
    all
}

struct Process(Child);

impl Process {
    /// This binary, for one test that is no test.
    fn start(role: &str, folder: &Path, name: &str, port: u16, begin: i64) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", "kills::process", "--ignored", "--nocapture"]);
        command.env(ROLE, format!("{role} {name} {port} {begin} {}", folder.display()));
        Self(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

#[test]
#[ignore = "it is what the other test starts"]
fn process() {
    let Ok(role) = env::var(ROLE) else { return };
    let fields: Vec<_> = role.splitn(5, ' ').collect();
    let (port, begin): (u16, i64) = (fields[2].parse().unwrap(), fields[3].parse().unwrap());
    let folder = Path::new(fields[4]);
    if fields[0] == "hub" { be_hub(folder, port) } else { be_sensor(fields[1], folder, port, begin) }
}

fn be_hub(folder: &Path, port: u16) {
    let mut plan = options();
    plan.entrance.listen.set_port(port);
    let store = FolderStore::open(&folder.join("hub")).unwrap();
    let taker = File(folder.join("taken"));
    let _receiver = Receiver::start(plan, Lists, Box::new(store), Box::new(taker)).unwrap();
    thread::sleep(Duration::from_secs(300));
}

/// A source whose numbers go on behind the last cut that is safe.
fn be_sensor(name: &str, folder: &Path, port: u16, begin: i64) {
    let of: u64 = name.parse().unwrap();
    let plan = sensor(name, upstream(format!("http://127.0.0.1:{port}")), &folder.join(name));
    let (sender, positions) = Sender::start(plan, Box::<Results>::default()).unwrap();
    let next = positions.map_or(0, |positions| decode(&positions)[0]);
    for number in next..NUMBERS {
        let pane = (number / 20) as i64;
        let watermark = begin + (pane + i64::from(number % 20 == 19)) * WIDTH_NS;
        let parts = vec![part(begin, pane, &[(of << 32) + number], watermark)];
        cut(&sender, parts, (number + 1).to_le_bytes().to_vec());
        thread::sleep(Duration::from_millis(10));
    }
    thread::sleep(Duration::from_secs(300));
}

#[test]
fn sensors_and_aggregators_are_killed() {
    let folder = tempfile::tempdir().unwrap();
    let (folder, port) = (folder.path(), harness::ports::free_port());
    let begin = crate::scene::begin_ns();
    let hub = || Process::start("hub", folder, "hub", port, begin);
    let pop = |of: usize| Process::start("sensor", folder, &of.to_string(), port, begin);
    let mut processes: Vec<_> = std::iter::once(hub()).chain((0..SENSORS).map(pop)).collect();
    let mut drawn = 12345_u64;
    for _ in 0..24 {
        drawn = drawn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        thread::sleep(Duration::from_millis(100 + (drawn >> 33) % 300));
        let which = (drawn >> 50) as usize % processes.len();
        processes[which].kill();
        processes[which] = if which == 0 { hub() } else { pop(which - 1) };
    }
    let file = folder.join("taken");
    let truth: BTreeSet<u64> =
        (0..SENSORS as u64).flat_map(|of| (0..NUMBERS).map(move |number| (of << 32) + number)).collect();
    wait("all is taken", || taken(&file) == truth);
}
