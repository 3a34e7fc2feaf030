//! What this machine and its interfaces can do for a live capture, and what would help.
//!
//! Looks, and changes nothing: no program is attached, no socket is bound. Gives findings, in the order in which
//! they matter; each problem comes with the command that mends it, where there is one.

mod drivers;
mod interface;
mod interrupts;
mod machine;
mod parse;

use std::fmt;

use crate::link;
use crate::live::LiveError;

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it is, in a sentence without its full stop.
    pub what: String,
    /// It stands in the way of a capture, or of its speed or completeness.
    pub is_problem: bool,
    /// What would help: a command, or what to do.
    pub mend: Option<String>,
}

impl Finding {
    fn fine(what: impl Into<String>) -> Self {
        Self { what: what.into(), is_problem: false, mend: None }
    }

    fn note(what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { what: what.into(), is_problem: false, mend: Some(mend.into()) }
    }

    fn problem(what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { what: what.into(), is_problem: true, mend: Some(mend.into()) }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.is_problem { "!" } else { " " };
        write!(formatter, "{sign} {}", self.what)?;
        match &self.mend {
            Some(mend) => write!(formatter, "\n    {mend}"),
            None => Ok(()),
        }
    }
}

/// What was found of the machine: the kernel, the rights of this process, limits, processors.
#[must_use]
pub fn machine() -> Vec<Finding> {
    machine::findings(&machine::Facts::gather())
}

/// What was found of an interface.
///
/// # Errors
/// When there is no such interface, or the kernel does not say.
pub fn interface(name: &str) -> Result<Vec<Finding>, LiveError> {
    Ok(interface::findings(&interface::Facts::gather(name)?))
}

/// The names of all interfaces but the loopback.
///
/// # Errors
/// When the kernel does not say.
pub fn interfaces() -> std::io::Result<Vec<String>> {
    let links = link::all()?.into_iter().filter(|link| !link.is_loopback());
    Ok(links.map(|link| link.name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_reads_as_what_it_is_and_what_helps() {
        let problem = Finding::problem("the interface is switched off", "ip link set dev eth0 up");
        assert_eq!(problem.to_string(), "! the interface is switched off\n    ip link set dev eth0 up");
        assert_eq!(Finding::fine("driver `veth`").to_string(), "  driver `veth`");
    }

    #[test]
    fn every_machine_and_interface_can_be_looked_at() {
        assert!(!machine().is_empty());
        for name in interfaces().expect("netlink answers") {
            assert!(interface(&name).expect("an interface").len() > 3, "{name}");
        }
        assert!(interface("no-such-one").is_err());
    }
}
