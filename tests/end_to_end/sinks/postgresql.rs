//! Tables of a real PostgreSQL server.

use super::{BY_ADDRESS, Place, add, counts, given, outlet, sorted, wait, wait_for_all, wait_for_trouble};
use harness::servers::{Postgresql, SECRET};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// What rows look like that are compared with those of the API.
const ROWS: &str = "to_char(window_start AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS'), host(src_ip), records, \
    octets, status";

/// The rows of a table as the API's are printed.
fn stored(server: &Postgresql, table: &str) -> Vec<String> {
    let rows = server.sql(&format!("SELECT {ROWS} FROM {table}"));
    sorted(rows.lines().map(str::to_owned).collect())
}

/// What is said of the sink, at this port, with a password in this folder.
fn sink(folder: &Path, port: u16) -> String {
    let password = folder.join("password");
    fs::write(&password, format!("{SECRET}\n")).unwrap();
    format!(
        "kind = \"postgresql\"\nurl = \"postgresql://tapline@127.0.0.1:{port}/postgres\"\n\
         schema = \"traffic\"\npassword_file = \"{}\"",
        password.display()
    )
}

#[test]
fn results_are_in_their_table_once_over_crashes_of_the_server_and_of_the_node() {
    let Some(server) = Postgresql::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new(folder.path(), &sink(folder.path(), server.port()));
    let first = place.start();
    add(&first, "by_address", BY_ADDRESS);
    place.load(&first, 100, "by_address");
    wait_for_all(&first);
    let rows = given(&first, "by_address");
    assert!(rows.len() > 5, "{rows:?}");
    assert_eq!(stored(&server, "traffic.by_address"), rows);
    server.kill();
    place.load(&first, 50, "by_address");
    wait_for_trouble(&first, "does not answer");
    let mut rows = given(&first, "by_address");
    first.kill();
    // Results wait on the disk, and those of the next start behind them.
    let second = place.start();
    wait("the spool", || outlet(&second, "server")["waiting"].as_u64().is_some_and(|waiting| waiting > 0));
    place.load(&second, 50, "by_address");
    server.up();
    wait_for_all(&second);
    rows.extend(given(&second, "by_address"));
    assert_eq!(stored(&server, "traffic.by_address"), sorted(rows));
    let kinds = "SELECT string_agg(column_name || ' ' || data_type, ', ' ORDER BY ordinal_position) \
                 FROM information_schema.columns WHERE table_name = 'by_address'";
    let expected = "window_start timestamp with time zone, window_end timestamp with time zone, src_ip inet, \
                    records bigint, octets bigint, completeness double precision, status text";
    assert_eq!(server.sql(kinds), expected);
    assert_eq!(second.stop().code, Some(0));
}

#[test]
fn columns_are_added_and_one_of_another_type_is_named_with_the_mend() {
    let Some(server) = Postgresql::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new(folder.path(), &sink(folder.path(), server.port()));
    server.sql("CREATE SCHEMA traffic; CREATE TABLE traffic.other (window_start timestamptz, records inet)");
    let node = place.start();
    add(&node, "by_address", BY_ADDRESS);
    place.load(&node, 20, "by_address");
    let more = BY_ADDRESS.replace("AS octets", "AS octets, max(dst_port) AS port");
    assert_eq!(node.ask(&["queries", "replace", "by_address", &more]).code, Some(0));
    place.load(&node, 20, "by_address");
    wait_for_all(&node);
    let ports = server.sql("SELECT count(port) > 0, count(*) > count(port) FROM traffic.by_address");
    assert_eq!(ports, "t\tt");
    add(&node, "other", BY_ADDRESS);
    place.load(&node, 20, "other");
    wait_for_trouble(&node, "the column `records` of \"traffic\".\"other\" is of type inet");
    wait_for_trouble(
        &node,
        "ALTER TABLE \"traffic\".\"other\" ALTER COLUMN \"records\" TYPE bigint mends it",
    );
    server.sql("ALTER TABLE traffic.other ALTER COLUMN records TYPE bigint USING NULL::bigint");
    wait_for_all(&node);
    assert_eq!(stored(&server, "traffic.other"), given(&node, "other"));
    assert_eq!(node.stop().code, Some(0));
}

