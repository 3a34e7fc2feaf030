//! Measures what a command costs.
//!
//! Takes a command, runs it to its end, gives its output, its CPU time, its wall time and its memory. The CPU
//! time includes that of all descendants that their parents waited for, as wait4(2) accounts them; all programs
//! that are benchmarked here do that.

use std::io::{self, Read};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use wait4::{ResUse, Wait4};

use crate::process;

/// What a run cost and said.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) cost: Cost,
    pub(super) output: Output,
}

/// What a run cost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cost {
    /// User and system time of all processes.
    pub(super) cpu: Duration,
    pub(super) wall: Duration,
    /// Octets in memory at the most, of the largest process; the mapped pages of files are among them.
    pub(super) memory_octets: u64,
}

/// Runs the command; an error when it does not end well.
pub(super) fn measure(command: &mut Command) -> Result<Measured> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let start = Instant::now();
    let mut child = command.spawn().with_context(|| process::does_not_start(command))?;
    let (stdout, stderr) = (read_all(child.stdout.take()), read_all(child.stderr.take()));
    let ResUse { status, rusage } = child.wait4()?;
    let wall = start.elapsed();
    let output = Output { status, stdout: stdout()?, stderr: stderr()? };
    process::succeeded(command, status)
        .with_context(|| String::from_utf8_lossy(&output.stderr).trim().to_owned())?;
    let cost = Cost { cpu: rusage.utime + rusage.stime, wall, memory_octets: rusage.maxrss };
    Ok(Measured { cost, output })
}

/// Reads a pipe in a thread of its own, so that neither of two can fill up; the result waits for its end.
fn read_all(pipe: Option<impl Read + Send + 'static>) -> impl FnOnce() -> io::Result<Vec<u8>> {
    let reader = thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.map_or(Ok(0), |mut pipe| pipe.read_to_end(&mut bytes)).map(|_| bytes)
    });
    || reader.join().expect("invariant: reading a pipe does not panic")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPIN: &str = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done";

    fn cpu(script: &str) -> Duration {
        measure(Command::new("sh").args(["-c", script])).expect("it ends well").cost.cpu
    }

    #[test]
    fn children_are_counted() {
        let alone = cpu(SPIN);
        assert!(alone > Duration::ZERO);
        let children = cpu(&format!("({SPIN}; {SPIN}) & ({SPIN}; {SPIN}) & wait"));
        assert!(children > alone * 2, "{children:?} {alone:?}");
    }

    #[test]
    fn both_outputs_are_read_whole() {
        let script = "seq 100000 >&2; seq 100000";
        let output = measure(Command::new("sh").args(["-c", script])).expect("it ends well").output;
        assert_eq!((output.stdout.len(), output.stderr.len()), (588_895, 588_895));
    }

    #[test]
    fn a_failure_says_what_the_program_said() {
        let error = measure(Command::new("sh").args(["-c", "echo why >&2; exit 1"])).unwrap_err();
        assert!(format!("{error:#}").contains("why"), "{error:#}");
    }
}
