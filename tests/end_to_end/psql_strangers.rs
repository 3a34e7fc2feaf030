//! Clients of PostgreSQL's protocol that send what they like, and many of them.

use super::psql::{has_psql, psql, refused, run_psql, started, target};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};
use tapline_trafficgen::random::Random;

/// Connections that a node answers at once.
const CONNECTIONS_MAX: usize = 64;

/// A startup packet, as psql sends it.
pub(super) fn startup() -> Vec<u8> {
    let body = b"\0\x03\0\0user\0tapline\0database\0tapline\0\0";
    [&u32::try_from(body.len() + 4).unwrap().to_be_bytes()[..], body].concat()
}

pub(super) fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
    stream
}

/// Octets that look random, and are the same in each run.
fn noise(seed: u64, count: usize) -> Vec<u8> {
    let mut random = Random::new(seed, "noise");
    std::iter::repeat_with(|| random.bits().to_be_bytes()[0]).take(count).collect()
}

#[test]
fn whatever_is_sent_the_node_goes_on() {
    if !has_psql() {
        return;
    }
    let (node, port, _) = started("127.0.0.1:0", &[]);
    let send = |octets: &[u8]| {
        let mut stream = connect(port);
        // It may be closed from the other side by now.
        let _ = stream.write_all(octets);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let _ = stream.read_to_end(&mut vec![]);
    };
    let before = node.resident_octets();
    for seed in 0..200 {
        send(&noise(seed, 64));
        send(&[startup(), noise(seed, 64)].concat());
        let kind = b"QPBDECHSXdcfp"[usize::try_from(seed).unwrap() % 13];
        let length = u32::try_from(seed % 40).unwrap().to_be_bytes();
        send(&[startup(), vec![kind], length.to_vec(), noise(seed, 40)].concat());
    }
    for end in 0..startup().len() {
        send(&startup()[..end]);
    }
    // A message that says it is a gigabyte, and one that is more than two megabytes.
    send(&[startup(), b"Q\x3f\xff\xff\xff".to_vec(), vec![b'x'; 1 << 20]].concat());
    send(&[startup(), b"Q\x00\x20\x00\x04".to_vec(), vec![b'x'; 2 << 20]].concat());
    assert!(node.resident_octets() < before + (256 << 20), "it grows");
    assert_eq!(psql(port, "SELECT 1"), "1");
    assert!(!node.told().contains("panicked"), "{}", node.told());
    assert_eq!(node.stop().code, Some(0));
}

#[test]
fn so_many_connections_are_answered_and_more_are_told() {
    if !has_psql() {
        return;
    }
    let (_node, port, _) = started("127.0.0.1:0", &[]);
    let mut answers = vec![];
    let streams: Vec<TcpStream> = (0..200)
        .map(|_| {
            let mut stream = connect(port);
            let _ = stream.write_all(&startup());
            stream
        })
        .collect();
    for mut stream in &streams {
        let mut first = [0];
        answers.push(stream.read(&mut first).map_or(0, |_| first[0]));
    }
    let answered = answers.iter().filter(|answer| **answer == b'R').count();
    assert_eq!(answered, CONNECTIONS_MAX, "{answers:?}");
    assert!(answers.contains(&b'E'), "{answers:?}");
    let streams = streams.into_iter().zip(answers).filter(|(_, answer)| *answer == b'R');
    let streams: Vec<(TcpStream, u8)> = streams.collect();
    let begun = Instant::now();
    // Those that were told have to be gone before one more is.
    while !refused(port, "SELECT 1").contains("connections to this node") {
        assert!(begun.elapsed() < Duration::from_secs(30), "nobody is told");
    }
    drop(streams);
    // Who says nothing is left after a while, and makes room.
    let silent: Vec<TcpStream> = (0..CONNECTIONS_MAX).map(|_| connect(port)).collect();
    let begun = Instant::now();
    while !run_psql(&target(port, ""), &["--command", "SELECT 1"]).0 {
        assert!(begun.elapsed() < Duration::from_secs(30), "there is no room");
    }
    drop(silent);
}
