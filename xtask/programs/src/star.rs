//! Network namespaces around a switch: each has a cable to it and an address, and so has this machine, so that all of them
//! reach each other.
//!
//! Takes names, gives commands that run at the points, and addresses. All is taken away with the value, also after a
//! failure.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Result;

use crate::namespace::{inside, ip, take_away};
use crate::process;

/// The interface of a point.
const INSIDE: &str = "eth0";
/// What is spoken among them is spoken in a network for measurements (RFC 2544).
const NETWORK: [u8; 2] = [198, 18];
/// The last part of this machine's address; the points have 1, 2 and so on.
const MACHINE: u8 = 254;

/// How many there were in this process: what one has left goes some time after it.
static LAID: AtomicU32 = AtomicU32::new(0);

/// Points around a switch; this process's number keeps them apart from others.
#[derive(Debug)]
pub struct Star {
    /// Namespaces, by place.
    points: Vec<String>,
    number: String,
    third: u8,
}

impl Star {
    /// Lays cables to so many points, of these names.
    ///
    /// # Errors
    /// When ip(8) may not or cannot.
    pub fn lay(names: &[&str]) -> Result<Self> {
        let (process, count) = (std::process::id(), LAID.fetch_add(1, Ordering::Relaxed));
        let number = format!("{count}-{process}");
        let points = names.iter().map(|name| format!("tapline-{name}-{number}")).collect();
        let third = ((process + count) % 256) as u8;
        let star = Self { points, number, third };
        let (switch, machine) = (star.switch(), format!("{}/24", star.of_network(MACHINE)));
        ip(&["link", "add", &switch, "type", "bridge"])?;
        ip(&["address", "add", &machine, "dev", &switch])?;
        ip(&["link", "set", &switch, "up"])?;
        (0..star.points.len()).try_for_each(|place| star.lay_to(place))?;
        Ok(star)
    }

    fn lay_to(&self, place: usize) -> Result<()> {
        let (point, outside, switch) = (self.points[place].as_str(), self.outside(place), self.switch());
        ip(&["netns", "add", point])?;
        ip(&["link", "add", &outside, "type", "veth", "peer", "name", INSIDE, "netns", point])?;
        ip(&["link", "set", &outside, "master", &switch, "up"])?;
        ip(&["-n", point, "address", "add", &format!("{}/24", self.address(place)), "dev", INSIDE])?;
        ip(&["-n", point, "link", "set", INSIDE, "up"])?;
        ip(&["-n", point, "link", "set", "lo", "up"])
    }

    /// The address of a point.
    pub fn address(&self, place: usize) -> Ipv4Addr {
        self.of_network(place as u8 + 1)
    }

    fn of_network(&self, last: u8) -> Ipv4Addr {
        let [first, second] = NETWORK;
        Ipv4Addr::new(first, second, self.third, last)
    }

    /// A program at a point.
    ///
    /// # Panics
    /// When there is no such point.
    pub fn at(&self, place: usize, program: &Path) -> Command {
        inside(&self.points[place], program)
    }

    /// Lets all that leaves a point fare as these arguments of netem say (tc-netem(8)).
    ///
    /// # Errors
    /// When tc(8) is not there, or the kernel has no netem.
    ///
    /// # Panics
    /// When there is no such point.
    pub fn impair(&self, place: usize, how: &[&str]) -> Result<()> {
        process::run(&mut self.netem(place, how))
    }

    /// Whether the kernel can do that: it is tried at the first point.
    pub fn can_impair(&self) -> bool {
        let tried = self.netem(0, &["delay", "0ms"]).output();
        let can = tried.is_ok_and(|Output { status, .. }| status.success());
        if can {
            let mut remove = Command::new("tc");
            let _ = remove.args(["-n", &self.points[0], "qdisc", "delete", "dev", INSIDE, "root"]).output();
        }
        can
    }

    fn netem(&self, place: usize, how: &[&str]) -> Command {
        let mut command = Command::new("tc");
        command
            .args(["-n", &self.points[place], "qdisc", "replace", "dev", INSIDE, "root", "netem"])
            .args(how);
        command
    }

    /// The switch, an interface of this machine; its name has room for any number of a process.
    fn switch(&self) -> String {
        format!("tl{}", self.number)
    }

    /// The outer end of a cable.
    fn outside(&self, place: usize) -> String {
        format!("tl{place}.{}", self.number)
    }
}

impl Drop for Star {
    fn drop(&mut self) {
        for place in 0..self.points.len() {
            take_away(&["link", "delete", &self.outside(place)]);
            take_away(&["netns", "delete", &self.points[place]]);
        }
        take_away(&["link", "delete", &self.switch()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn points_have_addresses_and_nothing_is_left() {
        if let Some(missing) = crate::namespace::missing() {
            println!("skipped: {missing}");
            return;
        }
        let left = |number: &str| {
            let folders = ["/run/netns", "/sys/class/net"].into_iter().flat_map(fs::read_dir);
            folders.flatten().flatten().any(|entry| entry.file_name().to_string_lossy().ends_with(number))
        };
        let star = Star::lay(&["one", "two"]).expect("it can be laid");
        let number = star.number.clone();
        let output = star.at(1, Path::new("ip")).args(["-4", "-o", "address"]).output().expect("it runs");
        let shown = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(shown.contains(&format!("inet {}/24", star.address(1))), "{shown}");
        assert!(left(&number));
        drop(star);
        assert!(!left(&number));
    }
}
