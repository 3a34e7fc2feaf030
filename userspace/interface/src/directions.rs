//! Which frames of an interface are read: those that it receives, those that it sends, or both.

use aya::util::KernelVersion;

use crate::link::Link;

/// The first kernel that has tcx.
const TCX_SINCE: KernelVersion = KernelVersion::new(6, 6, 0);

/// Which frames of an interface are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Directions {
    /// Those that it receives.
    #[default]
    In,
    /// Those that it sends.
    Out,
    /// All.
    Both,
}

impl Directions {
    /// Whether received frames are among them.
    #[must_use]
    pub const fn has_received(self) -> bool {
        matches!(self, Self::In | Self::Both)
    }

    /// Whether sent frames are among them.
    #[must_use]
    pub const fn has_sent(self) -> bool {
        matches!(self, Self::Out | Self::Both)
    }

    /// Whether an interface has such frames of which each is read once; if not, why not.
    ///
    /// # Errors
    /// The reason, and what to do.
    pub fn check(self, link: &Link) -> Result<(), String> {
        if self.has_sent() && link.is_loopback() {
            return Err(format!(
                "interface `{}` receives each frame that it sends, so that it would count twice: leave the direction out, \
                 which is `in`",
                link.name
            ));
        }
        Ok(())
    }

    /// Whether this kernel counts them all by itself; if not, why not, and what is done in place of it.
    ///
    /// # Errors
    /// The reason, in a sentence without its full stop.
    pub fn check_kernel(self) -> Result<(), String> {
        if !self.has_sent() || has_tcx() {
            return Ok(());
        }
        Err(NO_TCX.to_owned())
    }
}

/// Why sent frames are not counted in the kernel.
pub(crate) const NO_TCX: &str =
    "the kernel counts what is sent by tcx, which is there since Linux 6.6: until then AF_PACKET reads it";

/// Whether the kernel has tcx, by its number.
pub(crate) fn has_tcx() -> bool {
    KernelVersion::current().is_ok_and(|version| version >= TCX_SINCE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link;

    #[test]
    fn a_loopback_is_read_in_one_direction() {
        let links = link::all().expect("netlink answers");
        let loopback = links.iter().find(|link| link.is_loopback()).expect("a loopback");
        let checks = [Directions::In, Directions::Out, Directions::Both].map(|of| of.check(loopback).is_ok());
        assert_eq!(checks, [true, false, false]);
        let other = Link { name: "eth0".to_owned(), hardware: 1, ..Link::default() };
        assert_eq!(Directions::Both.check(&other), Ok(()));
    }

    #[test]
    fn what_is_received_needs_no_tcx() {
        assert_eq!(Directions::In.check_kernel(), Ok(()));
        assert_eq!(Directions::Both.check_kernel().is_ok(), has_tcx());
    }
}
