//! Alarms of a node: told once, over when their rows cease, kept over a restart and while nobody can be told; alerts that
//! are made while it runs; and rows as messages to rsyslogd.

mod hook;
mod sweep;

use super::history::outlet;
use super::node::{http, json, kept_windows, query};
use super::sender::wait_for_listener;
use harness::node::Node;
use harness::ports::free_port;
use hook::{Hook, Mode};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use sweep::{SWEEP, Scanner};

const MOST: Duration = Duration::from_secs(60);
const NOTE: &str = "somebody looks for open doors";

/// A node's file with these sinks, in a folder.
struct Place {
    config: PathBuf,
    port: u16,
}

impl Place {
    fn new(folder: &Path, sinks: &str) -> Self {
        let (port, config) = (free_port(), folder.join("node.toml"));
        let state = folder.join("state");
        let text = format!(
            "[[source]]\nlisten = \"udp://127.0.0.1:{port}\"\nevent_time = \"receive\"\nallowed_lateness_ms = 200\n\
             [node]\nstate = \"{}\"\n{sinks}",
            state.display()
        );
        fs::write(&config, text).unwrap();
        Self { config, port }
    }

    fn start(&self) -> Node {
        let node = Node::start(&["--bare", "--config", self.config.to_str().unwrap()]);
        wait_for_listener(self.port);
        node
    }

    /// A node that is asked for sweeps.
    fn start_asked(&self) -> Node {
        let node = self.start();
        let added = node.ask(&["queries", "add", "sweep", SWEEP, "--note", NOTE]);
        assert_eq!(added.code, Some(0), "{}", added.stderr);
        node
    }

    /// Scans for so long, in each window.
    fn scan(&self, time: Duration) {
        let scanner = Scanner::start(self.port);
        sleep(time);
        drop(scanner);
    }
}

fn wait(what: &str, node: &Node, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < MOST, "waited in vain for {what}: {}", node.told());
        sleep(Duration::from_millis(20));
    }
}

/// What fires, as the command says.
fn firing(node: &Node) -> Vec<Value> {
    json(&node.ask(&["alerts", "--format", "json"])).as_array().unwrap().clone()
}

