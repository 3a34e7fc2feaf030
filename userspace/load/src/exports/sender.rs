//! Sends the exports of a fleet.
//!
//! Takes a plan, a rate and a limit, sends over UDP or writes a capture file, and gives the truth about what
//! was sent. Exporters take turns; each has its datagrams sent in one go, as many as are due.

use std::fs::File;
use std::io::BufWriter;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{fs, thread};

use anyhow::{Context, Error, Result};
use tapline_trafficgen::exports::{ExportCapture, ExportPlan, Fleet, Outbox, Truth};

use super::sockets::Sockets;
use crate::pace::{Limit, Pace, Rate, Step};

/// What to send, how fast and how long.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What the exporters do.
    pub plan: ExportPlan,
    /// How many there are.
    pub exporters: u32,
    /// Records of all exporters in a second.
    pub rate: Rate,
    /// When to end.
    pub limit: Limit,
    /// One datagram a system call.
    pub plain: bool,
}

/// What was sent.
#[derive(Debug)]
pub struct Sent {
    /// What the exporters did.
    pub truth: Truth,
    /// Between the first datagram and the last; in a capture file by its own time.
    pub wall: Duration,
    /// What sending took of the processor, in user and kernel; zero when that is not known.
    pub cpu: Duration,
    /// Whether every datagram took a system call.
    pub is_plain: bool,
}

/// A fleet whose exporters take turns, and the way to its target.
struct Sender {
    fleet: Fleet,
    sockets: Sockets,
    outbox: Outbox,
    exporter: usize,
    /// Records generated so far.
    records: u64,
}

/// Sends over UDP.
///
/// # Errors
/// When a socket or file says so.
pub fn send(target: SocketAddr, options: &Options) -> Result<Sent> {
    let mut sender = Sender::new(target, options)?;
    let time = sender.run(options)?;
    Ok(sender.sent(time))
}

/// Sends over UDP and waits until all is read. Then every exporter sends a few datagrams more, by whose numbers
/// it shows what was lost before them.
///
/// # Errors
/// When a socket or file says so.
pub(crate) fn send_in_sight(
    target: SocketAddr,
    options: &Options,
    wait: impl FnOnce() -> Result<()>,
) -> Result<Sent> {
    let mut sender = Sender::new(target, options)?;
    let time = sender.run(options)?;
    wait()?;
    sender.show_losses()?;
    Ok(sender.sent(time))
}

/// Writes a capture file, by a time of its own.
///
/// # Errors
/// When a socket or file says so.
pub fn write(path: &Path, options: &Options) -> Result<Sent> {
    const RATE_WITHOUT_LIMIT: u64 = 1_000_000;
    let rate = match options.rate {
        Rate::Max => RATE_WITHOUT_LIMIT,
        Rate::PerSecond(rate) => rate,
    };
    let capture = ExportCapture {
        plan: options.plan,
        exporters: options.exporters,
        records_per_second: rate,
        records: options.limit.records_at(rate),
    };
    let write = || capture.write_pcap(BufWriter::with_capacity(1 << 20, File::create(path)?));
    let (_, truth) = write().with_context(|| format!("{} cannot be written", path.display()))?;
    let wall = Duration::from_secs_f64(truth.generated.records as f64 / rate as f64);
    Ok(Sent { truth, wall, cpu: Duration::ZERO, is_plain: true })
}

impl Sender {
    fn new(target: SocketAddr, options: &Options) -> Result<Self> {
        let fleet = Fleet::new(&options.plan, 0..options.exporters).map_err(Error::msg)?;
        let sockets = Sockets::open(target, options.exporters, options.plain)?;
        Ok(Self { fleet, sockets, outbox: Outbox::default(), exporter: 0, records: 0 })
    }

    /// Sends all; gives the wall time and the CPU time that it took.
    fn run(&mut self, options: &Options) -> Result<(Duration, Duration)> {
        let mut pace = Pace::new(options.rate, options.limit);
        let (cpu_before, start) = (cpu(), Instant::now());
        loop {
            match pace.step(start.elapsed(), self.records) {
                Step::End => break,
                Step::Wait(time) => thread::sleep(time),
                Step::Send(due) => self.burst(due)?,
            }
        }
        self.finish()?;
        Ok((start.elapsed(), cpu().saturating_sub(cpu_before)))
    }

