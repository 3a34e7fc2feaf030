//! One run of a collector while exporters send to it.
//!
//! Takes a command that listens, starts it, sends, lets it read all that waits and ends it. Gives what it cost and
//! said beside what was sent; it is ended whatever went wrong.

use std::net::SocketAddr;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use tapline_programs::usage::{self, Measured, Running};

use super::sender::Sent;
use super::socket;

/// What a run came to.
#[derive(Debug)]
pub struct Collected {
    /// What it cost and said.
    pub measured: Measured,
    /// What was sent to it.
    pub sent: Sent,
    /// Packets that the kernel dropped since they were not read in time.
    pub drops: u64,
}

/// Starts the command, which listens at `address`, sends, and ends it by the signal of this name when it has read
/// all.
///
/// # Errors
/// When it does not start, does not listen or cannot be sent to; with what it said.
pub fn collect(
    command: &mut Command,
    address: SocketAddr,
    signal: &str,
    send: impl FnOnce() -> Result<Sent>,
) -> Result<Collected> {
    let running = usage::start(command)?;
    let fed = feed(&running, address, send);
    let signalled = running.signal(signal);
    let measured = running.finish()?;
    let (sent, drops) = fed.and_then(|fed| signalled.map(|()| fed)).with_context(|| measured.said())?;
    Ok(Collected { measured, sent, drops })
}

/// Gives what was sent, and how many packets the kernel dropped.
fn feed(running: &Running, address: SocketAddr, send: impl FnOnce() -> Result<Sent>) -> Result<(Sent, u64)> {
    socket::wait_for_listener(address, running)?;
    let sent = send()?;
    let drops = socket::drain(address)?;
    settle(running);
    Ok((sent, drops))
}

/// Waits until the collector has nothing more to do: it may hand over what it reads to a process of its own.
pub fn settle(running: &Running) {
    const LOOKS_MAX: usize = 100;
    const BETWEEN_LOOKS: Duration = Duration::from_millis(300);
    const IDLE_TICKS: u64 = 1;
    let mut before = running.ticks();
    for _ in 0..LOOKS_MAX {
        thread::sleep(BETWEEN_LOOKS);
        let now = running.ticks();
        if now <= before + IDLE_TICKS {
            break;
        }
        before = now;
    }
}
