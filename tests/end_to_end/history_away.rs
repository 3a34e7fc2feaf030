//! A node whose history goes to a bucket of a real server: what left the disk is read there, by the node, by the command
//! line and by others, once, while the server is away and comes back, and over a restart.

use super::captures::{Truth, capture};
use super::history::{answered, asked, outlet};
use super::node::http;
use harness::node::Node;
use harness::servers::{SECRET, SeaweedFs};
use harness::{Finished, tapline};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

const BY_SECOND: &str = "SELECT count(*) AS packets, sum(frame_octets) AS octets, max(frame_octets) AS longest \
    FROM packets GROUP BY tumble('1 second')";
const ALL: &str = "SELECT sum(packets) AS packets, sum(octets) AS octets, count(*) AS windows FROM by_second";
/// Files are merged, moved and let go of at turns of twenty seconds each.
const MOST: Duration = Duration::from_secs(150);

fn wait(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < MOST, "waited in vain for {what}");
        sleep(Duration::from_millis(200));
    }
}

/// A node that reads captures of long ago, and keeps an hour of results on its disk.
fn start(folder: &Path, store: &SeaweedFs) -> Node {
    let config = folder.join("node.toml");
    let text = format!(
        r#"
[[source]]
captures = "{0}/captures"
[node]
state = "{0}/state"
[history]
folder = "{0}/history"
keep = "1h"
flush_after = "300ms"
store = "{1}/office"
store_endpoint = "{2}"
store_region = "us-east-1"
store_credentials_file = "{3}"
"#,
        folder.display(),
        store.url(),
        store.endpoint(),
        store.credentials_file().display()
    );
    fs::write(&config, text).unwrap();
    Node::start(&["--bare", "--config", config.to_str().unwrap()])
}

/// Files of results on the disk.
fn here(folder: &Path) -> usize {
    let hours = fs::read_dir(folder.join("history/query=by_second")).into_iter().flatten();
    hours.map(|hour| fs::read_dir(hour.unwrap().path()).into_iter().flatten().count()).sum()
}

/// Whether all results are stored, and none of them here.
fn is_moved(node: &Node, folder: &Path) -> bool {
    outlet(node, "history")["waiting"] == 0 && here(folder) == 0
}

/// What was sent, as all engines print it.
fn expected(truth: &Truth) -> Value {
    let sum = |place: usize| truth.values().map(|of_second| of_second[place]).sum::<u64>();
    json!({ "packets": sum(0), "octets": sum(1), "windows": truth.len() })
}

/// What ClickHouse reads in the bucket.
fn by_clickhouse(store: &SeaweedFs) -> Option<Vec<String>> {
    let table = store.for_clickhouse("office/query=by_second/hour=*/*.parquet");
    let script = format!(
        r#"
import chdb
print(chdb.query("SELECT sum(packets), sum(octets), count() FROM {table}", "TSV"), end="")
"#
    );
    asked("chdb", &script)
}

/// What the command line asks there, without the node.
fn by_command(store: &SeaweedFs, sql: &str) -> Finished {
    let (place, endpoint) = (format!("{}/office", store.url()), store.endpoint());
    let credentials = store.credentials_file();
    let arguments: [&str; 12] = [
        "query",
        "--history",
        &place,
        "--store-endpoint",
        &endpoint,
        "--store-region",
        "us-east-1",
        "--store-credentials-file",
        credentials.to_str().unwrap(),
        "--format",
        "json",
        sql,
    ];
    tapline(&arguments)
}

#[test]
fn what_leaves_the_disk_is_read_in_the_bucket_once_whatever_becomes_of_the_server() {
    let Some(mut store) = SeaweedFs::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let captures = folder.path().join("captures");
    fs::create_dir(&captures).unwrap();
    let node = start(folder.path(), &store);
    assert_eq!(node.ask(&["queries", "add", "by_second", BY_SECOND]).code, Some(0));
    let mut truth = Truth::new();
    fs::write(captures.join("a.pcap"), capture(1_700_000_000, 600, &mut truth)).unwrap();
    let is_all = |node: &Node, truth: &Truth| answered(node, ALL)[0] == expected(truth);
    wait("all windows", || is_all(&node, &truth));
    wait("the bucket", || is_moved(&node, folder.path()) && is_all(&node, &truth));
    let seen = |truth: &Truth| {
        let row = expected(truth);
        vec![format!("{}\t{}\t{}", row["packets"], row["octets"], row["windows"])]
    };
    if let Some(rows) = by_clickhouse(&store) {
        assert_eq!(rows, seen(&truth));
    }
    assert_eq!(outlet(&node, "history")["state"], "running");
    let asked: Value = serde_json::from_str(by_command(&store, ALL).success().trim()).unwrap();
    assert_eq!(asked, expected(&truth));
    let nobody = by_command(&store, "SELECT * FROM nobody");
    assert_eq!(nobody.code, Some(2), "{}", nobody.stderr);

    // While it is away, what is here is answered, and waits.
    let complaints = || node.told().matches("error: history: s3://results/office").count();
    let (before, told_before) = (truth.clone(), complaints());
    store.kill();
    fs::write(captures.join("b.pcap"), capture(1_700_010_000, 600, &mut truth)).unwrap();
    let of_late = "SELECT count(*) AS windows FROM by_second WHERE window_start >= '2023-11-15T00:00:00Z'";
    wait("later windows", || answered(&node, of_late)[0]["windows"] == truth.len() - before.len());
    wait("trouble", || outlet(&node, "history")["state"] == "failing");
    let (code, refused) = http(&node, "POST", "/api/v1/sql", &json!({ "sql": ALL }).to_string());
    assert!(code != 200 && refused.contains("s3://results/office"), "{code} {refused}");
    assert!(here(folder.path()) > 0 && outlet(&node, "history")["lost"] == 0);
    let away = by_command(&store, ALL);
    assert!(away.code == Some(1) && away.stderr.contains("s3://results/office"), "{away:?}");

    store.up();
    wait("the server", || outlet(&node, "history")["state"] == "running");
    wait("the rest", || is_moved(&node, folder.path()) && is_all(&node, &truth));
    assert_eq!(complaints(), told_before + 1, "{}", node.told());
    assert!(!node.told().contains(SECRET), "{}", node.told());
    assert_eq!(node.stop().code, Some(0));

    let again = start(folder.path(), &store);
    wait("a restart", || is_all(&again, &truth));
    if let Some(rows) = by_clickhouse(&store) {
        assert_eq!(rows, seen(&truth), "each is there once");
    }
    assert_eq!(again.stop().code, Some(0));
}