    /// The exporter whose turn it is generates so many records, or as many as are sent at once.
    fn burst(&mut self, records: u64) -> Result<()> {
        /// As many datagrams of 1400 octets as segmentation offload takes.
        const DATAGRAMS: usize = 44;
        let (end, time_ns) = (self.records.saturating_add(records), now_ns());
        self.outbox.clear();
        while self.records < end && self.outbox.len() < DATAGRAMS {
            self.records += self.fleet.emit(self.exporter, time_ns, &mut self.outbox);
        }
        self.sockets.send(self.exporter, &self.outbox)?;
        self.exporter = (self.exporter + 1) % self.fleet.exporters();
        Ok(())
    }

    /// Every exporter sends what it still holds back.
    fn finish(&mut self) -> Result<()> {
        for exporter in 0..self.fleet.exporters() {
            self.outbox.clear();
            self.fleet.finish(exporter, now_ns(), &mut self.outbox);
            self.sockets.send(exporter, &self.outbox)?;
        }
        Ok(())
    }

    /// Every exporter sends so many datagrams that each of its sequences goes on.
    fn show_losses(&mut self) -> Result<()> {
        /// Of sFlow, so many have samples of all sources.
        const DATAGRAMS: usize = 3;
        for exporter in 0..self.fleet.exporters() {
            self.outbox.clear();
            while self.outbox.len() < DATAGRAMS {
                self.fleet.emit(exporter, now_ns(), &mut self.outbox);
            }
            self.sockets.send(exporter, &self.outbox)?;
        }
        Ok(())
    }

    fn sent(&self, (wall, cpu): (Duration, Duration)) -> Sent {
        Sent { truth: self.fleet.truth(), wall, cpu, is_plain: self.sockets.is_plain() }
    }
}

/// Nanoseconds since 1970.
fn now_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64
}

/// What this thread took of the processor so far.
fn cpu() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = text.split(' ').next().and_then(|number| number.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::net::UdpSocket;

    use tapline_trafficgen::exports::{Faults, Protocol};

    use super::*;

    const RECORDS: u64 = 2000;

    fn options(protocol: Protocol, plain: bool) -> Options {
        let faults =
            Faults { lose_percent: 10, reorder_percent: 10, duplicate_percent: 10, ..Faults::default() };
        Options {
            plan: ExportPlan { faults, ..ExportPlan::new(protocol, 1) },
            exporters: 3,
            rate: Rate::PerSecond(20_000),
            limit: Limit { duration: Duration::from_secs(60), records: RECORDS },
            plain,
        }
    }

    /// Datagrams and octets that arrive before an empty one, and their source addresses.
    fn receive(collector: &UdpSocket) -> (u64, u64, BTreeSet<SocketAddr>) {
        let (mut datagrams, mut octets, mut sources) = (0, 0, BTreeSet::new());
        let mut buffer = [0; 2048];
        loop {
            match collector.recv_from(&mut buffer).expect("a datagram is there") {
                (0, _) => return (datagrams, octets, sources),
                (length, source) => {
                    datagrams += 1;
                    octets += length as u64;
                    sources.insert(source);
                }
            }
        }
    }

    #[test]
    fn what_is_sent_arrives_with_offload_and_without() {
        for (protocol, plain) in [(Protocol::NetflowV9, false), (Protocol::NetflowV5, true)] {
            let collector = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
            collector.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout can be set");
            let target = collector.local_addr().expect("it has an address");
            let received = thread::spawn(move || receive(&collector));
            let truth = send(target, &options(protocol, plain)).expect("it can be sent").truth;
            UdpSocket::bind("127.0.0.1:0")
                .and_then(|socket| socket.send_to(&[], target))
                .expect("it can be sent");
            let (datagrams, octets, sources) = received.join().expect("it receives");
            assert!((RECORDS..RECORDS + 200).contains(&truth.generated.records), "{:?}", truth.generated);
            assert_eq!((datagrams, octets), (truth.datagrams(), truth.payload_octets), "{protocol}");
            assert_eq!(sources.len(), 3);
        }
    }
}
