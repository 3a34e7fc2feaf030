//! Routers that send NetFlow v5 without a pause, and know what they sent, window by window.
//!
//! The head of each datagram has its time, and numbers its flows: it is known of each record which window it is of, and
//! whoever misses one can tell.

use std::collections::VecDeque;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Error, Result};
use tapline_trafficgen::exports::{ExportPlan, Fleet, Outbox, Protocol};

use crate::given::{Amount, Windows};

/// Between two rounds of all routers.
const PACE: Duration = Duration::from_millis(2);
/// What could not be sent for so long is not sent later.
const BEHIND_MAX: Duration = Duration::from_millis(200);
/// Of so long it is known when what was sent.
const REMEMBERED: Duration = Duration::from_secs(20);
/// Of a datagram, by its specification: where its records begin, how long one is, and where its octets are.
const HEAD_OCTETS: usize = 24;
const RECORD_OCTETS: usize = 48;
const OCTETS_AT: usize = 20;
const SEED: u64 = 7;

/// A router that sends to one sensor, and to whoever is compared with it.
pub struct Exporter {
    fleet: Fleet,
    socket: UdpSocket,
    targets: Vec<SocketAddr>,
    outbox: Outbox,
    window_ns: i64,
    truth: Truth,
    recent: VecDeque<(Instant, i64, Amount)>,
    presence: Presence,
}

/// Whether the sensor of a router is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Presence {
    /// It receives what is sent.
    #[default]
    There,
    /// It is about to be killed, or to begin.
    Unsure,
    /// Nobody receives.
    Gone,
}

/// What a router sent.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    /// All of it, by windows.
    pub sent: Windows,
    /// What was sent while its sensor was there.
    pub reached: Windows,
    /// What was sent while nobody knew.
    pub perhaps: Windows,
}

/// Routers that send, each as much as the others, until they are told to end.
pub struct Traffic {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Result<()>>>,
}

struct Shared {
    exporters: Mutex<Vec<Exporter>>,
    ends: AtomicBool,
}

impl Exporter {
    /// The router of this number, which is like no other one.
    ///
    /// # Errors
    /// When there is no socket.
    pub fn new(number: u32, targets: &[SocketAddr], window: Duration) -> Result<Self> {
        let plan = ExportPlan::new(Protocol::NetflowV5, SEED);
        Ok(Self {
            fleet: Fleet::new(&plan, number..number + 1).map_err(Error::msg)?,
            socket: UdpSocket::bind("0.0.0.0:0").context("there is no socket to send from")?,
            targets: targets.to_vec(),
            outbox: Outbox::default(),
            window_ns: i64::try_from(window.as_nanos())?,
            truth: Truth::default(),
            recent: VecDeque::new(),
            presence: Presence::There,
        })
    }

    /// Sends one datagram.
    fn send(&mut self) -> Result<()> {
        let now = now_ns();
        self.outbox.clear();
        self.fleet.emit(0, now.unsigned_abs(), &mut self.outbox);
        let mut amount = Amount::default();
        for datagram in self.outbox.datagrams() {
            amount += amount_of(datagram);
            for target in &self.targets {
                self.socket
                    .send_to(datagram, target)
                    .with_context(|| format!("nothing can be sent to {target}"))?;
            }
        }
        let window = window_of(now, self.window_ns);
        *self.truth.sent.entry(window).or_default() += amount;
        match self.presence {
            Presence::There => {
                *self.truth.reached.entry(window).or_default() += amount;
                self.recent.push_back((Instant::now(), window, amount));
            }
            Presence::Unsure => *self.truth.perhaps.entry(window).or_default() += amount,
            Presence::Gone => {}
        }
        while self.recent.front().is_some_and(|(at, ..)| at.elapsed() > REMEMBERED) {
            self.recent.pop_front();
        }
        Ok(())
    }
}

impl Traffic {
    /// Begins to send, so many records of each router in a second.
    ///
    /// # Errors
    /// When there is no thread.
    pub fn start(exporters: Vec<Exporter>, records: u64) -> Result<Self> {
        let shared = Arc::new(Shared { exporters: Mutex::new(exporters), ends: AtomicBool::new(false) });
        let sender = Arc::clone(&shared);
        let thread = thread::Builder::new().name("routers".to_owned()).spawn(move || sender.run(records));
        Ok(Self { shared, thread: Some(thread.context("a thread cannot be started")?) })
    }

