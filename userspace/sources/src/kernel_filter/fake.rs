//! A kernel that takes as long as a test wants it to.

use super::{ReaderFilter, Teller, Wanted};
use crate::clock::Clock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::sleep;
use std::time::Duration;
use tapline_interface::kernel::FilterState;

/// Notes what it is told.
#[derive(Default)]
pub(crate) struct FakeKernel {
    told: Mutex<Vec<Wanted>>,
    is_held_up: Mutex<bool>,
    goes_on: Condvar,
    breaks_down: AtomicBool,
}

impl FakeKernel {
    /// When no program runs any more that was told less, on the programs' clock.
    pub(crate) const SETTLED_NS: u64 = 1000;

    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// The part of a reader who has all frames.
    pub(crate) fn filter(self: &Arc<Self>, clock: Arc<dyn Clock>) -> ReaderFilter {
        let teller: Arc<dyn Teller> = Arc::<Self>::clone(self);
        ReaderFilter::by("made0", teller, clock)
    }

    /// Takes nothing from now on, or goes on.
    pub(crate) fn hold_up(&self, is_held_up: bool) {
        *self.is_held_up.lock().unwrap() = is_held_up;
        self.goes_on.notify_all();
    }

    /// Breaks down when it is told something the next time.
    pub(crate) fn break_down_once(&self) {
        self.breaks_down.store(true, Ordering::Relaxed);
    }

    /// What it was told, as conditions of SQL.
    pub(crate) fn told(&self) -> Vec<String> {
        self.told.lock().unwrap().iter().map(|wanted| wanted.predicate().sql()).collect()
    }

    /// Whether it was told last that all frames are wanted.
    pub(crate) fn gives_all(&self) -> bool {
        self.told.lock().unwrap().last().is_some_and(|wanted| wanted.predicate().is_always())
    }

    /// Whether it was told last that frames are read as a whole.
    pub(crate) fn gives_whole(&self) -> Option<bool> {
        self.told.lock().unwrap().last().map(|wanted| wanted.is_whole)
    }
}

impl Teller for FakeKernel {
    fn tell(&self, wanted: &Wanted) {
        let held_up = self.is_held_up.lock().unwrap();
        drop(self.goes_on.wait_while(held_up, |is_held_up| *is_held_up).unwrap());
        assert!(!self.breaks_down.swap(false, Ordering::Relaxed), "this is meant to happen");
        self.told.lock().unwrap().push(wanted.clone());
    }

    fn state(&self) -> FilterState {
        let told = self.told().pop();
        told.map_or(FilterState::Open, |sql| FilterState::Placed {
            sql,
            instructions: 1,
            lists: 0,
            widened: None,
        })
    }

    fn settle(&self) -> Option<u64> {
        Some(Self::SETTLED_NS)
    }
}

/// Waits until something is so.
pub(crate) fn until(mut is_so: impl FnMut() -> bool) {
    for _ in 0..10_000 {
        if is_so() {
            return;
        }
        sleep(Duration::from_millis(1));
    }
    panic!("it does not come about");
}
