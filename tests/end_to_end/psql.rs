//! A node over PostgreSQL's protocol: psql and psycopg get what the API gives, and nobody who may not.

use super::node::{kept_rows, kept_windows, node, query, wait_for};
use super::preview::while_records_come;
use super::sender::Load;
use harness::certificates::{Authority, IN_ORDER, Pair};
use harness::node::Node;
use harness::ports::free_port;
use harness::tapline;
use serde_json::Value;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tapline_trafficgen::exports::{ExportPlan, Protocol};

const BY_SECOND: &str =
    "SELECT count(*) AS records, sum(octets) AS octets FROM flows GROUP BY tumble('1 second')";
const TALKERS: &str =
    "SELECT src_ip, src_port, sum(octets) AS octets FROM flows GROUP BY src_ip, src_port, tumble('1 second')";
/// A stream that is silent for longer than somebody waits.
const SOON: &str = "SET statement_timeout = 300; SELECT count(*) FROM flows GROUP BY tumble('1 hour')";
const SECRET: &str = "open sesame";

/// Whether psql is there.
pub(super) fn has_psql() -> bool {
    let is_there = Command::new("psql").arg("--version").output().is_ok_and(|output| output.status.success());
    if !is_there {
        println!("skipped: psql is not installed (`cargo xtask setup --for test` installs it)");
    }
    is_there
}

/// The Python that has psycopg, where `cargo xtask setup` puts it.
fn psycopg() -> Option<PathBuf> {
    let test = std::env::current_exe().unwrap();
    let python = test.ancestors().nth(3)?.join("psycopg/bin/python");
    python.is_file().then_some(python)
}

/// A file of these tests.
fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("end_to_end/psql").join(name)
}

/// A node without queries that answers clients at `psql`, and the port that it has there.
pub(super) fn started(psql: &str, arguments: &[&str]) -> (Node, u16, u16) {
    let exports = free_port();
    let node = node(exports, &[&["--bare", "--psql", psql], arguments].concat());
    let port = port_of(&node);
    (node, port, exports)
}

/// Where a node answers clients.
pub(super) fn port_of(node: &Node) -> u16 {
    node.wait_for("dbname=tapline");
    let told = node.told();
    let (_, port) = told.split_once("psql \"host=").unwrap().1.split_once("port=").unwrap();
    port.split(' ').next().unwrap().parse().unwrap()
}

/// A node with two queries, after so many records that both have used.
fn loaded() -> (Node, u16) {
    let (node, port, exports) = started("127.0.0.1:0", &[]);
    assert_eq!(node.ask(&["queries", "add", "by_second", BY_SECOND]).code, Some(0));
    assert_eq!(node.ask(&["queries", "add", "top-talkers", TALKERS]).code, Some(0));
    let plan = ExportPlan { autonomous_systems: 20, ..ExportPlan::new(Protocol::NetflowV9, 3) };
    let sent = Load { plan, exporters: 2, datagrams: 100, datagrams_a_nap: 5 }.send(exports).sent;
    wait_for(&node, "by_second", sent.records);
    wait_for(&node, "top-talkers", sent.records);
    let begun = Instant::now();
    for name in ["by_second", "top-talkers"] {
        while sum(&kept_rows(&node, name), "octets") < sent.octets {
            assert!(begun.elapsed() < Duration::from_secs(30), "no window came");
        }
    }
    (node, port)
}

fn sum(rows: &[Value], column: &str) -> u64 {
    rows.iter().map(|row| row[column].as_u64().unwrap()).sum()
}

/// How psql is told where to connect.
pub(super) fn target(port: u16, more: &str) -> String {
    format!("host=127.0.0.1 port={port} user=tapline dbname=tapline connect_timeout=20 {more}")
}

