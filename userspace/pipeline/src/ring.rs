//! Waiting on wait-free rings: a moment of spinning, then naps that grow longer.

use rtrb::{Producer, PushError};
use std::hint::spin_loop;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

const SPINS: u32 = 64;
const NAP_MIN: Duration = Duration::from_micros(20);
/// The longest nap of whoever moves batches; a ring of them holds more than comes in so long.
const BATCH_NAP_MAX: Duration = Duration::from_millis(2);
/// The longest nap of whoever waits for results.
const RESULT_NAP_MAX: Duration = Duration::from_millis(10);

/// Asks every thread of a run to end.
#[derive(Debug)]
pub(crate) struct StopFlag<'a> {
    now: AtomicBool,
    /// Whoever started the run has seen enough: the input ends here.
    input_ends: &'a AtomicBool,
}

impl<'a> StopFlag<'a> {
    pub(crate) const fn new(input_ends: &'a AtomicBool) -> Self {
        Self { now: AtomicBool::new(false), input_ends }
    }

    /// Ends the run as it is.
    pub(crate) fn stop(&self) {
        self.now.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_set(&self) -> bool {
        self.now.load(Ordering::Relaxed)
    }

    /// Whether the input ends before its time, and all that was read is still to be worked on.
    pub(crate) fn input_ends(&self) -> bool {
        self.input_ends.load(Ordering::Relaxed)
    }
}

/// Pauses between looks at a ring that is empty or full.
#[derive(Debug)]
pub(crate) struct Patience {
    looks: u32,
    nap: Duration,
    nap_max: Duration,
}

impl Patience {
    /// Of a thread that moves batches.
    pub(crate) const fn for_batches() -> Self {
        Self { looks: 0, nap: NAP_MIN, nap_max: BATCH_NAP_MAX }
    }

    /// Of a thread that waits for results.
    pub(crate) const fn for_results() -> Self {
        Self { looks: 0, nap: NAP_MIN, nap_max: RESULT_NAP_MAX }
    }

    /// There was something: the next pause is short again.
    pub(crate) const fn renew(&mut self) {
        (self.looks, self.nap) = (0, NAP_MIN);
    }

    pub(crate) fn pause(&mut self) {
        self.looks += 1;
        if self.looks <= SPINS {
            return spin_loop();
        }
        sleep(self.nap);
        self.nap = (self.nap * 2).min(self.nap_max);
    }
}

/// Puts `item` into the ring, waiting for room; gives up when the run stops or the reader is gone.
pub(crate) fn send<T>(ring: &mut Producer<T>, mut item: T, stop: &StopFlag<'_>) -> bool {
    let mut patience = Patience::for_batches();
    loop {
        match ring.push(item) {
            Ok(()) => return true,
            Err(PushError::Full(back)) => item = back,
        }
        if stop.is_set() || ring.is_abandoned() {
            return false;
        }
        patience.pause();
    }
}
