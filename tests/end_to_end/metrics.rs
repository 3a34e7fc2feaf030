//! What a node tells Prometheus: as it is documented, as promtool finds it clean, and as a real Prometheus reads it.

use super::node::{http, json, kept_windows, node, wait_for};
use super::prometheus::{Prometheus, answer, promtool};
use super::sender::{Load, faulty};
use harness::ports::free_port;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tapline_trafficgen::exports::{ExportPlan, Faults, Protocol, Truth};

const BY_PROTOCOL: &str = "SELECT protocol_name(protocol) AS protocol, sum(octets) AS octets, count(*) AS records FROM flows GROUP BY protocol, tumble('1 second')";

/// Sends records of which so many of a hundred datagrams are lost.
fn send(port: u16, lose_percent: u64) -> Truth {
    let plan = ExportPlan { autonomous_systems: 20, ..ExportPlan::new(Protocol::Ipfix, 3) };
    let plan = faulty(plan, Faults { lose_percent, ..Faults::default() });
    Load { plan, exporters: 2, datagrams: 100, datagrams_a_nap: 5 }.send(port)
}

fn configs(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs").join(folder)
}

/// Whether a metric is told by sensors or by those who have some.
pub(super) fn is_of_a_fleet(name: &str) -> bool {
    ["tapline_forward_", "tapline_sensor_"].iter().any(|start| name.starts_with(start))
}

/// The names of all metrics but those of results, as the reference has them.
pub(super) fn documented() -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().filter_map(|line| line.strip_prefix("| `"));
    lines.map(|line| line.split('`').next().unwrap().to_owned()).collect()
}

/// The samples of a text, without heads.
fn samples(text: &str) -> impl Iterator<Item = (&str, f64)> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| {
        let (sample, value) = line.rsplit_once(' ').unwrap();
        (sample, value.parse().unwrap())
    })
}

/// The value of the sample with this name and these labels.
fn value(text: &str, sample: &str) -> Option<f64> {
    samples(text).find(|(known, _)| *known == sample).map(|(_, value)| value)
}

/// The names of metrics but those of results, by their samples.
pub(super) fn names(text: &str) -> BTreeSet<String> {
    let names = samples(text).map(|(sample, _)| sample.split('{').next().unwrap());
    names.filter(|name| !name.starts_with("tapline_result_")).map(ToOwned::to_owned).collect()
}

/// Words in a text that are names of metrics.
fn mentioned(text: &str) -> BTreeSet<String> {
    let words = text.split(|character: char| !character.is_ascii_alphanumeric() && character != '_');
    let is_ours = |word: &&str| ["tapline_", "process_"].iter().any(|start| word.starts_with(start));
    words.filter(is_ours).map(ToOwned::to_owned).collect()
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(60), "{what}");
        sleep(Duration::from_millis(50));
    }
}

