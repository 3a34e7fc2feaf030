//! Machines on threads, and jobs on whichever thread is free.

use crate::machine::{Executor, Machine, Runner, Turn};
use crate::options::Finishing;
use crate::ring::Patience;
use core_affinity::CoreId;
use std::io;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use tokio::runtime::{self, Runtime};

/// A thread for each machine.
pub(crate) struct Threads {
    running: Vec<JoinHandle<()>>,
    jobs: Arc<dyn Executor>,
}

/// Threads for jobs: another one where all are busy.
struct Jobs(Option<Runtime>);

impl Executor for Jobs {
    fn run(&self, job: Box<dyn FnOnce() + Send>) {
        if let Some(runtime) = &self.0 {
            runtime.spawn_blocking(job);
        }
    }
}

impl Drop for Jobs {
    /// A job may be the last that knows of them: its thread must not wait for its own end.
    fn drop(&mut self) {
        self.0.take().into_iter().for_each(Runtime::shutdown_background);
    }
}

/// Jobs at once, on the thread of whoever has them.
struct AtOnce;

impl Executor for AtOnce {
    fn run(&self, job: Box<dyn FnOnce() + Send>) {
        job();
    }
}

impl Threads {
    /// # Errors
    /// When the system has no room for a runtime.
    pub(crate) fn new(finishing: Finishing) -> io::Result<Self> {
        let jobs: Arc<dyn Executor> = match finishing {
            Finishing::InOrder => Arc::new(AtOnce),
            Finishing::Apart => {
                Arc::new(Jobs(Some(runtime::Builder::new_current_thread().thread_name("results").build()?)))
            }
        };
        Ok(Self { running: vec![], jobs })
    }
}

impl Runner for Threads {
    fn start(&mut self, name: String, core: Option<CoreId>, machine: Box<dyn Machine>) -> io::Result<()> {
        let body = move || {
            core.map(core_affinity::set_for_current);
            drive(machine);
        };
        self.running.retain(|thread| !thread.is_finished());
        self.running.push(Builder::new().name(name).spawn(body)?);
        Ok(())
    }

    fn executor(&self) -> Arc<dyn Executor> {
        Arc::clone(&self.jobs)
    }

    fn join(&mut self) -> bool {
        let ended: Vec<_> = self.running.drain(..).map(JoinHandle::join).collect();
        ended.iter().all(Result::is_ok)
    }
}

/// Runs a machine, and waits where it does not.
fn drive(mut machine: Box<dyn Machine>) {
    let mut patience = Patience::default();
    loop {
        match machine.step() {
            Turn::Worked => patience = Patience::default(),
            Turn::Blocked => patience.pause(),
            Turn::Ended => return,
            Turn::Idle => {
                if let Some((parker, at_most)) = machine.waits_at() {
                    parker.park(at_most, || machine.has_work());
                }
            }
        }
    }
}
