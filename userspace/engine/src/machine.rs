//! What threads run: machines that do a bit at a time, and never wait within it.
//!
//! A machine that waited for room in a ring, or for somebody's answer, could only be tested by threads and naps. So it
//! says how its turn went instead, and whoever runs it waits: a thread, or a test that runs all machines of an engine
//! in an order of its own.

use crate::ring::Unparker;
use core_affinity::CoreId;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// How a turn went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Something was done; there may be more to do.
    Worked,
    /// There was nothing to do.
    Idle,
    /// What is to be done has no room to go to.
    Blocked,
    /// There will be nothing to do any more.
    Ended,
}

/// Does its work bit by bit.
pub(crate) trait Machine: Send {
    /// Does what there is to do now, without waiting.
    fn step(&mut self) -> Turn;

    /// Whether something came since it was idle.
    fn has_work(&self) -> bool;

    /// Where it is woken, and after how long it is to look anyway.
    fn waits_at(&self) -> Option<(&Unparker, Duration)>;
}

/// Does what may take its time, apart from the machines.
pub(crate) trait Executor: Send + Sync {
    /// Runs the job, some time.
    fn run(&self, job: Box<dyn FnOnce() + Send>);
}

/// Runs machines.
pub(crate) trait Runner: Send {
    /// Runs a machine until it has ended, on this core.
    ///
    /// # Errors
    /// When the system has no room for a thread.
    fn start(&mut self, name: String, core: Option<CoreId>, machine: Box<dyn Machine>) -> io::Result<()>;

    /// Where jobs are run.
    fn executor(&self) -> Arc<dyn Executor>;

    /// Waits until all machines have ended; says whether they did so by themselves.
    fn join(&mut self) -> bool;
}