#[test]
fn what_a_node_tells_is_as_it_is_documented() {
    let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
    let node = node(port, &["--bare", "--history", folder.path().to_str().unwrap()]);
    assert_eq!(node.ask(&["queries", "add", "by-protocol", BY_PROTOCOL, "--metrics"]).code, Some(0));
    assert_eq!(node.ask(&["alerts", "add", "by-protocol", "rows"]).code, Some(0));
    let shown = node.ask(&["queries", "show", "by-protocol"]);
    assert!(shown.success().contains("metrics     on"), "{}", shown.text());
    let truth = send(port, 5);
    wait_for(&node, "by-protocol", truth.sent.records);
    let told = || http(&node, "GET", "/metrics", "").1;
    let documented = documented().into_iter().filter(|name| !is_of_a_fleet(name)).collect();
    let differs =
        || names(&told()).symmetric_difference(&documented).cloned().collect::<Vec<String>>().join(" ");
    let started = Instant::now();
    while !differs().is_empty() {
        assert!(started.elapsed() < Duration::from_secs(60), "not as documented: {}", differs());
        sleep(Duration::from_millis(50));
    }
    let text = told();
    let source = format!("{{source=\"udp://127.0.0.1:{port}\",kind=\"flow exports\"}}");
    let status = json(&node.ask(&["status", "--format", "json"]));
    for fate in ["offered", "delivered", "filtered", "undecodable", "control"] {
        let sample = format!("tapline_source_{fate}_records_total{source}");
        assert_eq!(value(&text, &sample), status["sources"][0][fate].as_f64(), "{fate}");
    }
    let missing = value(&text, &format!("tapline_source_missing_records{source}"));
    assert_eq!(missing, Some(truth.lost.records as f64));
    let account = &status["sources"][0];
    assert_eq!(account["records_missing"].as_f64(), missing, "{account}");
    let threads = status["threads"].as_array().unwrap();
    let reads = |thread: &Value| thread["name"] == account["threads"][0];
    assert!(threads.iter().any(reads), "{status}");
    let asked = &status["queries"][0];
    assert!(asked["work_ns"].as_u64() > asked["window_work_ns"].as_u64(), "{asked}");
    assert!(node.ask(&["status"]).success().contains("records_missing"));
    let used = value(&text, "tapline_query_used_rows_total{query=\"by-protocol\"}");
    assert_eq!(used, Some(truth.sent.records as f64));
    let outlet = "{outlet=\"history\",kind=\"parquet\"}";
    assert_eq!(value(&text, &format!("tapline_outlet_up{outlet}")), Some(1.0));
    let given = value(&text, &format!("tapline_outlet_given_results_total{outlet}"));
    assert!(given >= Some(1.0), "{given:?}");
    assert_eq!(node.stop().code, Some(0));
}

#[test]
fn the_newest_window_of_a_query_is_metrics_until_the_next_one_has_closed() {
    let port = free_port();
    let node = node(port, &["--bare"]);
    let refused = node.ask(&["queries", "add", "rows", "SELECT octets FROM flows", "--metrics"]);
    assert!(refused.code == Some(2) && refused.stderr.contains("metrics: "), "{}", refused.text());
    assert_eq!(node.ask(&["queries", "add", "by-protocol", BY_PROTOCOL, "--metrics"]).code, Some(0));
    let told = || http(&node, "GET", "/metrics", "").1;
    let of_results = |text: &str| -> Vec<(String, f64)> {
        let all = samples(text).filter(|(sample, _)| sample.starts_with("tapline_result_"));
        all.map(|(sample, value)| (sample.to_owned(), value)).collect()
    };
    let truth = send(port, 0);
    wait_for(&node, "by-protocol", truth.sent.records);
    wait_until("all windows are given", || {
        let windows = kept_windows(&node, "by-protocol");
        let rows = windows.iter().flat_map(|window| window["rows"].as_array().unwrap());
        rows.map(|row| row["records"].as_u64().unwrap()).sum::<u64>() == truth.sent.records
    });
    let text = told();
    let newest = kept_windows(&node, "by-protocol").pop().unwrap();
    let status = newest["status"].as_str().unwrap();
    let status = if status == "final" { String::new() } else { format!(",status=\"{status}\"") };
    let mut expected: Vec<(String, f64)> = vec![];
    for column in ["octets", "records"] {
        for row in newest["rows"].as_array().unwrap() {
            let protocol = row["protocol"].as_str().unwrap_or_default();
            let labels = format!("query=\"by-protocol\",protocol=\"{protocol}\"{status}");
            let sample = format!("tapline_result_by_protocol_{column}{{{labels}}}");
            expected.push((sample, row[column].as_f64().unwrap()));
        }
    }
    assert!(!expected.is_empty());
    assert_eq!(of_results(&text), expected);
    assert_eq!(value(&text, "tapline_query_metric_rows_left_out{query=\"by-protocol\"}"), Some(0.0));
    // No row comes any more, and time goes on.
    wait_until("a window without rows takes its place", || of_results(&told()).is_empty());
    let (status, _) = http(&node, "POST", "/metrics", "");
    assert_eq!(status, 405);
    assert_eq!(node.stop().code, Some(0));
}