    /// Says whether the sensor of a router is there from now on; the router sends on, whatever it is.
    ///
    /// # Panics
    /// When there is no such router.
    pub fn set(&self, place: usize, presence: Presence) {
        let exporter = &mut self.shared.exporters()[place];
        exporter.presence = presence;
        if presence == Presence::Gone {
            // What was sent to this one is not the next one's to lose.
            exporter.recent.clear();
        }
    }

    /// What reached the sensor of a router within so long before now, by windows.
    ///
    /// # Panics
    /// When there is no such router.
    pub fn reached_within(&self, place: usize, time: Duration) -> Windows {
        let exporters = self.shared.exporters();
        let mut windows = Windows::new();
        for (_, window, amount) in
            exporters[place].recent.iter().rev().take_while(|(at, ..)| at.elapsed() <= time)
        {
            *windows.entry(*window).or_default() += *amount;
        }
        windows
    }

    /// What each router sent so far.
    pub fn truths(&self) -> Vec<Truth> {
        self.shared.exporters().iter().map(|exporter| exporter.truth.clone()).collect()
    }

    /// Lets them end; gives what each sent.
    ///
    /// # Errors
    /// When one could not send.
    pub fn end(mut self) -> Result<Vec<Truth>> {
        self.shared.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().map_err(|_| Error::msg("the thread of the routers died"))??;
        }
        Ok(self.truths())
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn exporters(&self) -> MutexGuard<'_, Vec<Exporter>> {
        self.exporters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, records: u64) -> Result<()> {
        let of_datagram =
            self.exporters().first().map_or(1, |exporter| exporter.fleet.datagram_records().max(1));
        let datagrams = |time: Duration| (time.as_secs_f64() * records as f64 / of_datagram as f64) as u64;
        let (begun, mut sent) = (Instant::now(), 0);
        while !self.ends.load(Ordering::Relaxed) {
            let due = datagrams(begun.elapsed());
            sent = sent.max(due.saturating_sub(datagrams(BEHIND_MAX)));
            while sent < due {
                self.exporters().iter_mut().try_for_each(Exporter::send)?;
                sent += 1;
            }
            sleep(PACE);
        }
        Ok(())
    }
}

/// What a datagram of NetFlow v5 tells of.
fn amount_of(datagram: &[u8]) -> Amount {
    let records = datagram.get(HEAD_OCTETS..).unwrap_or_default().chunks_exact(RECORD_OCTETS);
    let octets =
        |record: &[u8]| record.get(OCTETS_AT..OCTETS_AT + 4)?.try_into().ok().map(u32::from_be_bytes);
    records.fold(Amount::default(), |mut sum, record| {
        sum += Amount { records: 1, octets: octets(record).unwrap_or_default().into() };
        sum
    })
}

/// The start of the window of this width that a moment is in.
pub const fn window_of(ns: i64, width_ns: i64) -> i64 {
    ns - ns.rem_euclid(width_ns)
}

/// Nanoseconds since the epoch.
pub fn now_ns() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(2);

    #[test]
    fn what_is_sent_is_known_by_window_and_by_whether_somebody_was_there() {
        let sensor = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut exporter = Exporter::new(0, &[sensor.local_addr().unwrap()], WINDOW).unwrap();
        (0..3).for_each(|_| exporter.send().unwrap());
        for presence in [Presence::Unsure, Presence::Gone] {
            exporter.presence = presence;
            exporter.send().unwrap();
        }
        let sum = |windows: &Windows| windows.values().map(|amount| amount.records).sum::<u64>();
        let Truth { sent, reached, perhaps } = &exporter.truth;
        assert_eq!([sent, reached, perhaps].map(sum), [150, 90, 30]);
        let octets: u64 = exporter.truth.sent.values().map(|amount| amount.octets).sum();
        assert_eq!(octets, exporter.fleet.truth().sent.octets);
        let mut datagram = [0; 2048];
        let length = sensor.recv(&mut datagram).unwrap();
        assert_eq!(amount_of(&datagram[..length]).records, 30);
    }

    #[test]
    fn routers_keep_their_rate() {
        let sensor = UdpSocket::bind("127.0.0.1:0").unwrap();
        let exporters = vec![Exporter::new(0, &[sensor.local_addr().unwrap()], WINDOW).unwrap()];
        let traffic = Traffic::start(exporters, 3000).unwrap();
        sleep(Duration::from_millis(500));
        let reached = traffic.reached_within(0, Duration::from_secs(1));
        let records: u64 = reached.values().map(|amount| amount.records).sum();
        let truths = traffic.end().unwrap();
        assert!((300..=1800).contains(&records), "{records}");
        assert!(truths[0].sent.values().map(|amount| amount.records).sum::<u64>() >= records);
    }
}