#[test]
fn a_wrong_password_is_told_and_results_come_with_the_right_one() {
    let Some(server) = Postgresql::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new(folder.path(), &sink(folder.path(), server.port()));
    let node = place.start_with_wrong_password("does not let tapline in: password authentication failed");
    node.wait_for("server: it goes on");
    assert_eq!(stored(&server, "traffic.by_address"), given(&node, "by_address"));
    assert_eq!(node.stop().code, Some(0));
}

#[test]
fn what_the_bound_leaves_no_room_for_is_counted_and_the_rest_comes_once() {
    const FINE: &str = "SELECT src_ip, count(*) AS records FROM flows GROUP BY src_ip, tumble('1 ms')";
    let Some(server) = Postgresql::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let said = format!("{}\nspool_octets_max = 1048576", sink(folder.path(), server.port()));
    let place = Place::new(folder.path(), &said);
    server.kill();
    let node = place.start();
    add(&node, "fine", FINE);
    place.load(&node, 4000, "fine");
    wait("results to be lost", || counts(&node).1 > 0);
    node.wait_for("are lost, which had no room");
    server.up();
    wait_for_all(&node);
    let (all, lost) = counts(&node);
    let windows = server.sql("SELECT count(DISTINCT (window_start, status)), count(*) = count(DISTINCT (window_start, src_ip, status)) FROM traffic.fine");
    assert_eq!(windows, format!("{}\tt", all - lost), "of {all} results {lost} are lost");
    assert_eq!(outlet(&node, "lines")["lost"], 0);
    assert_eq!(node.stop().code, Some(0));
}

/// Stands between a node and a server, and loses the answer to a COMMIT when it is told to.
struct Between {
    port: u16,
    loses: Arc<AtomicBool>,
}

impl Between {
    fn start(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, loses) = (listener.local_addr().unwrap().port(), Arc::new(AtomicBool::new(false)));
        let flag = Arc::clone(&loses);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                between(client, server, Arc::clone(&flag));
            }
        });
        Self { port, loses }
    }
}

/// Passes octets both ways, until a COMMIT has gone by that loses its answer.
fn between(client: TcpStream, server: TcpStream, loses: Arc<AtomicBool>) {
    let [from, to] = [&client, &server].map(|stream| stream.try_clone().unwrap());
    let is_cut = Arc::new(AtomicBool::new(false));
    let cut = Arc::clone(&is_cut);
    let passes = move |octets: &[u8]| {
        let is_commit = octets.windows(6).any(|window| window == b"COMMIT");
        if is_commit && loses.swap(false, Ordering::Relaxed) {
            cut.store(true, Ordering::Relaxed);
        }
        true
    };
    thread::spawn(move || forward(from, to, &passes));
    thread::spawn(move || forward(server, client, &|_: &[u8]| !is_cut.load(Ordering::Relaxed)));
}

/// Passes octets on, until it is told not to.
fn forward(mut from: TcpStream, mut to: TcpStream, passes: &dyn Fn(&[u8]) -> bool) {
    let mut octets = vec![0; 1 << 16];
    while let Ok(count @ 1..) = from.read(&mut octets) {
        if !passes(&octets[..count]) || to.write_all(&octets[..count]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

#[test]
fn an_answer_that_is_lost_writes_nothing_twice() {
    let Some(server) = Postgresql::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let between = Between::start(server.port());
    let place = Place::new(folder.path(), &sink(folder.path(), between.port));
    let node = place.start();
    add(&node, "by_address", BY_ADDRESS);
    for _ in 0..3 {
        between.loses.store(true, Ordering::Relaxed);
        place.load(&node, 20, "by_address");
        wait("the answer to be lost", || !between.loses.load(Ordering::Relaxed));
        thread::sleep(Duration::from_millis(200));
    }
    wait_for_all(&node);
    assert_eq!(stored(&server, "traffic.by_address"), given(&node, "by_address"));
    assert_eq!(node.stop().code, Some(0));
}
