//! A host that scans its neighbours, as a router reports it by NetFlow v5, and the query that finds it.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Who scanned at least twenty hosts within a second.
pub(super) const SWEEP: &str = "SELECT src_ip, count(*) AS probes FROM (SELECT src_ip, dst_ip FROM flows \
    WHERE packets = 1 GROUP BY src_ip, dst_ip, tumble('1 second')) GROUP BY src_ip HAVING count(*) >= 20";

/// Who that is.
const HOST: [u8; 4] = [192, 0, 2, 7];
const RECORDS: u8 = 25;
/// Several times a window.
const EVERY: Duration = Duration::from_millis(200);

/// Scans until it is dropped.
pub(super) struct Scanner {
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Scanner {
    /// What of it is seen is told to this port.
    pub(super) fn start(port: u16) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let has_ended = Arc::clone(&ends);
        let scans = move || {
            while !has_ended.load(Ordering::Relaxed) {
                scan(port);
                sleep(EVERY);
            }
        };
        Self { ends, thread: Some(thread::spawn(scans)) }
    }
}

impl Drop for Scanner {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Sends one datagram: the host asked 25 others for something, with one packet each.
fn scan(port: u16) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let mut datagram = vec![];
    let put = |datagram: &mut Vec<u8>, octets: &[u8]| datagram.extend_from_slice(octets);
    // Version, records, uptime, time, its nanoseconds, sequence, engine, sampling.
    put(&mut datagram, &[0, 5, 0, RECORDS]);
    put(&mut datagram, &10_000_u32.to_be_bytes());
    put(&mut datagram, &u32::try_from(now.as_secs()).unwrap().to_be_bytes());
    put(&mut datagram, &[0; 12]);
    for other in 1..=RECORDS {
        put(&mut datagram, &HOST);
        put(&mut datagram, &[198, 51, 100, other]);
        // Next hop and interfaces; then packets, octets, first and last uptime.
        put(&mut datagram, &[0; 8]);
        [1, 60, 9_000, 9_000].iter().for_each(|number: &u32| put(&mut datagram, &number.to_be_bytes()));
        // Ports, padding, flags (SYN), protocol (TCP), service, systems, masks, padding.
        put(&mut datagram, &[0x9c, 0x40, 0, 22, 0, 2, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    }
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.send_to(&datagram, SocketAddr::from(([127, 0, 0, 1], port))).unwrap();
}