#[test]
fn what_is_asked_for_decides_the_format_and_promtool_finds_nothing() {
    let port = free_port();
    let node = node(port, &["--bare"]);
    assert_eq!(node.ask(&["queries", "add", "by_protocol", BY_PROTOCOL, "--metrics"]).code, Some(0));
    let truth = send(port, 0);
    wait_for(&node, "by_protocol", truth.sent.records);
    let address = node.url().trim_start_matches("http://");
    let (head, text) = answer(address, "/metrics", "text/plain");
    assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
    let (head, open) = answer(address, "/metrics", "application/openmetrics-text;version=1.0.0");
    assert!(head.contains("content-type: application/openmetrics-text; version=1.0.0"), "{head}");
    assert!(open.ends_with("\n# EOF\n") && open.contains("\n# TYPE tapline_build info\n"), "{open}");
    assert_eq!(names(&open), names(&text));
    let Some(found) = promtool(&["check", "metrics"], &text) else { return };
    assert_eq!(found, "");
    let folder = configs("prometheus");
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    promtool(&["check", "config", &path("prometheus.yml")], "");
    promtool(&["check", "rules", &path("alerts.yml")], "");
    promtool(&["test", "rules", &path("alerts_test.yml")], "");
}

#[test]
fn rules_and_the_dashboard_name_metrics_that_there_are() {
    let known = documented();
    for path in [configs("prometheus/alerts.yml"), configs("grafana/tapline.json")] {
        let text = fs::read_to_string(&path).unwrap();
        let unknown: Vec<String> = mentioned(&text).difference(&known).cloned().collect();
        assert_eq!(unknown, Vec::<String>::new(), "{}", path.display());
    }
}

#[test]
fn the_dashboard_has_all_fates() {
    let shown = mentioned(&fs::read_to_string(configs("grafana/tapline.json")).unwrap());
    let is_fate = |name: &String| {
        let of_source = name.starts_with("tapline_source_") && name.ends_with("_records_total");
        of_source || (name.starts_with("tapline_query_") && name.ends_with("_rows_total"))
    };
    let left_out: Vec<String> =
        documented().into_iter().filter(is_fate).filter(|name| !shown.contains(name)).collect();
    assert_eq!(left_out, Vec::<String>::new());
}

/// The expressions of all panels of the dashboard, for any node, source and query.
fn expressions() -> Vec<String> {
    let text = fs::read_to_string(configs("grafana/tapline.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let expressions = targets.map(|target| {
        let mut expression = target["expr"].as_str().unwrap().replace("$__rate_interval", "1m");
        for variable in ["$job", "$instance", "$source", "$query"] {
            expression = expression.replace(variable, ".*");
        }
        expression
    });
    expressions.collect()
}

#[test]
fn prometheus_reads_a_node_and_tells_of_a_loss() {
    let port = free_port();
    let node = node(port, &["--bare"]);
    assert_eq!(node.ask(&["queries", "add", "all", BY_PROTOCOL, "--metrics"]).code, Some(0));
    let target = node.url().trim_start_matches("http://");
    let rules = configs("prometheus").join("alerts.yml").canonicalize().unwrap();
    let Some(prometheus) = Prometheus::start(target, &rules) else { return };
    // A loss shows against how it was before.
    let missing = format!("tapline_source_missing_records{{source=\"udp://127.0.0.1:{port}\"}}");
    wait_until("it reads the node", || prometheus.value(&missing) == Some(0.0));
    let truth = send(port, 10);
    assert!(truth.lost.records > 0);
    wait_until("it has what the node counted", || {
        prometheus.value("tapline_query_used_rows_total{query=\"all\"}") == Some(truth.sent.records as f64)
    });
    wait_until("it has what was lost", || prometheus.value(&missing) == Some(truth.lost.records as f64));
    let pending = "count(ALERTS{alertname=\"TaplineLoss\",kind=\"flow exports\"})";
    wait_until("the loss is told", || prometheus.value(pending) == Some(1.0));
    assert_eq!(prometheus.value("count(ALERTS{alertname=\"TaplineSourceAbsent\"})"), None);
    assert_eq!(prometheus.value("tapline_build_info").map(|one| one as u64), Some(1));
    let expressions = expressions();
    assert!(expressions.len() > 30);
    for expression in expressions {
        let answered = prometheus.ask(&expression);
        assert_eq!(answered["status"], "success", "{expression}: {answered}");
    }
    assert_eq!(node.stop().code, Some(0));
}