fn states(notices: &[Value]) -> Vec<&str> {
    notices.iter().map(|notice| notice["state"].as_str().unwrap()).collect()
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[test]
fn a_sweep_is_told_once_is_over_and_is_told_again() {
    let folder = tempfile::tempdir().unwrap();
    let (hook, heard) = (Hook::start(Mode::Takes), folder.path().join("heard"));
    let token = folder.path().join("token");
    fs::write(&token, "0123456789abcdef\n").unwrap();
    let place = Place::new(
        folder.path(),
        &format!(
            r#"
[[sink]]
name = "pager"
kind = "webhook"
url = "http://{}/notices"
headers = {{ x-team = "network" }}
token_file = "{}"
queries = ["sweep"]
resolve_after = 2
[[sink]]
name = "script"
kind = "command"
command = ["/bin/sh", "-c", "cat >> $0; echo >> $0; echo $TAPLINE_STATE $TAPLINE_QUERY", "{}"]
queries = ["sw*"]
by = "key"
resolve_after = 2
"#,
            hook.address(),
            token.display(),
            heard.display()
        ),
    );
    let node = place.start_asked();
    assert!(node.ask(&["alerts"]).success().contains("nothing fires"));
    place.scan(Duration::from_secs(3));
    wait("a notice", &node, || !hook.notices().is_empty());
    wait("both alarms", &node, || firing(&node).len() == 2);
    let fires = firing(&node);
    let of = |sink: &str| fires.iter().find(|alert| alert["sinks"][0] == sink).unwrap().clone();
    assert_eq!((fires.len(), &of("pager")["query"], &of("pager")["key"]), (2, &"sweep".into(), &Value::Null));
    assert_eq!(of("script")["key"]["src_ip"], "192.0.2.7");
    assert!(node.ask(&["alerts"]).success().contains("src_ip 192.0.2.7"));
    wait("the end of the alarm", &node, || hook.notices().len() >= 2 && lines(&heard).len() >= 2);
    wait("nothing to fire", &node, || firing(&node).is_empty());
    place.scan(Duration::from_secs(1));
    wait("another alarm", &node, || hook.notices().len() >= 3 && lines(&heard).len() >= 3);
    let notices = hook.notices();
    assert_eq!(states(&notices), ["firing", "resolved", "firing"]);
    assert_eq!(states(&lines(&heard)), ["firing", "resolved", "firing"]);
    let first = &notices[0];
    assert_eq!((&first["query"], &first["note"]), (&"sweep".into(), &NOTE.into()));
    assert_eq!(first["rows"][0]["src_ip"], "192.0.2.7");
    assert!(first["rows"][0]["probes"].as_u64().unwrap() >= 20, "{first}");
    assert_eq!(notices[1]["keys"][0]["src_ip"], "192.0.2.7");
    assert!(notices[1]["since"] == first["since"] && notices[1]["id"] != first["id"]);
    let head = &hook.heads()[0];
    for part in ["post /notices http/1.1", "x-team: network", "authorization: bearer 0123456789abcdef"] {
        assert!(head.contains(part), "{head}");
    }
    node.wait_for("script: /bin/sh: firing sweep");
    assert_eq!(query(&node, "sweep")["state"], "running");
    assert_eq!(node.stop().code, Some(0));
}

#[test]
fn notices_wait_while_nobody_takes_them_and_come_once_also_behind_a_power_cut() {
    let folder = tempfile::tempdir().unwrap();
    let hook = Hook::start(Mode::Fails);
    let address = hook.address();
    let place = Place::new(
        folder.path(),
        &format!(
            "[[sink]]\nname = \"pager\"\nkind = \"webhook\"\nurl = \"http://{address}/\"\nqueries = [\"sweep\"]\n\
             resolve_after = 2\ntime_limit = \"1s\"\n\
             [[sink]]\nname = \"lines\"\nkind = \"file\"\nfolder = \"{}\"\n",
            folder.path().join("lines").display()
        ),
    );
    let node = place.start_asked();
    let scanner = Scanner::start(place.port);
    let reason = |part: &str| outlet(&node, "pager")["reason"].as_str().is_some_and(|why| why.contains(part));
    wait("a server that fails", &node, || reason("the webhook answers 500"));
    let before = hook.requests();
    hook.set(Mode::Hangs);
    wait("a server that hangs", &node, || hook.requests() > before && reason("does not answer"));
    // Nobody else notices.
    let lines = outlet(&node, "lines");
    assert_eq!((&lines["state"], &lines["waiting"]), (&"running".into(), &0.into()));
    drop(hook);
    assert_eq!((firing(&node).len(), outlet(&node, "pager")["waiting"].as_u64().unwrap() > 0), (1, true));
    node.kill();
    let node = place.start();
    assert_eq!(firing(&node).len(), 1, "it is known what fires");
    drop(scanner);
    let hook = Hook::at(address, Mode::Takes);
    wait("the notices", &node, || hook.notices().len() >= 2);
    let notices = hook.notices();
    assert_eq!(states(&notices), ["firing", "resolved"]);
    assert_ne!(notices[0]["id"], notices[1]["id"]);
    let pager = outlet(&node, "pager");
    assert_eq!((&pager["lost"], &pager["state"]), (&0.into(), &"running".into()));
    // A query that goes takes its alarm with it.
    place.scan(Duration::from_secs(1));
    wait("another alarm", &node, || hook.notices().len() >= 3);
    assert_eq!(node.ask(&["queries", "drop", "sweep"]).code, Some(0));
    wait("its end", &node, || hook.notices().len() >= 4);
    assert_eq!(hook.notices()[3]["state"], "resolved");
    assert_eq!(node.stop().code, Some(0));
}

#[test]
fn a_command_that_fails_or_hangs_is_killed_and_what_that_costs_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new(
        folder.path(),
        "[[sink]]\nname = \"script\"\nkind = \"command\"\ncommand = [\"/bin/sh\", \"-c\", \"echo oh no; sleep 60 & sleep 60\"]\n\
         queries = [\"sweep\"]\ntime_limit = \"200ms\"\nresolve_after = 1000\n",
    );
    let node = place.start_asked();
    place.scan(Duration::from_secs(1));
    node.wait_for("script: /bin/sh: oh no");
    node.wait_for("/bin/sh was killed: it took longer than 0.2 s");
    wait("the last try", &node, || outlet(&node, "script")["lost"] == 1);
    node.wait_for("a notice of `sweep` is lost");
    assert_eq!(node.stop().code, Some(0));
}

#[test]
fn what_cannot_be_is_refused_where_it_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new(folder.path(), "[[sink]]\nname = \"a\"\nkind = \"pager\"\n");
    let config = place.config.to_str().unwrap().to_owned();
    let refused = harness::tapline(&["run", "--config", &config]);
    assert_eq!(refused.code, Some(2));
    assert!(
        refused.stderr.contains("[[sink]] 1: there is no kind `pager`; write one of file"),
        "{}",
        refused.stderr
    );
    let place = Place::new(
        folder.path(),
        "[[sink]]\nname = \"flows\"\nkind = \"ipfix\"\nto = \"udp://127.0.0.1:9\"\nqueries = [\"sweep\"]\n",
    );
    let node = place.start();
    let refused = node.ask(&["queries", "add", "sweep", SWEEP]);
    assert_eq!(refused.code, Some(2));
    assert!(
        refused.stderr.contains("the sink flows cannot take it: flows are sent on one by one"),
        "{}",
        refused.stderr
    );
    assert_eq!(node.stop().code, Some(0));
}

