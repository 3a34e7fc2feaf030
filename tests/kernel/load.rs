//! The sender's own pair of interfaces: what it says that it sent is what the product finds, however it is read.

use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use harness::run::tapline_load;
use harness::tapline;
use tapline_interface::kernel::KernelOptions;
use tapline_interface::link;

use crate::namespace;
use crate::queries::totals;
use crate::rights::load;

const FAR: &str = "tapline1";
const COLUMNS: (usize, usize) = (1, 2);

/// Sends over a pair while a query watches it, until the pair is gone.
fn assert_found(sender: &[&str], columns: &str, ways: &[&str]) {
    let arguments = [&["packets", "--veth", "--flows", "64", "--seconds", "1"], sender].concat();
    let sending = tapline_load().args(arguments).stdout(Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    while link::find(FAR).unwrap().is_none_or(|far| !far.is_up()) {
        assert!(start.elapsed() < Duration::from_secs(20), "there is no pair");
        sleep(Duration::from_millis(10));
    }
    let sql = format!("SELECT {columns} FROM packets GROUP BY src_ip, tumble('24 hours')");
    let arguments = ["query", "--interface", FAR, "--format", "csv", sql.as_str()];
    let run = tapline(&[&arguments[..], ways].concat());
    let truth = sending.wait_with_output().unwrap();
    let (keys, sums) = COLUMNS;
    let sent = totals(&String::from_utf8(truth.stdout).unwrap(), keys, sums);
    assert_eq!(sent.len(), 64);
    assert_eq!(totals(run.text(), keys, sums), sent, "{sender:?} {ways:?}: {}", run.stderr);
    assert_eq!(run.code, Some(1), "what it read is gone: {}", run.stderr);
    assert!(run.stderr.contains("interface `tapline1` is gone"), "{}", run.stderr);
    assert_eq!(link::find(FAR).unwrap().map(|far| far.name), None);
}

#[test]
fn what_is_sent_over_its_pair_is_found() {
    if !namespace::unshare() || load(&KernelOptions::default()).is_none() {
        return;
    }
    let by_table = "src_ip, count(*), sum(frame_octets)";
    let by_packets = "src_ip, count(ttl), sum(frame_octets)";
    let slow = ["--rate", "20000"];
    assert_found(&slow, by_table, &["--mirror"]);
    assert_found(&slow, by_packets, &["--mirror"]);
    assert_found(&slow, by_packets, &[]);
    assert_found(&["--rate", "max"], by_table, &["--mirror"]);
    if std::thread::available_parallelism().is_ok_and(|cpus| cpus.get() > 1) {
        assert_found(&["--cpu", "0,1", "--rate", "30001"], by_table, &["--mirror"]);
    }
}
