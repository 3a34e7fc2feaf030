//! The product on an interface: queries of keys and sums, answered by the kernel's flow table, next to the same
//! queries over a capture of the same frames.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::File;
use std::io::{self, BufWriter};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use harness::csv::Csv;
use harness::run::tapline_during;
use harness::tapline;
use tapline_trafficgen::pcap::PcapFormat;
use tapline_trafficgen::scenario::{Scenario, branch_office};

use crate::namespace::{self, FAR, NEAR};
use crate::rights::load;

const FRAMES: usize = 60_000;
/// Frames in a row between two naps; the receiver has one core, and other work.
const FRAMES_A_NAP: usize = 64;
const NAP: Duration = Duration::from_micros(500);

/// Sends the scenario's frames out of the near end.
fn send(scenario: &Scenario) {
    // SAFETY: makes a socket, and touches no memory.
    let socket = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW, 0) };
    assert!(socket >= 0, "{}", io::Error::last_os_error());
    let name = CString::new(NEAR).unwrap();
    // SAFETY: the name ends with a zero.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    // SAFETY: all zeros are an address.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_ifindex = index as i32;
    let mut octets = vec![];
    for (number, timed) in scenario.frames.iter().enumerate() {
        octets.clear();
        timed.frame.write(&mut octets);
        let length = size_of::<libc::sockaddr_ll>() as u32;
        // SAFETY: both are of the lengths that are said.
        let sent = unsafe {
            libc::sendto(socket, octets.as_ptr().cast(), octets.len(), 0, (&raw const address).cast(), length)
        };
        assert_eq!(usize::try_from(sent).ok(), Some(octets.len()), "{}", io::Error::last_os_error());
        if number % FRAMES_A_NAP == 0 {
            sleep(NAP);
        }
    }
    // SAFETY: the socket is ours.
    unsafe { libc::close(socket) };
}

fn wait_for_program() {
    let start = Instant::now();
    loop {
        let links = Command::new("ip").args(["-d", "link", "show", FAR]).output().unwrap();
        if String::from_utf8_lossy(&links.stdout).contains("xdp") {
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "no program is attached");
        sleep(Duration::from_millis(20));
    }
}

/// Sums of the last columns by the first ones, without windows, completeness and status.
fn totals(text: &str, keys: usize, columns: usize) -> BTreeMap<Vec<String>, Vec<i64>> {
    let csv = Csv::parse(text);
    let first = if csv.header[0] == "window_start" { 2 } else { 0 };
    let mut totals: BTreeMap<Vec<String>, Vec<i64>> = BTreeMap::new();
    for row in csv.rows {
        let sums = totals.entry(row[first..first + keys].to_vec()).or_insert_with(|| vec![0; columns]);
        for (sum, value) in sums.iter_mut().zip(&row[first + keys..]) {
            *sum += value.parse::<i64>().unwrap_or(0);
        }
    }
    totals
}

/// Asks the interface and the capture, with this window of the interface.
fn check(sql: &str, window: &str, keys: usize, columns: usize) {
    if !namespace::enter() || load(&Default::default()).is_none() {
        return;
    }
    let mut scenario = branch_office(harness::scenario::SEED);
    scenario.frames.truncate(FRAMES);
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("frames.pcap");
    scenario.write_pcap(BufWriter::new(File::create(&capture).unwrap()), PcapFormat::default()).unwrap();
    let offline = tapline(&["query", "--pcap", capture.to_str().unwrap(), "--format", "csv", sql]);
    let live = format!("{sql}, tumble('{window}')");
    let run = tapline_during(&["query", "--interface", FAR, "--format", "csv", &live], || {
        wait_for_program();
        send(&scenario);
    });
    let (expected, found) = (totals(offline.success(), keys, columns), totals(run.success(), keys, columns));
    assert!(!expected.is_empty());
    assert!(expected == found, "{live}: {} groups, {} live; {}", expected.len(), found.len(), run.stderr);
    assert!(run.stderr.contains("dropped 0"), "{}", run.stderr);
    let links = Command::new("ip").args(["-d", "link", "show", FAR]).output().unwrap();
    assert!(!String::from_utf8_lossy(&links.stdout).contains("xdp"), "the interface is as it was");
}

#[test]
fn flows_by_five_tuple_and_flags() {
    let sql = "SELECT src_ip, dst_ip, src_port, dst_port, protocol, tcp_flags, count(*), sum(octets), \
               sum(frame_octets) FROM packets \
               GROUP BY src_ip, dst_ip, src_port, dst_port, protocol, tcp_flags";
    check(sql, "1 second", 6, 3);
}

#[test]
fn what_frames_lack_is_null() {
    let sql = "SELECT ip_version, vlan, icmp_type, icmp_code, count(*), count(src_ip), count(dst_port), \
               sum(octets), sum(frame_octets) FROM packets GROUP BY ip_version, vlan, icmp_type, icmp_code";
    check(sql, "1 second", 4, 5);
}

#[test]
fn conditions_expressions_and_sketches() {
    let sql = "SELECT network(src_ip, 16, 48), service(protocol, dst_port), count(*) FILTER (WHERE dst_port < 1024), \
               sum(octets), approx_distinct(dst_ip), max(dst_port) FROM packets \
               WHERE protocol IN (6, 17) GROUP BY network(src_ip, 16, 48), service(protocol, dst_port)";
    check(sql, "24 hours", 2, 4);
}