/// What a table of a node answers to a statement.
fn rows(node: &Node, sql: &str) -> Value {
    let (status, answer) = http(node, "POST", "/api/v1/sql", &serde_json::json!({ "sql": sql }).to_string());
    assert_eq!(status, 200, "{answer}");
    serde_json::from_str::<Value>(&answer).unwrap()["rows"].clone()
}

#[test]
fn an_alert_is_made_while_the_node_runs_and_outlives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let hook = Hook::start(Mode::Takes);
    let sink =
        format!("[[sink]]\nname = \"pager\"\nkind = \"webhook\"\nurl = \"http://{}/\"\n", hook.address());
    let place = Place::new(folder.path(), &sink);
    let node = place.start_asked();
    let add = |arguments: &[&str]| node.ask(&[&["alerts", "add", "sweep"], arguments].concat());
    let cases: [(&[&str], &str); 4] = [
        (&["probe > 20"], "did you mean `probes`?"),
        (&["src_ip > 20"], "`src_ip` is no number"),
        (&["probes > 20", "--sink", "pagr"], "no sink `pagr` tells of alarms; did you mean `pager`?"),
        (&["probes"], "`probes` is no condition"),
    ];
    for (arguments, said) in cases {
        let refused = add(arguments);
        assert_eq!(refused.code, Some(2), "{}", refused.stderr);
        assert!(refused.stderr.contains(said), "{}", refused.stderr);
    }
    let since = query(&node, "sweep")["since"].clone();
    let added = add(&["probes >= 20", "--sink", "pager", "--resolve-after", "2"]);
    assert_eq!(added.code, Some(0), "{}", added.stderr);
    let kept = folder.path().join("state/queries/sweep.sql");
    let line = "-- alert: probes >= 20, resolve_after 2, to pager\n";
    assert!(fs::read_to_string(&kept).unwrap().contains(line));
    place.scan(Duration::from_secs(2));
    wait("a notice", &node, || !hook.notices().is_empty());
    let first = hook.notices().remove(0);
    assert_eq!((&first["condition"], &first["state"]), (&"probes >= 20".into(), &"firing".into()));
    wait("the end", &node, || hook.notices().len() >= 2);
    assert_eq!(hook.notices()[1]["state"], "resolved");
    assert_eq!(query(&node, "sweep")["since"], since, "the query ran on");
    assert_eq!(node.stop().code, Some(0));

    let node = place.start();
    assert!(node.ask(&["alerts", "list"]).success().contains("probes >= 20"));
    let scanner = Scanner::start(place.port);
    wait("an alarm", &node, || !firing(&node).is_empty());
    let alarm = firing(&node).remove(0);
    assert_eq!((&alarm["key"]["src_ip"], &alarm["sinks"][0]), (&"192.0.2.7".into(), &"pager".into()));
    assert!(alarm["row"]["probes"].as_u64().unwrap() >= 20, "{alarm}");
    let told = rows(&node, "SELECT query, condition, state, sinks FROM alerts WHERE state = 'firing'");
    let expected = serde_json::json!({ "query": "sweep", "condition": "probes >= 20", "state": "firing", "sinks": "pager" });
    assert_eq!(told[0], expected);
    let metrics = http(&node, "GET", "/metrics", "").1;
    let metric = "tapline_alert_firing_alarms{query=\"sweep\",condition=\"probes >= 20\"} 1\n";
    assert!(metrics.contains(metric), "{metrics}");
    // What is changed by hand is taken up, and what fired by the other condition is over.
    let text = fs::read_to_string(&kept).unwrap();
    fs::write(&kept, text.replace("probes >= 20, resolve_after 2", "probes > 1_000_000")).unwrap();
    assert!(node.ask(&["reload"]).success().contains("replaced: sweep"));
    wait("what did fire", &node, || firing(&node).is_empty());
    drop(scanner);
    assert_eq!(node.ask(&["alerts", "drop", "sweep", "probes > 1_000_000"]).code, Some(0));
    assert!(node.ask(&["alerts", "list"]).success().contains("there is no alert"));
    assert!(!fs::read_to_string(&kept).unwrap().contains("alert"));
    assert_eq!(node.stop().code, Some(0));
}

