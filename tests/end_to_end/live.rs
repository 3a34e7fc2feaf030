//! Exports as they arrive.

use super::account::{AS_JSON, fates, matrix, matrix_query, records, remark, summary, truth_matrix};
use super::sender::{Load, faulty, now_ns, wait_for_listener};
use harness::csv::read_csv;
use harness::ports::free_port;
use harness::run::{tapline_during, tapline_while};
use harness::{Finished, tapline};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::{TcpStream, UdpSocket};
use std::time::Duration;
use tapline_trafficgen::exports::{ExportPlan, Faults, Fleet, Outbox, Protocol, Truth};

/// Runs a windowed matrix while a load is sent.
pub(crate) fn listen(load: &Load, arguments: &[&str]) -> (Finished, Truth) {
    let port = free_port();
    let url = format!("udp://127.0.0.1:{port}");
    let query = matrix_query(", tumble('10 seconds')");
    let arguments =
        [&["query", "--listen", &url, "--format", "csv"], &AS_JSON[..], arguments, &[query.as_str()]]
            .concat();
    let mut truth = None;
    let run = tapline_during(&arguments, || {
        wait_for_listener(port);
        truth = Some(load.send(port));
    });
    (run, truth.unwrap())
}

fn plan(protocol: Protocol) -> ExportPlan {
    ExportPlan { autonomous_systems: 20, ..ExportPlan::new(protocol, 3) }
}

#[test]
fn every_record_is_delivered() {
    for protocol in Protocol::ALL {
        let load = Load { plan: plan(protocol), exporters: 3, datagrams: 500, datagrams_a_nap: 5 };
        let (run, truth) = listen(&load, &[]);
        assert!(matrix(&run) == truth_matrix(&truth), "{protocol}: {}", run.stderr);
        let [_, _, _, undecodable, lost] = fates(&run);
        assert_eq!([undecodable, lost], [0, 0], "{protocol}: {}", run.stderr);
        let csv = read_csv(run.success());
        assert_eq!(csv.header[csv.header.len() - 2..], ["completeness", "status"]);
        assert!(csv.rows.iter().all(|row| row[row.len() - 2..] == ["1.0", "partial"]), "{protocol}");
    }
}

#[test]
fn faults_on_the_way_are_accounted_for() {
    let faults = Faults {
        lose_percent: 10,
        reorder_percent: 5,
        restart_every_datagrams: 400,
        redefine_every_datagrams: 150,
        withhold_datagrams: 20,
        ..Faults::default()
    };
    for protocol in [Protocol::NetflowV5, Protocol::NetflowV9, Protocol::Ipfix] {
        let plan = faulty(plan(protocol), faults);
        let (run, truth) = listen(&Load { plan, exporters: 2, datagrams: 1000, datagrams_a_nap: 5 }, &[]);
        assert!(matrix(&run) == truth_matrix(&truth), "{protocol}: {}", run.stderr);
        let [_, delivered, _, undecodable, lost] = fates(&run);
        let of = |amount: tapline_trafficgen::exports::Amount| match protocol {
            Protocol::NetflowV9 => amount.datagrams,
            _ => amount.records,
        };
        assert_eq!(delivered, of(truth.sent), "{protocol}: {}", run.stderr);
        // What is lost while the template is withheld cannot be told from what waits and is decoded later.
        assert_eq!(lost + undecodable, of(truth.lost), "{protocol}: {}", run.stderr);
        assert_eq!(remark(&run, "restarts"), truth.restarts, "{protocol}: {}", run.stderr);
        let csv = read_csv(run.success());
        let completeness: f64 = csv.rows[0][csv.header.len() - 2].parse().unwrap();
        assert!((0.85..0.95).contains(&completeness), "{protocol}: {completeness}");
    }
}

