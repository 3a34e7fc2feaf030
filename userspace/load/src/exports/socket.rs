//! The kernel's view of a UDP socket that somebody else has opened.
//!
//! Takes a port, gives what waits in its queue and what was dropped, by proc(5).

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tapline_programs::usage::Running;

/// A collector takes no longer than this to start, or to read what waits.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the kernel says of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    queued_octets: u64,
    drops: u64,
}

/// An address at which nobody listens.
///
/// # Errors
/// When the kernel says so, or nothing happens for long.
pub fn free_address() -> Result<SocketAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).context("no UDP port is free")?;
    Ok(socket.local_addr()?)
}

/// Waits until somebody listens.
///
/// # Errors
/// When the kernel says so, or nothing happens for long.
pub fn wait_for_listener(address: SocketAddr, program: &Running) -> Result<()> {
    wait(|| Ok(state(address)?.is_some() || program.has_ended()))?;
    ensure!(!program.has_ended(), "it ended before it listened");
    Ok(())
}

/// Waits until all is read; gives what was dropped, in packets as the kernel queues them.
///
/// # Errors
/// When the kernel says so, or nothing happens for long.
pub fn drain(address: SocketAddr) -> Result<u64> {
    let now = || state(address)?.context("nobody listens any more");
    wait(|| Ok(now()?.queued_octets == 0))?;
    Ok(now()?.drops)
}

fn wait(mut is_done: impl FnMut() -> Result<bool>) -> Result<()> {
    let start = Instant::now();
    while !is_done()? {
        ensure!(start.elapsed() < PATIENCE, "nothing happened for {} s", PATIENCE.as_secs());
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn state(address: SocketAddr) -> Result<Option<State>> {
    let table = if address.is_ipv4() { "/proc/net/udp" } else { "/proc/net/udp6" };
    let table = fs::read_to_string(table).context("the kernel does not show its sockets")?;
    Ok(table.lines().find_map(|line| parse(line, address.port())))
}

/// The state in a line of the table, when it is of the port.
fn parse(line: &str, port: u16) -> Option<State> {
    let fields: Vec<_> = line.split_whitespace().collect();
    let (_, local_port) = fields.get(1)?.split_once(':')?;
    if u16::from_str_radix(local_port, 16).ok()? != port {
        return None;
    }
    let (_, queued) = fields.get(4)?.split_once(':')?;
    let queued_octets = u64::from_str_radix(queued, 16).ok()?;
    Some(State { queued_octets, drops: fields.last()?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_table_is_understood() {
        let line = "15520: 0100007F:5207 00000000:0000 07 00000000:00000A00 00:00000000 00000000     0        0 87122 2 000000009846be3c 7 ";
        assert_eq!(parse(line, 0x5207), Some(State { queued_octets: 2560, drops: 7 }));
        assert_eq!(parse(line, 0x5208), None);
        assert_eq!(parse("   sl  local_address rem_address   st", 0x5207), None);
    }

    #[test]
    fn drops_of_a_socket_that_nobody_reads_are_seen() {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let address = socket.local_addr().expect("it has an address");
        assert_eq!(drain(address).expect("it is empty"), 0);
        socket.send_to(&[0; 100], address).expect("it can be sent");
        assert!(state(address).expect("it is shown").is_some_and(|state| state.queued_octets > 0));
    }
}
