//! A cable between two network namespaces, or from one to this machine: a pair of veth interfaces, which nobody else
//! speaks on.
//!
//! Takes nothing, gives commands that run at its ends. All is taken away with the value, also after a failure.

use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::namespace::{inside, ip, take_away};

/// The interface at the near end.
pub const NEAR: &str = "tapline-near";
/// The interface at the far end.
pub const FAR: &str = "tapline-far";

/// Whoever is to read has begun after this time, or never will.
const WATCHED_WITHIN: Duration = Duration::from_secs(20);
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);
/// A program is there a moment before the sockets that it sends frames to.
const SETTLED: Duration = Duration::from_millis(500);

/// Two namespaces of the same names as their ends of a cable; this process's number keeps them apart from others.
#[derive(Debug)]
pub struct Cable {
    near: String,
    far: String,
}

impl Cable {
    /// Lays it, for packets of so many octets at the most, and switches both ends on.
    pub fn lay(mtu_octets: u32) -> Result<Self> {
        let name = |end: &str| format!("{end}-{}", std::process::id());
        let cable = Self { near: name(NEAR), far: name(FAR) };
        let (near, far) = (cable.near.as_str(), cable.far.as_str());
        ip(&["netns", "add", near])?;
        ip(&["netns", "add", far])?;
        cable.mend(mtu_octets)?;
        Ok(cable)
    }

    /// Lays it anew between the namespaces, after it was cut.
    pub fn mend(&self, mtu_octets: u32) -> Result<()> {
        let (near, far) = (self.near.as_str(), self.far.as_str());
        ip(&["link", "add", NEAR, "netns", near, "type", "veth", "peer", "name", FAR, "netns", far])?;
        switch_on(&["-n", near], NEAR, mtu_octets)?;
        switch_on(&["-n", far], FAR, mtu_octets)
    }

    /// Takes both ends away.
    pub fn cut(&self) -> Result<()> {
        ip(&["-n", &self.near, "link", "delete", NEAR])
    }

    /// Lets programs at the far end talk to each other.
    pub fn light(&self) -> Result<()> {
        ip(&["-n", &self.far, "link", "set", "lo", "up"])
    }

    /// A program at the near end.
    pub fn near(&self, program: &Path) -> Command {
        inside(&self.near, program)
    }

    /// A program at the far end.
    pub fn far(&self, program: &Path) -> Command {
        inside(&self.far, program)
    }

    /// Waits until somebody reads the far end, by an XDP program or a packet socket; `false` when whoever should do
    /// that has ended.
    pub fn is_watched(&self, mut has_ended: impl FnMut() -> bool) -> Result<bool> {
        let started = Instant::now();
        while started.elapsed() < WATCHED_WITHIN && !has_ended() {
            if self.has_program()? || self.has_packet_socket()? {
                sleep(SETTLED);
                return Ok(true);
            }
            sleep(BETWEEN_LOOKS);
        }
        Ok(false)
    }

    fn has_program(&self) -> Result<bool> {
        let links = Command::new("ip").args(["-n", &self.far, "-d", "link", "show", FAR]).output()?;
        Ok(String::from_utf8_lossy(&links.stdout).contains("prog/xdp"))
    }

    fn has_packet_socket(&self) -> Result<bool> {
        let sockets = self.far(Path::new("cat")).arg("/proc/net/packet").output()?;
        Ok(String::from_utf8_lossy(&sockets.stdout).lines().skip(1).any(is_reading))
    }
}

/// Whether a line of `/proc/net/packet` is of a socket that reads all packets: protocol and whether it runs.
fn is_reading(line: &str) -> bool {
    let fields: Vec<_> = line.split_whitespace().collect();
    matches!(fields[..], [_, _, _, "0003", _, "1", ..])
}

impl Drop for Cable {
    fn drop(&mut self) {
        for namespace in [&self.near, &self.far] {
            take_away(&["netns", "delete", namespace]);
        }
    }
}

/// A cable from a namespace to an interface of this machine, where whoever reads it can be reached from elsewhere.
#[derive(Debug)]
pub struct Lead {
    /// The namespace of its near end.
    near: String,
    /// The interface that it comes out at.
    far: &'static str,
}

impl Lead {
    /// Lays it to an interface of this name, for packets of so many octets at the most, and switches both ends on.
    ///
    /// # Errors
    /// When there is such an interface already, or ip(8) may not or cannot.
    pub fn lay(far: &'static str, mtu_octets: u32) -> Result<Self> {
        let is_there = Path::new("/sys/class/net").join(far).exists();
        ensure!(!is_there, "{far} is there already; if nobody uses it: ip link delete {far}");
        let lead = Self { near: format!("{far}-{}", std::process::id()), far };
        let near = lead.near.as_str();
        ip(&["netns", "add", near])?;
        ip(&["link", "add", far, "type", "veth", "peer", "name", NEAR, "netns", near])?;
        switch_on(&["-n", near], NEAR, mtu_octets)?;
        switch_on(&[], far, mtu_octets)?;
        Ok(lead)
    }

    /// A program at the near end.
    pub fn near(&self, program: &Path) -> Command {
        inside(&self.near, program)
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        // A namespace goes some time after its name; the interface is not to be seen that long.
        take_away(&["link", "delete", self.far]);
        take_away(&["netns", "delete", &self.near]);
    }
}

/// Switches an end on, in the place that these arguments of ip(8) name.
fn switch_on(place: &[&str], end: &str, mtu_octets: u32) -> Result<()> {
    // Nobody speaks unasked: no addresses, no neighbours.
    let mtu = mtu_octets.to_string();
    ip(&[place, &["link", "set", end, "addrgenmode", "none", "mtu", &mtu]].concat())?;
    ip(&[place, &["link", "set", end, "up"]].concat())
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_socket_that_reads_is_told_from_others() {
        let reading = "ffff8881 3      3    0003   2     1 0      0      5213";
        assert!(super::is_reading(reading));
        assert!(!super::is_reading(&reading.replace("0003", "0000")));
        assert!(!super::is_reading(&reading.replace(" 1 0 ", " 0 0 ")));
        assert!(!super::is_reading(""));
    }
}