#[test]
fn every_row_names_the_listener_that_it_came_by() {
    let ports = [free_port(), free_port()];
    let urls = ports.map(|port| format!("udp://127.0.0.1:{port}"));
    let sql = "SELECT source, count(*) AS records FROM flows GROUP BY source, tumble('1 hour')";
    let ledger = "SELECT source, sum(delivered) AS delivered FROM ledger WHERE unit = 'rows' GROUP BY source, tumble('1 hour')";
    let arguments = ["query", "--listen", &urls[0], "--listen", &urls[1], "--format", "json", sql, ledger];
    let loads = [(Protocol::NetflowV5, 20), (Protocol::Ipfix, 50)];
    let mut sent = vec![];
    let run = tapline_during(&arguments, || {
        for (port, (protocol, datagrams)) in ports.into_iter().zip(loads) {
            wait_for_listener(port);
            let load = Load { plan: plan(protocol), exporters: 2, datagrams, datagrams_a_nap: 5 };
            sent.push(load.send(port).sent.records);
        }
    });
    let mut found = BTreeMap::new();
    for line in run.success().lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let records = ["records", "delivered"].iter().find_map(|name| row[name].as_u64()).unwrap();
        *found.entry((row["query"].to_string(), row["source"].as_str().unwrap().to_owned())).or_insert(0) +=
            records;
    }
    let expected = ["\"query_1\"", "\"query_2\""].into_iter().flat_map(|query| {
        urls.iter().zip(&sent).map(move |(url, records)| ((query.to_owned(), url.clone()), *records))
    });
    assert_eq!(found, expected.collect(), "{}", run.stderr);
}

#[test]
fn windows_of_a_silent_source_close_by_the_wall_clock() {
    let port = free_port();
    let url = format!("udp://127.0.0.1:{port}");
    let arguments = [
        "query",
        "--listen",
        &url,
        "--format",
        "csv",
        "--allowed-lateness-ms",
        "200",
        "--event-time",
        "receive",
        "--windows",
        "1",
        "SELECT count(*) AS records FROM flows GROUP BY tumble('1 second')",
    ];
    let load = Load { plan: plan(Protocol::NetflowV5), exporters: 1, datagrams: 10, datagrams_a_nap: 0 };
    let mut sent = None;
    let run = tapline_during(&arguments, || {
        wait_for_listener(port);
        sent = Some(load.send(port));
        std::thread::sleep(Duration::from_secs(3));
    });
    let csv = read_csv(run.success());
    assert_eq!(csv.rows[0].last().unwrap(), "final", "{}\n{}", run.text(), run.stderr);
    let counted: u64 = csv.rows.iter().map(|row| row[2].parse::<u64>().unwrap()).sum();
    assert!(counted <= sent.unwrap().sent.records);
}

#[test]
fn windows_come_while_records_trickle_in() {
    let port = free_port();
    let url = format!("udp://127.0.0.1:{port}");
    let sql = "SELECT count(*) AS records FROM flows GROUP BY tumble('1 second')";
    let arguments = ["query", "--listen", &url, "--format", "csv", "--allowed-lateness-ms", "200"];
    let mut fleet = Fleet::new(&plan(Protocol::NetflowV5), 0..1).unwrap();
    let (socket, mut outbox) = (UdpSocket::bind("127.0.0.1:0").unwrap(), Outbox::default());
    let run = tapline_while(&[&arguments[..], &["--windows", "1", sql]].concat(), || {
        fleet.emit(0, now_ns(), &mut outbox);
        for datagram in outbox.datagrams() {
            socket.send_to(datagram, ("127.0.0.1", port)).unwrap();
        }
        outbox.clear();
        // A batch would be full after minutes.
        std::thread::sleep(Duration::from_millis(400));
    });
    let csv = read_csv(run.success());
    assert_eq!(csv.rows[0].last().unwrap(), "final", "{}\n{}", run.text(), run.stderr);
}

