//! A thread that does what is due, again and again, until its value goes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Between two turns.
const TURN_EVERY: Duration = Duration::from_secs(20);

/// The thread; it ends with this value.
pub(crate) struct Turns {
    ends: Arc<Ends>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Ends {
    are_here: AtomicBool,
    turn: Mutex<()>,
    news: Condvar,
}

impl Turns {
    /// Starts a thread of this name; whoever takes a turn looks now and then whether the end has come.
    pub(crate) fn start(
        name: &str,
        mut turn: impl FnMut(&AtomicBool) + Send + 'static,
    ) -> Result<Self, String> {
        let ends = Arc::new(Ends::default());
        let seen = Arc::clone(&ends);
        let work = move || {
            while !seen.are_here.load(Ordering::Acquire) {
                turn(&seen.are_here);
                seen.wait();
            }
        };
        let thread = thread::Builder::new().name(name.to_owned()).spawn(work);
        let thread = thread.map_err(|error| format!("a thread cannot be started: {error}"))?;
        Ok(Self { ends, thread: Some(thread) })
    }
}

impl Drop for Turns {
    fn drop(&mut self) {
        self.ends.are_here.store(true, Ordering::Release);
        drop(self.ends.turn.lock().unwrap_or_else(PoisonError::into_inner));
        self.ends.news.notify_all();
        // A thread that died has told so.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl Ends {
    fn wait(&self) {
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let lasts = |(): &mut ()| !self.are_here.load(Ordering::Acquire);
        drop(self.news.wait_timeout_while(turn, TURN_EVERY, lasts));
    }
}
