//! Tables of ClickHouse.

use super::{BY_ADDRESS, Place, add, given, sorted, wait, wait_for_all, wait_for_trouble};
use harness::servers::{ClickHouse, SECRET};
use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

/// What rows look like that are compared with those of the API.
const ROWS: &str = "formatDateTime(window_start, '%Y-%m-%dT%H:%i:%S', 'UTC'), \
    replaceOne(toString(src_ip), '::ffff:', ''), records, octets, status";

/// The rows of a table as the API's are printed.
fn stored(server: &ClickHouse, table: &str) -> Vec<String> {
    sorted(server.sql(&format!("SELECT {ROWS} FROM {table}")).lines().map(str::to_owned).collect())
}

/// What is said of the sink, with a password in this folder.
fn sink(folder: &Path, port: u16) -> String {
    let password = folder.join("password");
    fs::write(&password, SECRET).unwrap();
    format!(
        "kind = \"clickhouse\"\nurl = \"http://tapline@127.0.0.1:{port}/default\"\ntable = \"t_{{query}}\"\n\
         password_file = \"{}\"",
        password.display()
    )
}

#[test]
fn results_are_in_their_table_once_over_lost_answers_and_crashes() {
    let Some(mut server) = ClickHouse::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new(folder.path(), &sink(folder.path(), server.port()));
    let first = place.start();
    add(&first, "by_address", BY_ADDRESS);
    place.load(&first, 50, "by_address");
    wait_for_all(&first);
    assert_eq!(stored(&server, "t_by_address"), given(&first, "by_address"));
    let mark = server.lose_answer();
    place.load(&first, 50, "by_address");
    wait("an answer to be lost", || !mark.exists());
    wait_for_all(&first);
    // The server knows a block again, so that nobody needs to ask with FINAL.
    assert_eq!(stored(&server, "t_by_address"), given(&first, "by_address"));
    server.kill();
    place.load(&first, 50, "by_address");
    wait_for_trouble(&first, "does not answer");
    let mut rows = given(&first, "by_address");
    first.kill();
    let second = place.start();
    place.load(&second, 20, "by_address");
    server.up();
    wait_for_all(&second);
    rows.extend(given(&second, "by_address"));
    assert_eq!(stored(&server, "t_by_address FINAL"), sorted(rows));
    let kinds =
        server.sql("SELECT groupArray(name || ' ' || type) FROM system.columns WHERE table = 't_by_address'");
    for part in ["src_ip Nullable(IPv6)", "records Nullable(Int64)", "status LowCardinality(String)"] {
        assert!(kinds.contains(part), "{kinds}");
    }
    assert_eq!(second.stop().code, Some(0));
}

#[test]
fn columns_are_added_and_what_is_wrong_is_named_with_the_mend() {
    let Some(server) = ClickHouse::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new(folder.path(), &sink(folder.path(), server.port()));
    let node = place.start_with_wrong_password("does not let tapline in: Code: 516.");
    let more = BY_ADDRESS.replace("AS octets", "AS octets, max(dst_port) AS port");
    assert_eq!(node.ask(&["queries", "replace", "by_address", &more]).code, Some(0));
    place.load(&node, 20, "by_address");
    wait_for_all(&node);
    let ports = server.sql("SELECT count(port) > 0, count() > count(port) FROM t_by_address");
    assert_eq!(ports, "1\t1");
    server.sql("CREATE TABLE t_other (window_start DateTime64(9, 'UTC'), records IPv6) ENGINE = MergeTree ORDER BY window_start");
    add(&node, "other", BY_ADDRESS);
    place.load(&node, 20, "other");
    wait_for_trouble(&node, "the column `records` of `default`.`t_other` is of type IPv6");
    server.sql("DROP TABLE t_other");
    wait_for_all(&node);
    sleep(Duration::from_millis(100));
    assert_eq!(stored(&server, "t_other"), given(&node, "other"));
    assert_eq!(node.stop().code, Some(0));
}
