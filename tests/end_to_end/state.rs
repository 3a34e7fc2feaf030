//! Templates that outlive the collector.

use super::account;
use super::account::{fates, matrix, remark, truth_matrix};
use super::live::listen;
use super::sender::{Load, wait_for_listener};
use harness::ports::free_port;
use harness::run::tapline_during;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tapline_trafficgen::exports::{ExportPlan, Fleet, Outbox, Protocol};

#[test]
fn nothing_is_lost_by_starting_anew() {
    for protocol in [Protocol::NetflowV9, Protocol::Ipfix] {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        let (url, state) = (format!("udp://127.0.0.1:{port}"), folder.path().to_str().unwrap());
        let query = account::matrix_query(", tumble('10 seconds')");
        let arguments = [
            "query",
            "--listen",
            &url,
            "--state",
            state,
            "--format",
            "csv",
            "--exporter-identity",
            "address",
            "--summary",
            "json",
            &query,
        ];
        // One exporter goes on while the collector starts anew; its template is not sent again.
        let plan = ExportPlan {
            control_every_datagrams: 1 << 40,
            control_every_ms: 1 << 40,
            ..ExportPlan::new(protocol, 9)
        };
        let mut fleet = Fleet::new(&plan, 0..1).unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut runs = vec![];
        for _ in 0..2 {
            runs.push(tapline_during(&arguments, || {
                wait_for_listener(port);
                send(&mut fleet, &socket, port);
            }));
        }
        let mut found = matrix(&runs[0]);
        for (pair, sums) in matrix(&runs[1]) {
            let known = found.entry(pair).or_default();
            known.iter_mut().zip(sums).for_each(|(known, sum)| *known += sum);
        }
        assert!(found == truth_matrix(&fleet.truth()), "{protocol}: {}{}", runs[0].stderr, runs[1].stderr);
        assert!(remark(&runs[1], "sets by a template of an earlier run") > 0, "{}", runs[1].stderr);
        assert_eq!(fates(&runs[1])[3..], [0, 0], "{}", runs[1].stderr);
    }
}

fn send(fleet: &mut Fleet, socket: &UdpSocket, port: u16) {
    let mut outbox = Outbox::default();
    for _ in 0..100 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
        fleet.emit(0, now, &mut outbox);
        for datagram in outbox.datagrams() {
            socket.send_to(datagram, SocketAddr::from(([127, 0, 0, 1], port))).unwrap();
        }
        outbox.clear();
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(Duration::from_millis(500));
}

#[test]
fn without_templates_records_wait_and_expire_counted() {
    let faults = tapline_trafficgen::exports::Faults { withhold_datagrams: 1 << 40, ..Default::default() };
    let plan = ExportPlan { faults, ..ExportPlan::new(Protocol::Ipfix, 2) };
    let (run, truth) = listen(&Load { plan, exporters: 1, datagrams: 50, datagrams_a_nap: 5 }, &[]);
    assert!(matrix(&run).is_empty());
    let last = remark(&run, "sets whose template never came");
    assert_eq!(last, truth.sent.datagrams, "{}", run.stderr);
}
