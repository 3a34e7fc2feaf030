//! Measures what a command costs.
//!
//! Takes a command, runs it to its end or until it is told to end, gives its output, its CPU time, its wall time
//! and its memory. The CPU time includes that of all descendants that their parents waited for, as wait4(2)
//! accounts them; all programs that are benchmarked here do that.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use anyhow::{Context, Result, ensure};
use wait4::{ResUse, Wait4};

use crate::process;

/// What a run cost and said.
#[derive(Debug)]
pub struct Measured {
    /// What it cost.
    pub cost: Cost,
    /// What it said, and how it ended.
    pub output: Output,
}

/// What a run cost.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// User and system time of all processes.
    pub cpu: Duration,
    /// From its start to its end.
    pub wall: Duration,
    /// Octets in memory at the most, of the largest process; the mapped pages of files are among them.
    pub memory_octets: u64,
}

/// A program that runs.
pub struct Running {
    child: Child,
    start: Instant,
    stdout: Pipe,
    stderr: Pipe,
}

/// A thread of a program that runs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Thread {
    /// Its number in the kernel.
    pub id: u32,
    /// What it is called.
    pub name: String,
}

/// A program that answers does so within this time after its start, and is asked so often until then.
const ANSWERS_WITHIN: Duration = Duration::from_secs(20);
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(5);

/// Gives what was read of a pipe, at its end.
type Pipe = Box<dyn FnOnce() -> io::Result<Vec<u8>>>;

/// Runs the command; an error when it does not end well.
pub fn measure(command: &mut Command) -> Result<Measured> {
    let measured = start(command)?.finish()?;
    process::succeeded(command, measured.output.status).with_context(|| measured.said())?;
    Ok(measured)
}

/// Starts the command.
pub fn start(command: &mut Command) -> Result<Running> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let start = Instant::now();
    let mut child = command.spawn().with_context(|| process::does_not_start(command))?;
    let (stdout, stderr) = (read_all(child.stdout.take()), read_all(child.stderr.take()));
    Ok(Running { child, start, stdout: Box::new(stdout), stderr: Box::new(stderr) })
}

impl Measured {
    /// What stands on its standard error.
    pub fn said(&self) -> String {
        match String::from_utf8_lossy(&self.output.stderr).trim() {
            "" => "it said nothing".to_owned(),
            said => said.to_owned(),
        }
    }
}

impl Running {
    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, by its name without SIG.
    pub fn signal(&self, name: &str) -> Result<()> {
        let kill = format!("kill -{name} {}", self.child.id());
        process::run(Command::new("sh").args(["-c", &kill]))
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&self) -> bool {
        // A process that nobody waited for yet stays in the table, in state Z.
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        stat.rsplit(") ").next().is_none_or(|state| state.is_empty() || state.starts_with('Z'))
    }

    /// Waits until an attempt to ask it something succeeds.
    pub fn wait_until_it_answers<T>(&self, mut ask: impl FnMut() -> Result<T>) -> Result<T> {
        let started = Instant::now();
        loop {
            let error = match ask() {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let is_awaited = started.elapsed() < ANSWERS_WITHIN && !self.has_ended();
            ensure!(is_awaited, "it does not answer: {error:#}");
            thread::sleep(BETWEEN_ATTEMPTS);
        }
    }

    /// Octets that it has in memory now.
    pub fn resident_octets(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or_default() * 1024
    }

    /// CPU time so far in ticks of the kernel's, of it and its children.
    pub fn ticks(&self) -> u64 {
        let id = self.child.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        ticks_of(&id.to_string()) + children.split_whitespace().map(ticks_of).sum::<u64>()
    }

    /// CPU time so far of each of its threads that are there.
    pub fn threads(&self) -> BTreeMap<Thread, Duration> {
        let folders = fs::read_dir(format!("/proc/{}/task", self.child.id()));
        folders.into_iter().flatten().flatten().filter_map(|folder| thread_of(&folder.path())).collect()
    }

    /// Waits for its end, however that is.
    pub fn finish(self) -> Result<Measured> {
        let Self { child, start, stdout, stderr } = self;
        let ResUse { status, rusage } = child.wait4()?;
        let wall = start.elapsed();
        let output = Output { status, stdout: stdout()?, stderr: stderr()? };
        let cost = Cost { cpu: rusage.utime + rusage.stime, wall, memory_octets: rusage.maxrss };
        Ok(Measured { cost, output })
    }
}

/// A thread by its folder, and its CPU time, which the scheduler counts finer than in ticks; none when it has ended.
fn thread_of(folder: &Path) -> Option<(Thread, Duration)> {
    let read = |name: &str| fs::read_to_string(folder.join(name)).ok();
    let id = folder.file_name()?.to_str()?.parse().ok()?;
    let nanoseconds = read("schedstat")?.split(' ').next()?.parse().ok()?;
    Some((Thread { id, name: read("comm")?.trim_end().to_owned() }, Duration::from_nanos(nanoseconds)))
}

/// CPU time of a process in user and kernel, in ticks; 0 when it has ended.
fn ticks_of(id: &str) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    // The fields behind the name, which may hold anything: the state is the first of them.
    let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum()
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
    fn threads_have_names_and_times() {
        let running = start(Command::new("sh").args(["-c", "while :; do :; done"])).expect("it starts");
        let begun = Instant::now();
        while running.threads().values().sum::<Duration>() < Duration::from_millis(10) {
            assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", running.threads());
        }
        assert_eq!(running.threads().keys().map(|thread| thread.name.as_str()).collect::<Vec<_>>(), ["sh"]);
        running.signal("KILL").expect("it runs");
        running.finish().expect("it ends");
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