#[test]
fn an_alert_fires_by_the_window_that_passed_last_and_what_fires_is_not_told_again_by_that() {
    let folder = tempfile::tempdir().unwrap();
    let hook = Hook::start(Mode::Takes);
    let sink =
        format!("[[sink]]\nname = \"pager\"\nkind = \"webhook\"\nurl = \"http://{}/\"\n", hook.address());
    let place = Place::new(folder.path(), &sink);
    let node = place.start();
    let by_ten = SWEEP.replace("1 second", "10 seconds");
    assert_eq!(node.ask(&["queries", "add", "sweep", &by_ten]).code, Some(0));
    // All of it comes in one window, and nothing in the next one.
    let into_window = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() % 10_000;
    wait("a window", &node, || (1_000..5_000).contains(&into_window()));
    place.scan(Duration::from_secs(1));
    wait("its end", &node, || !kept_windows(&node, "sweep").is_empty());
    for (condition, notices) in [("probes >= 20", 1), ("rows", 2)] {
        let added = node.ask(&["alerts", "add", "sweep", condition, "--sink", "pager"]);
        assert_eq!(added.code, Some(0), "{}", added.stderr);
        wait("a notice", &node, || hook.notices().len() >= notices);
    }
    let notices = hook.notices();
    let condition = |notice: &Value| notice["condition"].as_str().unwrap().to_owned();
    assert_eq!(states(&notices)[..2], ["firing", "firing"]);
    assert_eq!([condition(&notices[0]), condition(&notices[1])], ["probes >= 20", "rows"]);
    assert_eq!(node.stop().code, Some(0));
}

/// An rsyslogd that writes what it hears into a file; it ends with this value.
struct Rsyslogd(Child);

impl Rsyslogd {
    /// `None`, and a line that says so, where it is not installed.
    fn start(folder: &Path, udp: u16, tcp: u16) -> Option<Self> {
        let config = folder.join("rsyslog.conf");
        let text = format!(
            r#"
module(load="imudp")
module(load="imtcp")
template(name="line" type="string" string="%pri% %timereported:::date-rfc3339% %app-name% %msgid% %structured-data% %msg%\n")
input(type="imudp" address="127.0.0.1" port="{udp}")
input(type="imtcp" address="127.0.0.1" port="{tcp}")
action(type="omfile" file="{}" template="line")
"#,
            folder.join("messages").display()
        );
        fs::write(&config, text).unwrap();
        let mut command = Command::new("rsyslogd");
        command.arg("-n").arg("-f").arg(&config).arg("-i").arg(folder.join("pid"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(child) = command.spawn() else {
            println!(
                "skipped: rsyslogd is not installed (Debian package rsyslog; `cargo xtask setup --for test` installs it)"
            );
            return None;
        };
        let rsyslogd = Self(child);
        wait_for_listener(udp);
        Some(rsyslogd)
    }
}

impl Drop for Rsyslogd {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn rows_are_messages_of_syslog() {
    let folder = tempfile::tempdir().unwrap();
    let [udp, tcp] = [free_port(), free_port()];
    let Some(_rsyslogd) = Rsyslogd::start(folder.path(), udp, tcp) else { return };
    let sink = |name: &str, to: String, severity: &str| {
        format!(
            "[[sink]]\nname = \"{name}\"\nkind = \"syslog\"\nto = \"{to}\"\nqueries = [\"sweep\"]\nseverity = \"{severity}\"\nfacility = \"local3\"\n"
        )
    };
    let sinks = sink("datagrams", format!("udp://127.0.0.1:{udp}"), "warning")
        + &sink("stream", format!("tcp://127.0.0.1:{tcp}"), "err");
    let place = Place::new(folder.path(), &sinks);
    let node = place.start_asked();
    place.scan(Duration::from_secs(2));
    let read = || fs::read_to_string(folder.path().join("messages")).unwrap_or_default();
    let of = |priority: &str| {
        let text = read();
        text.lines().filter(|line| line.starts_with(priority)).map(str::to_owned).collect::<Vec<_>>()
    };
    // local3.warning, local3.err
    wait("messages", &node, || !of("156 ").is_empty() && !of("155 ").is_empty());
    for message in [of("156 ").remove(0), of("155 ").remove(0)] {
        assert!(
            message.contains(" tapline sweep [tapline@32473 query=\"sweep\" window_start=\""),
            "{message}"
        );
        for part in ["src_ip=\"192.0.2.7\" probes=\"", "status=\"", "] sweep: window_start="] {
            assert!(message.contains(part), "{message}");
        }
    }
    // As many by either way, and each row once.
    let is_settled = || ["datagrams", "stream"].iter().all(|name| outlet(&node, name)["waiting"] == 0);
    sleep(Duration::from_secs(2));
    wait("all of them", &node, is_settled);
    let given = outlet(&node, "stream")["given"].as_u64().unwrap() as usize;
    wait("as many", &node, || (of("156 ").len(), of("155 ").len()) == (given, given));
    assert_eq!(node.stop().code, Some(0));
}
