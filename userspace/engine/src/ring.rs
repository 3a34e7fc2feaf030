//! Waiting on wait-free rings: a moment of spinning, then sleep, until somebody unparks or, where there is no room,
//! in naps that grow longer.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering, fence};
use std::sync::{Arc, OnceLock};
use std::thread::{Thread, current, park_timeout, sleep};
use std::time::Duration;
use tapline_record::StreamSet;

const SPINS: u32 = 64;
const NAP_MIN: Duration = Duration::from_micros(20);
const NAP_MAX: Duration = Duration::from_millis(1);

/// What is asked of all threads of an engine.
#[derive(Debug, Default)]
pub(crate) struct Flags {
    stop: AtomicBool,
    input_ends: AtomicBool,
    suspends: AtomicBool,
    drains: AtomicBool,
    silent: AtomicU8,
}

impl Flags {
    /// Asks all to end as they are.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Asks all sources to end before their time; what they have read is still to be worked on.
    pub(crate) fn end_input(&self) {
        self.input_ends.store(true, Ordering::Relaxed);
    }

    pub(crate) fn input_ends(&self) -> bool {
        self.input_ends.load(Ordering::Relaxed)
    }

    /// Asks that what is held for open windows be kept, when the input has ended.
    pub(crate) fn suspend(&self) {
        self.suspends.store(true, Ordering::Release);
    }

    pub(crate) fn suspends(&self) -> bool {
        self.suspends.load(Ordering::Acquire)
    }

    /// Says that no more sources will come: when those there are have ended, so does everything.
    pub(crate) fn drain(&self) {
        self.drains.store(true, Ordering::Release);
    }

    pub(crate) fn drains(&self) -> bool {
        self.drains.load(Ordering::Acquire)
    }

    /// Says of which streams nothing is to come.
    pub(crate) fn silence(&self, streams: StreamSet) {
        self.silent.store(streams.bits(), Ordering::Release);
    }

    pub(crate) fn silent(&self) -> StreamSet {
        StreamSet::from_bits(self.silent.load(Ordering::Acquire))
    }
}

/// Pauses of a thread that waits for room in a ring.
#[derive(Debug)]
pub(crate) struct Patience {
    looks: u32,
    nap: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { looks: 0, nap: NAP_MIN }
    }
}

impl Patience {
    /// Waits a moment, longer each time.
    pub(crate) fn pause(&mut self) {
        self.looks += 1;
        if self.looks <= SPINS {
            return spin_loop();
        }
        sleep(self.nap);
        self.nap = (self.nap * 2).min(NAP_MAX);
    }
}

/// Where a thread waits for something in its rings.
///
/// One thread waits, any number of others unpark it after they pushed something.
#[derive(Debug, Default)]
pub(crate) struct Parker {
    is_parked: AtomicBool,
    sleeper: OnceLock<Thread>,
}

impl Parker {
    /// Waits until somebody unparks it or the time is over, unless something `is_there` already.
    pub(crate) fn park(&self, at_most: Duration, is_there: impl Fn() -> bool) {
        for _ in 0..SPINS {
            if is_there() {
                return;
            }
            spin_loop();
        }
        self.sleeper.get_or_init(current);
        self.is_parked.store(true, Ordering::Relaxed);
        // Either whoever pushes sees that somebody is parked, or the push is seen here.
        fence(Ordering::SeqCst);
        if !is_there() {
            park_timeout(at_most);
        }
        self.is_parked.store(false, Ordering::Relaxed);
    }

    /// Wakes the thread that waits, if it does.
    pub(crate) fn unpark(&self) {
        fence(Ordering::SeqCst);
        if self.is_parked.load(Ordering::Relaxed)
            && let Some(sleeper) = self.sleeper.get()
        {
            sleeper.unpark();
        }
    }
}

/// Wakes whoever is parked; held by whoever pushes. Letting it go wakes too: to be declared behind the end of the
/// ring, so that this end is gone then.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unparker(pub(crate) Arc<Parker>);

impl Unparker {
    /// Wakes the thread that waits, if it does.
    pub(crate) fn unpark(&self) {
        self.0.unpark();
    }

    /// Waits there, as [`Parker::park`].
    pub(crate) fn park(&self, at_most: Duration, is_there: impl Fn() -> bool) {
        self.0.park(at_most, is_there);
    }
}

impl Drop for Unparker {
    fn drop(&mut self) {
        self.0.unpark();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rtrb::RingBuffer;
    use std::time::Instant;

    #[test]
    fn a_parked_thread_is_woken_by_what_is_pushed() {
        const ITEMS: u32 = 2_000;
        let (mut ring, mut items) = RingBuffer::new(4);
        let parker = &Parker::default();
        let started = Instant::now();
        let mut push = |item| {
            let mut patience = Patience::default();
            while ring.push(item).is_err() {
                patience.pause();
            }
            parker.unpark();
            sleep(Duration::from_micros(if item % 100 == 0 { 200 } else { 0 }));
        };
        std::thread::scope(|scope| {
            scope.spawn(move || (0..ITEMS).for_each(&mut push));
            for expected in 0..ITEMS {
                while items.is_empty() {
                    parker.park(Duration::from_secs(10), || !items.is_empty());
                }
                assert_eq!(items.pop(), Ok(expected));
            }
        });
        assert!(started.elapsed() < Duration::from_secs(10), "nobody was left asleep");
    }
}
