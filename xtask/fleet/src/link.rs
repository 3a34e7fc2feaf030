//! A link between a sensor and its aggregator that can be made bad, without any rights: a relay of TCP.
//!
//! Takes where it leads, gives an address, and counts octets. It may be slow, stop, or be cut. Nothing is lost on it, since
//! it is of TCP: what would have been takes as much longer as sending it again does.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tapline_trafficgen::random::Random;

/// Octets that are taken at once, and how many such pieces are under way.
const PIECE_OCTETS: usize = 16 << 10;
const PIECES: usize = 256;
/// Between two looks of whoever waits.
const LOOK: Duration = Duration::from_millis(5);

/// What is wrong with a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fault {
    /// So long takes each way.
    pub delay: Duration,
    /// So many of a hundred pieces are lost, and come again.
    pub lost_percent: u64,
    /// Nothing goes through, and nobody is told.
    pub holds: bool,
    /// There is no connection, nor can one be made.
    pub is_cut: bool,
}

/// A link to somebody; it is cut with this value.
pub struct Link {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    to: SocketAddr,
    fault: Mutex<Fault>,
    /// Both ends of each connection, as long as there is one.
    streams: Mutex<Vec<Weak<TcpStream>>>,
    octets: AtomicU64,
    ends: AtomicBool,
}

/// A piece, and when it came.
type Piece = (Instant, Vec<u8>);

impl Link {
    /// One that leads there, and is in order.
    ///
    /// # Errors
    /// When there is no port or thread.
    pub fn to(to: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port is free")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            to,
            fault: Mutex::default(),
            streams: Mutex::default(),
            octets: AtomicU64::new(0),
            ends: AtomicBool::new(false),
        });
        let own = Arc::clone(&shared);
        let thread = thread::Builder::new().name("link".to_owned()).spawn(move || own.accept(&listener));
        Ok(Self { address, shared, thread: Some(thread.context("a thread cannot be started")?) })
    }

    /// Where it begins.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Octets that went through it, both ways.
    pub fn octets(&self) -> u64 {
        self.shared.octets.load(Ordering::Relaxed)
    }

    /// Makes it as bad as that from now on.
    pub fn set(&self, fault: Fault) {
        *lock(&self.shared.fault) = fault;
        if fault.is_cut {
            self.shared.cut();
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::Relaxed);
        self.shared.cut();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn fault(&self) -> Fault {
        *lock(&self.fault)
    }

    fn ends(&self) -> bool {
        self.ends.load(Ordering::Relaxed)
    }

    fn cut(&self) {
        for stream in lock(&self.streams).drain(..).filter_map(|stream| stream.upgrade()) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn accept(self: Arc<Self>, listener: &TcpListener) {
        while !self.ends() {
            match listener.accept() {
                // Whoever is not let through sees his connection end, and tries again.
                Ok((near, _)) => drop(self.connect(near)),
                Err(_) => sleep(LOOK),
            }
        }
    }

    fn connect(self: &Arc<Self>, near: TcpStream) -> Result<()> {
        if self.fault().is_cut {
            return Ok(());
        }
        near.set_nonblocking(false)?;
        let [near, far] = [near, TcpStream::connect(self.to)?].map(Arc::new);
        near.set_nodelay(true)?;
        far.set_nodelay(true)?;
        let mut streams = lock(&self.streams);
        streams.retain(|stream| stream.strong_count() > 0);
        streams.extend([&near, &far].map(Arc::downgrade));
        drop(streams);
        self.relay(&near, &far);
        self.relay(&far, &near);
        Ok(())
    }

    /// Carries from one stream to the other one until either ends.
    fn relay(self: &Arc<Self>, from: &Arc<TcpStream>, to: &Arc<TcpStream>) {
        let (give, pieces) = sync_channel(PIECES);
        let (own, from, to) = (Arc::clone(self), Arc::clone(from), Arc::clone(to));
        thread::spawn(move || read(&from, &give));
        thread::spawn(move || own.write(&to, &pieces));
    }

    fn write(&self, mut to: &TcpStream, pieces: &Receiver<Piece>) {
        let mut random = Random::new(self.octets.load(Ordering::Relaxed), "link");
        for (came, piece) in pieces {
            self.wait(came, &mut random);
            self.octets.fetch_add(piece.len() as u64, Ordering::Relaxed);
            if to.write_all(&piece).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    }

    /// Waits until a piece that came then has arrived.
    fn wait(&self, came: Instant, random: &mut Random) {
        let Fault { delay, lost_percent, .. } = self.fault();
        // As long as TCP waits before it sends again: 200 ms at least, and the way there and back.
        let again = Duration::from_millis(200).max(delay * 2);
        let times = (0..3).take_while(|_| random.percent(lost_percent)).count() as u32;
        sleep((delay + again * times).saturating_sub(came.elapsed()));
        while self.fault().holds && !self.ends() {
            sleep(LOOK);
        }
    }
}

fn read(mut from: &TcpStream, give: &SyncSender<Piece>) {
    let mut octets = vec![0; PIECE_OCTETS];
    while let Ok(length) = from.read(&mut octets) {
        let piece = octets[..length].to_vec();
        if length == 0 || give.send((Instant::now(), piece)).is_err() {
            break;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Somebody who says all that he hears.
    fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                thread::spawn(move || {
                    let mut own = stream.try_clone().unwrap();
                    let _ = std::io::copy(&mut own, &mut stream);
                });
            }
        });
        address
    }

    /// How long an answer takes; `None` where there is none.
    fn ask(link: &Link) -> Option<Duration> {
        let begun = Instant::now();
        let mut stream = TcpStream::connect(link.address()).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
        stream.write_all(b"what").ok()?;
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).ok()?;
        Some(begun.elapsed())
    }

    #[test]
    fn a_link_carries_is_slow_and_is_cut() {
        let link = Link::to(echo()).unwrap();
        assert!(ask(&link).is_some());
        assert_eq!(link.octets(), 8);
        let delay = Duration::from_millis(100);
        link.set(Fault { delay, ..Fault::default() });
        assert!(ask(&link).is_some_and(|time| time >= 2 * delay));
        link.set(Fault { is_cut: true, ..Fault::default() });
        assert_eq!(ask(&link), None);
        link.set(Fault::default());
        assert!(ask(&link).is_some());
    }
}