/// What psql says, and whether it ends well.
pub(super) fn run_psql(target: &str, arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new("psql");
    command.args(["--no-psqlrc", "--no-align", "--tuples-only", "--set", "ON_ERROR_STOP=1"]);
    command
        .arg("--dbname")
        .arg(target)
        .args(arguments)
        .env("PGCLIENTENCODING", "UTF8")
        .env_remove("PGPASSWORD");
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

/// What psql prints for a statement.
pub(super) fn psql(port: u16, statement: &str) -> String {
    let (is_fine, said) = run_psql(&target(port, ""), &["--command", statement]);
    assert!(is_fine, "{statement}: {said}");
    said.trim_end().to_owned()
}

/// Why psql does not get an answer.
pub(super) fn refused(port: u16, statement: &str) -> String {
    let (is_fine, said) = run_psql(&target(port, ""), &["--command", statement]);
    assert!(!is_fine, "{statement}: {said}");
    said
}

#[test]
fn tables_are_what_the_api_says() {
    if !has_psql() {
        return;
    }
    let (node, port) = loaded();
    let rows = kept_rows(&node, "by_second");
    let sums = format!("{}|{}|{}", rows.len(), sum(&rows, "records"), sum(&rows, "octets"));
    assert_eq!(psql(port, "SELECT count(*), sum(records), sum(octets) FROM by_second"), sums);
    let talkers = kept_rows(&node, "top-talkers");
    let sums = format!("{}|{}", talkers.len(), sum(&talkers, "octets"));
    for name in ["\"top-talkers\"", "top_talkers"] {
        assert_eq!(psql(port, &format!("SELECT count(*), sum(octets) FROM {name}")), sums);
    }
    // Addresses are text, numbers are numbers, and our functions know both.
    let first =
        psql(port, "SELECT src_ip, src_port FROM top_talkers ORDER BY octets DESC, src_ip, src_port LIMIT 1");
    let (address, source_port) = first.split_once('|').unwrap();
    let of_first =
        |row: &&Value| row["src_ip"] == address && row["src_port"].as_u64() == source_port.parse().ok();
    assert!(talkers.iter().any(|row| of_first(&row)), "{first}");
    let inside = format!(
        "SELECT cidr(src_ip, '{address}'), network(src_ip, 32, 128) FROM top_talkers WHERE src_ip = '{address}' LIMIT 1"
    );
    assert_eq!(psql(port, &inside), format!("t|{address}"));
    let used = query(&node, "by_second")["used"].to_string();
    assert_eq!(psql(port, "SELECT used FROM queries WHERE name = 'by_second'"), used);
    let fate = "SELECT count FROM ledger WHERE kind = 'query' AND name = 'by_second' AND fate = 'used'";
    assert_eq!(psql(port, fate), used);
    assert_eq!(psql(port, "SELECT state, lost FROM sources"), "open|0");
    // Exporters tell of flows that have ended.
    let active = psql(port, "SELECT source, complete, reason FROM active_flows");
    assert!(active.starts_with("|f|nothing that this node reads is metered"), "{active}");
    assert_eq!(node.ask(&["alerts", "add", "by_second", "records > 1_000_000_000"]).code, Some(0));
    let alerts = psql(port, "SELECT query, condition, state, key, sinks FROM alerts");
    assert_eq!(alerts, "by_second|records > 1000000000|quiet||");
    assert_eq!(node.ask(&["queries", "drop", "by_second"]).code, Some(0));
    assert!(refused(port, "SELECT * FROM by_second").contains("not found"));
    assert_eq!(node.stop().code, Some(0));
}

#[test]
fn psql_finds_its_way() {
    if !has_psql() {
        return;
    }
    let (_node, port) = loaded();
    let tables = psql(port, "\\dt");
    for name in ["by_second", "top-talkers", "queries", "sources", "ledger", "active_flows", "alerts"] {
        assert!(tables.contains(&format!("public|{name}|table|tapline")), "{tables}");
    }
    let described = psql(port, "\\d by_second");
    for column in [
        "window_start|timestamp with time zone|",
        "records|bigint|",
        "completeness|double precision|",
        "status|text|",
    ] {
        assert!(described.contains(column), "{described}");
    }
    assert!(psql(port, "\\l").contains("tapline|"), "{}", psql(port, "\\l"));
    for command in ["\\df", "\\dn", "\\dv", "\\d"] {
        let _ = psql(port, command);
    }
    let columns = "SELECT data_type FROM information_schema.columns WHERE table_name = 'by_second' ORDER BY ordinal_position LIMIT 3";
    assert_eq!(psql(port, columns), "timestamp with time zone\ntimestamp with time zone\nbigint");
    let several =
        "SET application_name = 'x'; SHOW application_name; BEGIN; SELECT 1; COMMIT; SELECT 'a', NULL";
    assert_eq!(psql(port, several).lines().filter(|line| matches!(*line, "x" | "1" | "a|")).count(), 3);
    let cursor = "BEGIN; DECLARE c CURSOR FOR SELECT * FROM (VALUES (1), (2), (3)) t(n) ORDER BY n; FETCH 2 FROM c; FETCH ALL FROM c; CLOSE c; COMMIT";
    let fetched = psql(port, cursor);
    assert_eq!(
        fetched.lines().filter(|line| matches!(*line, "1" | "2" | "3")).collect::<Vec<_>>(),
        ["1", "2", "3"]
    );
    assert!(psql(port, "SELECT version()").starts_with("PostgreSQL 16"));
    assert_eq!(psql(port, "SHOW timezone"), "UTC");
    // What is held stays behind its transaction, and may be asked behind its end.
    let held = "BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT records FROM by_second; COMMIT; FETCH ALL FROM c; FETCH ALL FROM c; CLOSE c; SELECT 'and on'";
    assert_eq!(psql(port, held).lines().last(), Some("and on"));
}

#[test]
fn what_is_set_holds_as_long_as_it_should() {
    if !has_psql() {
        return;
    }
    let (_node, port, _) = started("127.0.0.1:0", &[]);
    let begun = target(port, "options='-c statement_timeout=7s'");
    let timeout = |before: &str| {
        let (is_fine, said) = run_psql(&begun, &["--command", &format!("{before} SHOW statement_timeout")]);
        assert!(is_fine, "{before} {said}");
        said.lines().last().unwrap_or_default().to_owned()
    };
    for (before, expected) in [
        ("", "7s"),
        ("SET statement_timeout = '5s'; RESET application_name; DISCARD PLANS;", "5s"),
        ("SET statement_timeout = '5s'; RESET statement_timeout;", "7s"),
        ("BEGIN; SET LOCAL statement_timeout = '5s';", "5s"),
        ("BEGIN; SET LOCAL statement_timeout = '5s'; COMMIT;", "7s"),
    ] {
        assert_eq!(timeout(before), expected, "{before}");
    }
    let wrong = target(port, "options='-c statement_timeout=soon'");
    let (is_fine, said) = run_psql(&wrong, &["--command", "SELECT 1"]);
    assert!(!is_fine && said.contains("write milliseconds"), "{said}");
}

#[test]
fn what_cannot_be_done_is_said() {
    if !has_psql() {
        return;
    }
    let (_node, port) = loaded();
    let long = format!("SELECT {}1", "1+".repeat(5000));
    for (statement, expected) in [
        ("INSERT INTO by_second VALUES (1)", "INSERT is not possible"),
        ("CREATE TABLE t (n int)", "CREATE is not possible"),
        ("DROP TABLE by_second", "DROP is not possible"),
        ("COPY by_second TO '/tmp/x'", "COPY is not possible"),
        ("SELECT * INTO t FROM by_second", "read"),
        ("SELECT * FROM flows, queries", "flows is a stream and queries is a table"),
        ("SELECT count(*) FROM flows", "needs a window"),
        ("DECLARE c CURSOR FOR SELECT src_ip FROM flows", "BEGIN one first"),
        ("BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT src_ip FROM flows", "leave that out"),
        ("SET statement_timeout = 'soon'", "write milliseconds"),
        (SOON, "longer than its statement_timeout"),
        ("SELECT * FROM '/etc/passwd'", "passwd"),
        ("SELECT nothing FROM by_second", "nothing"),
        ("SELEC", "SELEC"),
        (&long, "operators"),
    ] {
        let said = refused(port, statement);
        assert!(said.contains(expected), "{statement}: {said}");
    }
    // Over a connection, what comes after is answered, but for a transaction.
    let mut lines = Command::new("psql");
    lines.args(["--no-psqlrc", "--no-align", "--tuples-only", "--dbname", &target(port, "")]);
    lines.args(["--command", "SELEC", "--command", "SELECT 41 + 1"]);
    assert!(String::from_utf8_lossy(&lines.output().unwrap().stdout).contains("42"));
    assert!(refused(port, "BEGIN; SELECT nothing; SELECT 1").contains("nothing"));
}

#[test]
fn clients_find_what_they_begin_with() {
    if !has_psql() {
        return;
    }
    let (_node, port) = loaded();
    for name in ["grafana.sql", "dbeaver.sql"] {
        let (is_fine, said) = run_psql(&target(port, ""), &["--file", file(name).to_str().unwrap()]);
        assert!(is_fine, "{name}: {said}");
    }
    let tables =
        "SELECT quote_ident(table_name) FROM information_schema.tables WHERE table_type = 'BASE TABLE'";
    assert!(psql(port, tables).contains("\"top-talkers\""));
}

#[test]
fn psycopg_gets_what_the_api_says() {
    let Some(python) = psycopg() else {
        println!("skipped: psycopg is not installed (`cargo xtask setup --for test` installs it)");
        return;
    };
    let (node, port) = loaded();
    let rows = kept_rows(&node, "by_second");
    let output =
        Command::new(python).arg("-B").arg(file("psycopg_asks.py")).arg(target(port, "")).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    let got: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(got["sums"], serde_json::json!([rows.len(), sum(&rows, "records")]));
    assert_eq!((&got["binary_rows"], &got["fetched"]), (&rows.len().into(), &rows.len().into()));
    assert_eq!((&got["state"], &got["after"]), (&"running".into(), &1.into()));
    assert!(got["refused"].as_str().unwrap().starts_with("INSERT is not possible"), "{got}");
    assert!(got["cancelled_within_s"].as_f64().unwrap() < 10.0, "{got}");
}

/// Start, records and octets of whole windows, as psql prints rows of `BY_SECOND`.
fn whole_windows(printed: &str) -> Vec<(String, u64, u64)> {
    let rows = printed.lines().map(|line| line.split('|').collect::<Vec<_>>());
    let whole = rows.filter(|row| row.last() == Some(&"final"));
    whole.map(|row| (row[0][..19].to_owned(), row[2].parse().unwrap(), row[3].parse().unwrap())).collect()
}

#[test]
fn a_cursor_over_a_stream_gives_what_a_query_of_the_node_does() {
    if !has_psql() {
        return;
    }
    let (node, port, exports) = started("127.0.0.1:0", &[]);
    assert_eq!(node.ask(&["queries", "add", "by_second", BY_SECOND]).code, Some(0));
    let script = format!(
        "BEGIN; DECLARE c NO SCROLL CURSOR FOR {BY_SECOND}; FETCH 2 FROM c; FETCH FORWARD 3 FROM c; CLOSE c; COMMIT"
    );
    let printed = while_records_come(exports, || psql(port, &script));
    let windows = whole_windows(&printed);
    assert!(windows.len() >= 4, "{printed}");
    assert_eq!(printed.lines().filter(|line| line.contains('|')).count(), 5, "{printed}");
    let known = kept_windows(&node, "by_second");
    for (start, records, octets) in windows {
        let is_same =
            |window: &&Value| window["window_start"].as_str().unwrap()[..19].replace('T', " ") == start;
        let row = &known.iter().find(is_same).unwrap()["rows"][0];
        assert_eq!(
            (row["records"].as_u64(), row["octets"].as_u64()),
            (Some(records), Some(octets)),
            "{start}"
        );
    }
    let columns = psql(port, "EXPLAIN SELECT octets FROM flows");
    assert!(columns.contains("flows"), "{columns}");
    assert_eq!(psql(port, "SELECT count(*) FROM queries"), "1", "a cursor is no query of the node");
    assert_eq!(node.stop().code, Some(0));
}

/// psql over a stream, row by row.
fn watching(port: u16, statement: &str) -> (Child, impl Iterator<Item = String>) {
    let mut command = Command::new("psql");
    command.args(["--no-psqlrc", "--no-align", "--tuples-only", "--set", "FETCH_COUNT=1"]);
    command.arg("--dbname").arg(target(port, "")).args(["--command", statement]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    (child, lines.map(Result::unwrap))
}

#[test]
fn a_stream_ends_with_whoever_reads_it() {
    if !has_psql() {
        return;
    }
    let (node, port, exports) = started("127.0.0.1:0", &["--queries-max", "1"]);
    let is_free = || {
        let begun = Instant::now();
        while node.ask(&["queries", "add", "one", BY_SECOND]).code != Some(0) {
            assert!(begun.elapsed() < Duration::from_secs(10), "what nobody reads runs still");
        }
        assert_eq!(node.ask(&["queries", "drop", "one"]).code, Some(0));
    };
    let signal = |child: &Child, name: &str| {
        let sent = Command::new("kill").args([name, &child.id().to_string()]).status();
        assert!(sent.unwrap().success());
    };
    while_records_come(exports, || {
        // Ctrl-C, and the end of a client.
        for (name, said) in [("-INT", "ended, as the client asked"), ("-KILL", "")] {
            let (child, mut lines) = watching(port, BY_SECOND);
            let first: Vec<String> = lines.by_ref().take(2).collect();
            assert!(first.iter().all(|line| line.matches('|').count() == 5), "{first:?}");
            let refused = node.ask(&["queries", "add", "one", BY_SECOND]);
            assert!(refused.stderr.contains("1 queries are running"), "{}", refused.text());
            signal(&child, name);
            drop(lines);
            let output = child.wait_with_output().unwrap();
            let told = String::from_utf8_lossy(&output.stderr);
            assert!(told.contains(said), "{told}");
            is_free();
        }
        // One that ends by itself, and one that fails.
        let (child, lines) = watching(port, "SELECT src_ip, octets FROM flows LIMIT 5");
        assert_eq!(lines.filter(|line| line.contains('|')).count(), 5);
        assert!(child.wait_with_output().unwrap().status.success());
        let sql = "SELECT sum(octets * 9223372036854775807) AS x FROM flows GROUP BY tumble('1 second')";
        assert!(refused(port, sql).contains("ERROR:"));
        is_free();
    });
    // A node ends while somebody waits, too.
    let (child, lines) = watching(port, "SELECT count(*) AS n FROM flows GROUP BY tumble('1 hour')");
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(node.stop().code, Some(0));
    assert_eq!(lines.count(), 0);
    let _ = child.wait_with_output().unwrap();
}

#[test]
fn psycopg_reads_streams() {
    let Some(python) = psycopg() else {
        println!("skipped: psycopg is not installed (`cargo xtask setup --for test` installs it)");
        return;
    };
    let (node, port, exports) = started("127.0.0.1:0", &[]);
    let output = while_records_come(exports, || {
        Command::new(python).arg("-B").arg(file("psycopg_streams.py")).arg(target(port, "")).output().unwrap()
    });
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    let got: Value = serde_json::from_str(&out).unwrap();
    let columns = ["window_start", "window_end", "records", "completeness", "status"];
    assert_eq!(got["columns"], serde_json::json!(columns));
    for way in ["row_by_row", "by_cursor"] {
        let records: Vec<u64> = got[way].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect();
        assert!(records.len() == 2 && records.iter().all(|n| *n > 0), "{way}: {got}");
    }
    assert!(got["refused"].as_str().unwrap().contains("have no parameters"), "{got}");
    assert_eq!(got["after"], 1);
    assert_eq!(node.stop().code, Some(0));
}

#[test]
fn a_password_is_asked_for_where_there_is_one() {
    if !has_psql() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    fs::write(&password, format!("{SECRET}\nnot this\n")).unwrap();
    let (_node, port, _) = started("127.0.0.1:0", &["--psql-password-file", password.to_str().unwrap()]);
    let ask = |password: &str| {
        let target = target(port, &format!("password='{password}'"));
        run_psql(&target, &["--no-password", "--command", "SELECT 1"])
    };
    assert_eq!(ask(SECRET), (true, "1\n".to_owned()));
    let (is_fine, said) = ask("open barley");
    assert!(!is_fine && said.contains("the password of the user tapline is another one"), "{said}");
    let (is_fine, said) = run_psql(&target(port, ""), &["--no-password", "--command", "SELECT 1"]);
    assert!(!is_fine && said.contains("no password supplied"), "{said}");
    let strangers = format!("host=127.0.0.1 port={port} user=root dbname=tapline password='{SECRET}'");
    let (is_fine, said) = run_psql(&strangers, &["--no-password", "--command", "SELECT 1"]);
    assert!(!is_fine && said.contains("the user is tapline"), "{said}");
}

#[test]
fn other_machines_need_a_password_and_tls() {
    if !has_psql() {
        return;
    }
    let Some(authority) = Authority::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let Pair { certificate, key } = authority.sign("psql", IN_ORDER);
    let [certificate, key] = [&certificate, &key].map(|file| file.to_str().unwrap());
    let password = folder.path().join("password");
    fs::write(&password, SECRET).unwrap();
    let password = password.to_str().unwrap();
    let url = format!("udp://127.0.0.1:{}", free_port());
    let start = |arguments: &[&str]| {
        let all =
            [&["run", "--api", "127.0.0.1:0", "--bare", "--listen", &url, "--for", "1s"], arguments].concat();
        tapline(&all)
    };
    let hidden = ["--psql-certificate", certificate, "--psql-key", key];
    for arguments in [&[][..], &["--psql-password-file", password], &hidden] {
        let ended = start(&[&["--psql", "0.0.0.0:0"][..], arguments].concat());
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
        assert!(ended.stderr.contains("without a password and TLS"), "{}", ended.stderr);
    }
    let ended = start(&["--psql", "127.0.0.1:0", "--psql-certificate", "/no/such", "--psql-key", key]);
    assert!(
        ended.code == Some(2) && ended.stderr.contains("psql: the TLS certificate /no/such cannot be read"),
        "{}",
        ended.stderr
    );
    // Else the token would be asked for in vain.
    let ended = start(&["--psql", "127.0.0.1:0", "--token-file", password]);
    assert!(ended.code == Some(2) && ended.stderr.contains("the API asks for a token"), "{}", ended.stderr);
    let ended = start(&["--psql-key", key]);
    assert!(ended.code == Some(2) && ended.stderr.contains("give --psql"), "{}", ended.stderr);
    let arguments = [&["--psql-password-file", password], &hidden[..]].concat();
    let (_node, port, _) = started("0.0.0.0:0", &arguments);
    let ask = |mode: &str| {
        let target = target(port, &format!("password='{SECRET}' sslmode={mode}"));
        run_psql(&target, &["--no-password", "--command", "SELECT 1"])
    };
    assert_eq!(ask("require"), (true, "1\n".to_owned()));
    let (is_fine, said) = ask("disable");
    assert!(!is_fine && said.contains("are encrypted; add sslmode=require"), "{said}");
}

#[test]
fn what_the_api_proves_itself_by_is_good_for_clients_too_and_a_password_changes() {
    if !has_psql() {
        return;
    }
    let Some(authority) = Authority::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let Pair { certificate, key } = authority.sign("psql", IN_ORDER);
    let file = folder.path().join("password");
    fs::write(&file, SECRET).unwrap();
    let of_api = ["--tls-certificate", certificate.to_str().unwrap(), "--tls-key", key.to_str().unwrap()];
    let arguments = [&["--psql-password-file", file.to_str().unwrap()], &of_api[..]].concat();
    let (node, port, _) = started("0.0.0.0:0", &arguments);
    let trusted = authority.certificate();
    let trusted = trusted.display();
    let ask = |password: &str| {
        let target = target(port, &format!("password='{password}' sslmode=verify-ca sslrootcert={trusted}"));
        run_psql(&target, &["--no-password", "--command", "SELECT 1"])
    };
    assert_eq!(ask(SECRET), (true, "1\n".to_owned()));
    fs::write(&file, "open barley").unwrap();
    node.signal("HUP");
    node.wait_for("password of psql is other than before");
    assert_eq!(ask("open barley"), (true, "1\n".to_owned()));
    assert!(!ask(SECRET).0, "it is the old one");
    fs::write(&file, "").unwrap();
    node.signal("HUP");
    node.wait_for("the password for psql is empty");
    assert_eq!(ask("open barley"), (true, "1\n".to_owned()), "what is wrong changes nothing");
}
