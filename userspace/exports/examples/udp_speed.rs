//! How many datagrams a UDP listener reads in a second of its thread's CPU time, over loopback.
//!
//! Takes nothing, prints a line for each way to send and to read: `recv` one by one as the baseline, the
//! listener without and with merged segments. Datagrams that were dropped are counted beside them.

#![expect(clippy::unwrap_used, reason = "a measurement that cannot be made may end at once")]

use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tapline_exports::{UdpListener, UdpOptions};
use tapline_record::EventTime;
use tapline_socket::option;

const DATAGRAM_OCTETS: usize = 1400;
const SENT_AT_ONCE: usize = 44;
const SECONDS: u64 = 3;
/// Name, whether segments are merged, and how long datagrams may gather.
const LISTENERS: [(&str, bool, u64); 4] = [
    ("listener that gathers nothing", false, 0),
    ("listener", false, 1000),
    ("listener, merged segments, that gathers nothing", true, 0),
    ("listener, merged segments", true, 1000),
];

fn main() {
    for segments in [1, SENT_AT_ONCE] {
        println!("{segments} datagrams a send call, {DATAGRAM_OCTETS} octets:");
        report("recv", segments, recv);
        for (name, merges_segments, gather_us) in LISTENERS {
            let options = UdpOptions {
                merges_segments,
                gather: Duration::from_micros(gather_us),
                ..UdpOptions::default()
            };
            report(name, segments, |stop, to| listener(&options, stop, to));
        }
    }
}

/// What a reader counted: datagrams and drops.
type Read = (u64, u64);

/// Runs a reader, which first tells where it listens, beside a sender.
fn report(name: &str, segments: usize, read: impl FnOnce(&AtomicBool, &dyn Fn(SocketAddr)) -> Read) {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let start = |to| {
            let stop = &stop;
            scope.spawn(move || send(to, segments, stop));
        };
        let before = cpu_time();
        let (datagrams, drops) = read(&stop, &start);
        let seconds = (cpu_time() - before).as_secs_f64();
        let rate = datagrams as f64 / seconds / 1e6;
        println!("  {name}: {rate:.2} M/s of CPU time; {datagrams} read, {drops} drops, {seconds:.2} s");
    });
}

fn send(to: SocketAddr, segments: usize, stop: &AtomicBool) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(to).unwrap();
    option::set(socket.as_fd(), libc::SOL_UDP, libc::UDP_SEGMENT, &(DATAGRAM_OCTETS as libc::c_int)).unwrap();
    let (payload, start) = (vec![1; segments * DATAGRAM_OCTETS], Instant::now());
    while start.elapsed() < Duration::from_secs(SECONDS) {
        socket.send(&payload).unwrap();
    }
    stop.store(true, Ordering::Relaxed);
}

fn recv(stop: &AtomicBool, start: &dyn Fn(SocketAddr)) -> Read {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    start(socket.local_addr().unwrap());
    let (mut buffer, mut datagrams) = ([0; 65_535], 0);
    while !stop.load(Ordering::Relaxed) {
        datagrams += u64::from(socket.recv_from(&mut buffer).is_ok());
    }
    (datagrams, 0)
}

fn listener(options: &UdpOptions, stop: &AtomicBool, start: &dyn Fn(SocketAddr)) -> Read {
    let mut listener = UdpListener::bind("127.0.0.1:0".parse().unwrap(), options).unwrap();
    start(listener.local_address().unwrap());
    while !stop.load(Ordering::Relaxed) {
        listener.read(|| EventTime(0), &mut |datagram| assert!(!datagram.payload.is_empty())).unwrap();
    }
    (listener.counters().datagrams, listener.drops().unwrap())
}

/// CPU time of this thread.
fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one `timespec`, which is alive during the call.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(result, 0);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
