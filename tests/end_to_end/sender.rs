//! Sends the exports of a fleet over loopback.

use std::net::{SocketAddr, UdpSocket};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tapline_trafficgen::exports::{ExportPlan, Faults, Fleet, Outbox, Truth};

/// What to send, and how fast.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) plan: ExportPlan,
    pub(crate) exporters: u32,
    /// Datagrams with records, of each exporter.
    pub(crate) datagrams: u32,
    /// Datagrams in a row between two naps; 0 for no naps.
    pub(crate) datagrams_a_nap: u32,
}

/// A plan with these faults, without those of templates where there are none.
pub(crate) fn faulty(plan: ExportPlan, faults: Faults) -> ExportPlan {
    if plan.protocol.has_templates() {
        return ExportPlan { faults, ..plan };
    }
    ExportPlan { faults: Faults { redefine_every_datagrams: 0, withhold_datagrams: 0, ..faults }, ..plan }
}

/// Waits until somebody listens on this port.
pub(crate) fn wait_for_listener(port: u16) {
    let line = format!("0100007F:{port:04X} ");
    let start = Instant::now();
    while !std::fs::read_to_string("/proc/net/udp").unwrap().contains(&line) {
        assert!(start.elapsed() < Duration::from_secs(30), "nobody listens on port {port}");
        sleep(Duration::from_millis(5));
    }
}

impl Load {
    /// Sends everything to the port; gives the truth about it. Waits a moment at its end, before and after the
    /// datagrams that show by their numbers what was lost before them.
    pub(crate) fn send(&self, port: u16) -> Truth {
        let mut fleet = Fleet::new(&self.plan, 0..self.exporters).unwrap();
        let target = SocketAddr::from(([127, 0, 0, 1], port));
        let sockets: Vec<_> = (0..self.exporters).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        let mut outbox = Outbox::default();
        let send = |socket: &UdpSocket, outbox: &mut Outbox| {
            outbox.datagrams().for_each(|datagram| {
                socket.send_to(datagram, target).unwrap();
            });
            outbox.clear();
        };
        for number in 0..self.datagrams {
            for (exporter, socket) in sockets.iter().enumerate() {
                fleet.emit(exporter, now_ns(), &mut outbox);
                send(socket, &mut outbox);
            }
            if self.datagrams_a_nap > 0 && number % self.datagrams_a_nap == 0 {
                sleep(Duration::from_millis(1));
            }
        }
        sleep(Duration::from_millis(500));
        for (exporter, socket) in sockets.iter().enumerate() {
            fleet.emit(exporter, now_ns(), &mut outbox);
            fleet.finish(exporter, now_ns(), &mut outbox);
            send(socket, &mut outbox);
        }
        sleep(Duration::from_millis(500));
        fleet.truth()
    }
}

pub(crate) fn now_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64
}
