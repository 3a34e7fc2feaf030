//! Programs that run beside the demonstration.
//!
//! Takes commands, gives programs that end with their values. Each is in a process group of its own: Ctrl-C comes to
//! the demonstration alone, which ends them in their order and takes away what they used.

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tapline_programs::interrupts::Interrupts;

use crate::process;

/// Who is told to end does so within this time, or is ended.
const ENDS_WITHIN: Duration = Duration::from_secs(10);
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// A program that runs; it ends with this value.
pub(super) struct Beside(Child);

impl Beside {
    /// Starts it without an input.
    pub(super) fn start(command: &mut Command) -> Result<Self> {
        let started = command.stdin(Stdio::null()).process_group(0).spawn();
        Ok(Self(started.with_context(|| process::does_not_start(command))?))
    }

    /// How it ended, once it has.
    pub(super) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.0.try_wait()?)
    }

    /// Waits for its end; an error when somebody does not want to wait that long.
    pub(super) fn wait(&mut self, interrupts: &Interrupts) -> Result<ExitStatus> {
        loop {
            interrupts.check()?;
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            sleep(BETWEEN_LOOKS);
        }
    }

    fn runs(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if self.runs() {
            let kill = format!("kill -TERM {}", self.0.id());
            let _ = Command::new("sh").args(["-c", &kill]).process_group(0).status();
        }
        let told = Instant::now();
        while self.runs() && told.elapsed() < ENDS_WITHIN {
            sleep(BETWEEN_LOOKS);
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_ends_with_its_value() {
        let mut command = Command::new("sleep");
        let mut sleeping = Beside::start(command.arg("600")).expect("it starts");
        assert!(sleeping.ended().expect("it can be looked at").is_none());
        let folder = format!("/proc/{}", sleeping.0.id());
        drop(sleeping);
        assert!(!std::path::Path::new(&folder).exists());
    }
}
