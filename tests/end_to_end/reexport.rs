//! Flows that a node sends on as IPFIX: nfcapd stores what the node's own rows say, another node reads it without a
//! gap, and tshark finds nothing wrong with it.

use super::history::wait;
use super::node::json;
use super::sender::{Load, wait_for_listener};
use harness::node::Node;
use harness::ports::free_port;
use harness::{cflow, wireshark};
use serde_json::Value;
use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle, sleep};
use std::time::Duration;
use tapline_trafficgen::exports::{ExportPlan, Protocol};

const COLUMNS: [&str; 15] = [
    "start_time",
    "end_time",
    "src_ip",
    "dst_ip",
    "src_port",
    "dst_port",
    "protocol",
    "tos",
    "packets",
    "octets",
    "src_as",
    "dst_as",
    "src_mask",
    "dst_mask",
    "next_hop",
];
/// The same as nfdump writes them.
const FORMAT: &str = "fmt:%ts,%te,%sa,%da,%sp,%dp,%pr,%tos,%pkt,%byt,%sas,%das,%smk,%dmk,%nh";
/// Passes datagrams on to others, and keeps them; it ends with this value.
struct Relay {
    port: u16,
    ends: Arc<AtomicBool>,
    datagrams: Arc<Mutex<Vec<Vec<u8>>>>,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    fn start(to: Vec<u16>) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let port = socket.local_addr().unwrap().port();
        let (ends, datagrams) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(vec![])));
        let (has_ended, keeps) = (Arc::clone(&ends), Arc::clone(&datagrams));
        let relay = move || {
            let mut datagram = [0; 1 << 16];
            while !has_ended.load(Ordering::Relaxed) {
                let Ok(octets) = socket.recv(&mut datagram) else { continue };
                for port in &to {
                    socket.send_to(&datagram[..octets], SocketAddr::from(([127, 0, 0, 1], *port))).unwrap();
                }
                keeps.lock().unwrap().push(datagram[..octets].to_vec());
            }
        };
        Self { port, ends, datagrams, thread: Some(thread::spawn(relay)) }
    }

    fn datagrams(&self) -> Vec<Vec<u8>> {
        self.datagrams.lock().unwrap().clone()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A collector that stores flows in a folder.
struct Nfcapd {
    child: Child,
    folder: PathBuf,
}

impl Nfcapd {
    /// `None`, and a line that says so, where it is not installed.
    fn start(folder: PathBuf, port: u16) -> Option<Self> {
        fs::create_dir(&folder).unwrap();
        let mut command = Command::new("nfcapd");
        command.args(["-b", "127.0.0.1", "-B", "4194304", "-t", "3600", "-p", &port.to_string()]);
        command.arg("-w").arg(&folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(child) = command.spawn() else {
            println!(
                "skipped: nfcapd is not installed (Debian package nfdump; `cargo xtask setup --for test` installs it)"
            );
            return None;
        };
        wait_for_listener(port);
        Some(Self { child, folder })
    }

    /// Ends it; gives its flows, a line each.
    fn finish(mut self) -> Vec<String> {
        Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        self.child.wait().unwrap();
        let files = fs::read_dir(&self.folder).unwrap().map(|entry| entry.unwrap().path());
        let is_stored = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with("nfcapd.2");
        let mut lines = vec![];
        for file in files.filter(is_stored) {
            let mut command = Command::new("nfdump");
            command.args(["-q", "-N", "-o", FORMAT, "-r"]).arg(file).env("TZ", "UTC");
            let text = String::from_utf8(command.output().unwrap().stdout).unwrap();
            let fields = |line: &str| line.split(',').map(str::trim).collect::<Vec<_>>().join(",");
            lines.extend(text.lines().filter(|line| line.contains(',')).map(fields));
        }
        lines.sort();
        lines
    }
}

/// The rows of a query in lines of JSON.
fn rows(folder: &Path, query: &str) -> Vec<Value> {
    let text = fs::read_to_string(folder.join(format!("{query}.jsonl"))).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn sorted(rows: &[Value]) -> Vec<String> {
    let mut rows: Vec<String> = rows.iter().map(Value::to_string).collect();
    rows.sort();
    rows
}

/// A row as nfdump writes it.
fn as_nfdump(row: &Value) -> String {
    let fields = COLUMNS.map(|column| match &row[column] {
        Value::String(text) if column.ends_with("_time") => {
            let text = text.trim_end_matches('Z').replace('T', " ");
            if text.contains('.') { text } else { format!("{text}.000") }
        }
        Value::String(text) => text.clone(),
        Value::Null => "0".to_owned(),
        other => other.to_string(),
    });
    fields.join(",")
}

/// A node that reads this port, and has these sinks besides lines of JSON.
fn node(folder: &Path, port: u16, sinks: &str) -> Node {
    fs::create_dir(folder).unwrap();
    let config = folder.join("node.toml");
    let text = format!(
        "[[source]]\nlisten = \"udp://127.0.0.1:{port}\"\nreceive_buffer = 67108864\nallowed_lateness_ms = 500\n\
         [[sink]]\nname = \"lines\"\nkind = \"file\"\nfolder = \"{}\"\n{sinks}",
        folder.join("lines").display()
    );
    fs::write(&config, text).unwrap();
    let node = Node::start(&["--bare", "--config", config.to_str().unwrap()]);
    wait_for_listener(port);
    node
}

fn ipfix(query: &str, port: u16) -> String {
    format!(
        "[[sink]]\nname = \"to_{port}\"\nkind = \"ipfix\"\nto = \"udp://127.0.0.1:{port}\"\nqueries = [\"{query}\"]\n"
    )
}

fn add(node: &Node, name: &str, sql: &str) {
    let added = node.ask(&["queries", "add", name, sql]);
    assert_eq!(added.code, Some(0), "{}", added.stderr);
}

fn send(port: u16) -> u64 {
    let plan = ExportPlan { sampling_rate: Some(100), ..ExportPlan::new(Protocol::Ipfix, 5) };
    let load = Load { plan, exporters: 2, datagrams: 40, datagrams_a_nap: 2 };
    load.send(port).sent.records
}

/// Looks at what was sent on by tshark, and at its own numbers.
fn check_messages(folder: &Path, datagrams: &[Vec<u8>], records: u64) {
    let mut before = 0;
    for datagram in datagrams {
        assert!(datagram.len() <= 1400 && datagram[..2] == [0, 10]);
        // Another node holds each of them against what it reads.
        let sequence = u32::from_be_bytes(datagram[8..12].try_into().unwrap());
        assert!(before <= sequence && u64::from(sequence) < records, "{before}, {sequence} of {records}");
        before = sequence;
    }
    let files: Vec<PathBuf> =
        (0..datagrams.len()).map(|number| folder.join(format!("{number}.dat"))).collect();
    files.iter().zip(datagrams).for_each(|(file, datagram)| fs::write(file, datagram).unwrap());
    let capture = folder.join("sent.pcap");
    cflow::write_capture(&capture, &files);
    let decode_as = format!("udp.port=={},cflow", cflow::PORT);
    let options = [
        "-d",
        &decode_as,
        "-Y",
        "_ws.malformed or _ws.expert.severity >= \"Warning\" or cflow.no_template_found",
    ];
    let Some(wrong) = wireshark::field_text(&capture, &options, &["frame.number", "_ws.expert.message"])
    else {
        return;
    };
    assert_eq!(wrong, "");
    let options = ["-d", &decode_as];
    let seen = wireshark::field_text(&capture, &options, &["cflow.octets"]).unwrap();
    let seen = seen.split([',', '\n']).filter(|octets| !octets.is_empty()).count();
    assert_eq!(seen as u64, records);
}

#[test]
fn nfcapd_stores_the_rows_of_a_query() {
    let folder = tempfile::tempdir().unwrap();
    let (port, collector) = (free_port(), free_port());
    let Some(nfcapd) = Nfcapd::start(folder.path().join("nfcapd"), collector) else { return };
    let relay = Relay::start(vec![collector]);
    let node = node(&folder.path().join("node"), port, &ipfix("flows_on", relay.port));
    add(&node, "flows_on", &format!("SELECT {} FROM flows", COLUMNS.join(", ")));
    let sent = send(port);
    let lines = folder.path().join("node/lines");
    wait("all rows", || rows(&lines, "flows_on").len() as u64 == sent);
    sleep(Duration::from_millis(500));
    assert_eq!(node.stop().code, Some(0));
    check_messages(folder.path(), &relay.datagrams(), sent);
    let stored = nfcapd.finish();
    let mut expected: Vec<String> = rows(&lines, "flows_on").iter().map(as_nfdump).collect();
    expected.sort();
    assert_eq!(stored.len(), expected.len());
    for (stored, expected) in stored.iter().zip(&expected) {
        assert_eq!(stored, expected);
    }
}

#[test]
fn another_node_reads_the_same_rows_and_their_sampling() {
    let folder = tempfile::tempdir().unwrap();
    let [port, other] = [free_port(), free_port()];
    let reader = node(&folder.path().join("reader"), other, "");
    let columns = format!(
        "{}, tcp_flags, direction, flow_end_reason, input_interface, output_interface, icmp_type, vlan, sampling_rate",
        COLUMNS.join(", ")
    );
    let sql = format!("SELECT {columns} FROM flows");
    add(&reader, "flows_on", &sql);
    let sender = node(&folder.path().join("sender"), port, &ipfix("flows_on", other));
    add(&sender, "flows_on", &sql);
    let refused = sender.ask(&["queries", "replace", "flows_on", "SELECT ts FROM flows"]);
    assert_eq!(refused.code, Some(2));
    assert!(
        refused.stderr.contains("`ts` has no information element of its own; write end_time"),
        "{}",
        refused.stderr
    );
    let sent = send(port);
    let [theirs, ours] = ["sender", "reader"].map(|name| folder.path().join(name).join("lines"));
    wait("all rows", || rows(&theirs, "flows_on").len() as u64 == sent);
    wait("all rows once more", || rows(&ours, "flows_on").len() as u64 == sent);
    let (theirs, ours) = (rows(&theirs, "flows_on"), rows(&ours, "flows_on"));
    assert!(theirs.iter().all(|row| row["sampling_rate"] == 100 && row["vlan"] == Value::Null));
    assert_eq!(sorted(&ours), sorted(&theirs));
    let status = json(&reader.ask(&["status", "--format", "json"]));
    let source = &status["sources"][0];
    assert_eq!((&source["lost"], &source["undecodable"]), (&0.into(), &0.into()), "{source}");
    assert_eq!(sender.stop().code, Some(0));
    assert_eq!(reader.stop().code, Some(0));
}
