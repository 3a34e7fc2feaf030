//! Sends the exports of a fleet.
//!
//! Takes a plan, a rate and a limit, sends over UDP or writes a capture file, and gives the truth about what
//! was sent. Exporters take turns; each has its datagrams sent in one go, as many as are due.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{fs, thread};

use anyhow::{Context, Error, Result};
use tapline_trafficgen::exports::{ExportPlan, Fleet, Outbox, Truth};

use super::capture::Capture;
use super::pace::{Limit, Pace, Rate, Step};
use super::sockets::Sockets;

/// What to send, how fast and how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// What the exporters do.
    pub(crate) plan: ExportPlan,
    /// How many there are.
    pub(crate) exporters: u32,
    /// Records of all exporters in a second.
    pub(crate) rate: Rate,
    /// When to end.
    pub(crate) limit: Limit,
    /// One datagram a system call.
    pub(crate) plain: bool,
}

/// What was sent.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) truth: Truth,
    /// Between the first datagram and the last; in a capture file by its own time.
    pub(crate) wall: Duration,
    /// What sending took of the processor, in user and kernel; zero when that is not known.
    pub(crate) cpu: Duration,
    /// Whether every datagram took a system call.
    pub(crate) is_plain: bool,
}

/// A fleet whose exporters take turns.
struct Sender {
    fleet: Fleet,
    outbox: Outbox,
    exporter: usize,
    /// Records generated so far.
    records: u64,
}

/// Sends over UDP.
pub(crate) fn send(target: SocketAddr, options: &Options) -> Result<Sent> {
    let mut sender = Sender::new(options)?;
    let mut sockets = Sockets::open(target, options.exporters, options.plain)?;
    let mut pace = Pace::new(options.rate, options.limit);
    let (cpu_before, start) = (cpu(), Instant::now());
    loop {
        match pace.step(start.elapsed(), sender.records) {
            Step::End => break,
            Step::Wait(time) => thread::sleep(time),
            Step::Send(due) => {
                sender.burst(due, now_ns(), |exporter, outbox| sockets.send(exporter, outbox))?;
            }
        }
    }
    sender.finish(now_ns(), |exporter, outbox| sockets.send(exporter, outbox))?;
    let (wall, cpu) = (start.elapsed(), cpu().saturating_sub(cpu_before));
    Ok(Sent { truth: sender.fleet.truth(), wall, cpu, is_plain: sockets.is_plain() })
}

/// Writes a capture file, by a time of its own that begins at a fixed instant.
pub(crate) fn write(path: &Path, options: &Options) -> Result<Sent> {
    const START_NS: u64 = 1_772_442_000_000_000_000;
    const RATE_WITHOUT_LIMIT: u64 = 1_000_000;
    let rate = match options.rate {
        Rate::Max => RATE_WITHOUT_LIMIT,
        Rate::PerSecond(rate) => rate,
    };
    let time =
        |records| Duration::from_nanos((u128::from(records) * 1_000_000_000 / u128::from(rate)) as u64);
    let mut sender = Sender::new(options)?;
    let mut capture = Capture::create(path, options.plan.protocol.port())?;
    while time(sender.records) < options.limit.duration && sender.records < options.limit.records {
        let time_ns = START_NS + time(sender.records).as_nanos() as u64;
        sender.burst(1, time_ns, |exporter, outbox| Ok(capture.write(exporter, time_ns, outbox)?))?;
    }
    let wall = time(sender.records);
    let end_ns = START_NS + wall.as_nanos() as u64;
    sender.finish(end_ns, |exporter, outbox| Ok(capture.write(exporter, end_ns, outbox)?))?;
    capture.finish().with_context(|| format!("{} cannot be written", path.display()))?;
    Ok(Sent { truth: sender.fleet.truth(), wall, cpu: Duration::ZERO, is_plain: true })
}

impl Sender {
    fn new(options: &Options) -> Result<Self> {
        let fleet = Fleet::new(&options.plan, 0..options.exporters).map_err(Error::msg)?;
        Ok(Self { fleet, outbox: Outbox::default(), exporter: 0, records: 0 })
    }

    /// The exporter whose turn it is generates so many records, or as many as are sent at once; `deliver` gets
    /// its datagrams.
    fn burst(
        &mut self,
        records: u64,
        time_ns: u64,
        deliver: impl FnOnce(usize, &Outbox) -> Result<()>,
    ) -> Result<()> {
        /// As many datagrams of 1400 octets as segmentation offload takes.
        const DATAGRAMS: usize = 44;
        let end = self.records.saturating_add(records);
        self.outbox.clear();
        while self.records < end && self.outbox.len() < DATAGRAMS {
            self.records += self.fleet.emit(self.exporter, time_ns, &mut self.outbox);
        }
        deliver(self.exporter, &self.outbox)?;
        self.exporter = (self.exporter + 1) % self.fleet.exporters();
        Ok(())
    }

    /// Every exporter sends what it still holds back.
    fn finish(&mut self, time_ns: u64, mut deliver: impl FnMut(usize, &Outbox) -> Result<()>) -> Result<()> {
        for exporter in 0..self.fleet.exporters() {
            self.outbox.clear();
            self.fleet.finish(exporter, time_ns, &mut self.outbox);
            deliver(exporter, &self.outbox)?;
        }
        Ok(())
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