#[test]
fn a_run_ends_by_its_time() {
    let url = format!("udp://127.0.0.1:{}", free_port());
    let run = tapline(&["query", "--listen", &url, "--for", "300ms", &matrix_query(", tumble('1 second')")]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
}

#[test]
fn ipfix_comes_by_connections_too() {
    let port = free_port();
    let url = format!("tcp://127.0.0.1:{port}");
    let query = matrix_query(", tumble('10 seconds')");
    let mut fleet = Fleet::new(&plan(Protocol::Ipfix), 0..2).unwrap();
    let run =
        tapline_during(&["query", "--listen", &url, "--format", "csv", "--summary", "json", &query], || {
            for exporter in 0..2 {
                let mut stream = connect(port);
                let mut outbox = Outbox::default();
                for _ in 0..200 {
                    fleet.emit(exporter, 1_800_000_000_000_000_000, &mut outbox);
                }
                outbox.datagrams().for_each(|message| stream.write_all(message).unwrap());
            }
            std::thread::sleep(Duration::from_millis(500));
        });
    let truth = fleet.truth();
    assert!(matrix(&run) == truth_matrix(&truth), "{}", run.stderr);
    assert_eq!(records(&matrix(&run)), truth.sent.records);
    assert_eq!(summary(&run)["sources"][0]["connections"]["accepted"], 2, "{}", run.stderr);
}

#[test]
fn a_message_that_breaks_off_is_counted() {
    let port = free_port();
    let url = format!("tcp://127.0.0.1:{port}");
    let mut fleet = Fleet::new(&plan(Protocol::Ipfix), 0..1).unwrap();
    let query = matrix_query(", tumble('10 seconds')");
    let run = tapline_during(&[&["query", "--listen", &url, &query], &AS_JSON[..]].concat(), || {
        let mut outbox = Outbox::default();
        fleet.emit(0, 1_800_000_000_000_000_000, &mut outbox);
        let messages: Vec<_> = outbox.datagrams().collect();
        let octets = messages.concat();
        connect(port).write_all(&octets[..octets.len() - 1]).unwrap();
        std::thread::sleep(Duration::from_millis(500));
    });
    assert_eq!(remark(&run, "messages broke off"), 1, "{}", run.stderr);
}

/// A connection, as soon as somebody listens.
fn connect(port: u16) -> TcpStream {
    loop {
        if let Ok(stream) = TcpStream::connect(("127.0.0.1", port)) {
            return stream;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_ledger_says_second_by_second_what_becomes_of_the_rows_of_a_query() {
    let port = free_port();
    let url = format!("udp://127.0.0.1:{port}");
    let ledger = "SELECT query_name, sum(query_delivered) AS delivered, sum(query_filtered) AS filtered FROM ledger \
                  WHERE query_name = 'query_1' GROUP BY query_name, tumble('1 second')";
    let few = "SELECT src_as, count(*) FROM flows WHERE protocol = 6 GROUP BY src_as, tumble('10 seconds')";
    let arguments = ["query", "--listen", &url, "--format", "json", AS_JSON[0], AS_JSON[1], few, ledger];
    let load = Load { plan: plan(Protocol::NetflowV5), exporters: 1, datagrams: 40, datagrams_a_nap: 1 };
    let run = tapline_during(&arguments, || {
        wait_for_listener(port);
        for _ in 0..4 {
            load.send(port);
            std::thread::sleep(Duration::from_millis(600));
        }
    });
    let rows = run.success().lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let rows: Vec<_> = rows.filter(|row| row["query"] == "query_2").collect();
    let sum = |name: &str| rows.iter().map(|row| row[name].as_u64().unwrap()).sum::<u64>();
    let account = &summary(&run)["queries"][0];
    assert_eq!(
        (sum("delivered"), sum("filtered")),
        (numbered(account, "delivered"), numbered(account, "filtered"))
    );
    assert!(rows.len() > 1 && rows[0]["status"] == "final", "they came while it ran: {}", run.text());
    assert!(sum("filtered") > 0, "{account}");
}

fn numbered(object: &serde_json::Value, name: &str) -> u64 {
    object[name].as_u64().unwrap()
}
