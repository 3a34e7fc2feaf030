//! Runs machines one step after the other, in an order from a seed.

use crate::machine::{Executor, Machine, Runner, Turn};
use crate::options::EngineOptions;
use crate::subscription::{WhenFull, subscription};
use crate::{Engine, Subscription};
use core_affinity::CoreId;
use std::io;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use tapline_record::EventTime;
use tapline_sources::Clock;

/// SplitMix64.
#[derive(Debug)]
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) as usize % limit
    }
}

/// A clock that does not go: nothing is done because time is over.
#[derive(Debug)]
struct StandingClock;

impl Clock for StandingClock {
    fn now(&self) -> EventTime {
        EventTime(0)
    }
}

/// A clock that goes when it is told to.
#[derive(Debug, Default)]
pub(super) struct SetClock(AtomicI64);

impl SetClock {
    pub(super) fn advance(&self, nanoseconds: i64) {
        self.0.fetch_add(nanoseconds, Ordering::Relaxed);
    }
}

impl Clock for SetClock {
    fn now(&self) -> EventTime {
        EventTime(self.0.load(Ordering::Relaxed))
    }
}

/// What is run apart from machines.
type Job = Box<dyn FnOnce() + Send>;

/// The machines of one engine.
#[derive(Clone, Default)]
pub(super) struct Stage {
    machines: Arc<Mutex<Vec<Box<dyn Machine>>>>,
    /// Jobs that wait for their turn, where they are not run at once, and in how many steps one is.
    jobs: Option<(Arc<Later>, usize)>,
}

impl Stage {
    /// One whose jobs are run seldom: one in so many steps.
    pub(super) fn with_slow_results(one_in: usize) -> Self {
        Self { jobs: Some((Arc::default(), one_in)), ..Self::default() }
    }

    /// An engine whose machines stand here, and whose clock does not go.
    pub(super) fn engine(&self, workers: usize, ring_capacity_batches: usize) -> (Engine, Subscription) {
        let options = EngineOptions { workers, ring_capacity_batches, ..EngineOptions::default() };
        self.engine_by(Arc::new(StandingClock), options)
    }

    /// The same by this clock, with these limits.
    pub(super) fn engine_by(&self, clock: Arc<dyn Clock>, options: EngineOptions) -> (Engine, Subscription) {
        let (observer, notices) = subscription(16, WhenFull::Lose);
        let engine = Engine::start_on(Box::new(self.clone()), options, clock, observer);
        (engine.unwrap(), notices)
    }

    /// Lets some machine take a step; says whether any is left.
    pub(super) fn step(&self, random: &mut Random) -> bool {
        let is_over = self.machines.lock().unwrap().is_empty();
        if let Some((jobs, one_in)) = &self.jobs
            && (is_over || random.below(*one_in) == 0)
        {
            jobs.run_all();
        }
        if is_over {
            return false;
        }
        let mut machines = self.machines.lock().unwrap();
        let number = random.below(machines.len());
        if machines[number].step() == Turn::Ended {
            machines.swap_remove(number);
        }
        true
    }
}

impl Runner for Stage {
    fn start(&mut self, _: String, _: Option<CoreId>, machine: Box<dyn Machine>) -> io::Result<()> {
        self.machines.lock().unwrap().push(machine);
        Ok(())
    }

    fn executor(&self) -> Arc<dyn Executor> {
        match &self.jobs {
            None => Arc::new(AtOnce),
            Some((jobs, _)) => Arc::clone(jobs) as Arc<dyn Executor>,
        }
    }

    fn join(&mut self) -> bool {
        let mut random = Random(0);
        while self.step(&mut random) {}
        true
    }
}

/// Runs jobs where they come from.
struct AtOnce;

impl Executor for AtOnce {
    fn run(&self, job: Box<dyn FnOnce() + Send>) {
        job();
    }
}

/// Keeps jobs until somebody runs them.
#[derive(Default)]
struct Later(Mutex<Vec<Job>>);

impl Later {
    fn run_all(&self) {
        let jobs = std::mem::take(&mut *self.0.lock().unwrap());
        jobs.into_iter().for_each(|job| job());
    }
}

impl Executor for Later {
    fn run(&self, job: Job) {
        self.0.lock().unwrap().push(job);
    }
}
