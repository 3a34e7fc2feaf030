//! Threads of their own, each with a runtime for what it waits for.

use std::io;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;
use tokio::runtime::{self, Runtime};

/// How long what still runs in the background of a thread may take when it ends.
const END_WITHIN: Duration = Duration::from_millis(500);
/// Threads for names that are looked up.
const WAITING_MAX: usize = 2;

/// A thread that is waited for when it is let go of.
#[derive(Debug)]
pub(crate) struct Running(Option<JoinHandle<()>>);

impl Running {
    /// Does something on a thread of its own.
    ///
    /// # Errors
    /// A sentence, when there is none.
    pub(crate) fn start(
        name: &str,
        runtime: Runtime,
        what: impl Future<Output = ()> + Send + 'static,
    ) -> Result<Self, String> {
        let work = move || {
            runtime.block_on(what);
            runtime.shutdown_timeout(END_WITHIN);
        };
        Self::spawn(name, work)
    }

    /// The same, for what waits for nothing but its own queue.
    ///
    /// # Errors
    /// A sentence, when there is none.
    pub(crate) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<Self, String> {
        let spawned = Builder::new().name(name.to_owned()).spawn(work);
        spawned.map(|thread| Self(Some(thread))).map_err(|error| said(&error))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.take().map(JoinHandle::join);
    }
}

/// What a thread waits with.
///
/// # Errors
/// A sentence, when the system has no more of it.
pub(crate) fn runtime() -> Result<Runtime, String> {
    let mut builder = runtime::Builder::new_current_thread();
    builder.enable_all().max_blocking_threads(WAITING_MAX).build().map_err(|error| said(&error))
}

fn said(error: &io::Error) -> String {
    format!("a thread cannot be started: {error}")
}
