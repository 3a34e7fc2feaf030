//! A program that runs, and is killed with its value.

use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use tapline_programs::usage::{self, Measured, Running};

/// A program that runs; Ctrl-C does not come to it, but to whoever started it.
pub struct Process(Option<Running>);

impl Process {
    /// Starts it.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(command: &mut Command) -> Result<Self> {
        Ok(Self(Some(usage::start(command.process_group(0))?)))
    }

    /// It, as long as it is there.
    ///
    /// # Panics
    /// Never: what ends it takes it.
    pub fn running(&self) -> &Running {
        self.0.as_ref().expect("invariant: it runs until its value is taken")
    }

    /// CPU time so far, of threads that have ended, too: in steps of 10 ms, as the kernel counts it for others.
    pub fn cpu(&self) -> Duration {
        Duration::from_millis(10).saturating_mul(u32::try_from(self.running().ticks()).unwrap_or(u32::MAX))
    }

    /// Ends it by the signal of this name.
    ///
    /// # Errors
    /// When it cannot be signalled or waited for.
    pub fn end(mut self, signal: &str) -> Result<Measured> {
        self.running().signal(signal)?;
        let running = self.0.take().expect("invariant: it runs until its value is taken");
        running.finish()
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub fn finish(mut self) -> Result<Measured> {
        let running = self.0.take().expect("invariant: it runs until its value is taken");
        running.finish()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let Some(running) = self.0.take() else { return };
        // Ctrl-C, pressed again, comes to who signals.
        if running.signal("KILL").or_else(|_| running.signal("KILL")).is_ok() {
            let _ = running.finish();
        }
    }
}
