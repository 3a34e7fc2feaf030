//! Why an interface cannot be read.

use std::io;

use crate::kernel::KernelError;
use crate::link;

/// Names that an error lists at the most.
const NAMES_MAX: usize = 8;

/// Why an interface cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// There is no such interface.
    #[error("there is no interface `{name}`; there are {}", listed(.others))]
    NoInterface {
        /// The name as it was given.
        name: String,
        /// The names that there are, the most similar first.
        others: Vec<String>,
    },
    /// The interface is switched off.
    #[error("interface `{0}` is switched off; `ip link set dev {0} up` switches it on")]
    Down(String),
    /// Reading interfaces is not permitted to this user.
    #[error(
        "reading interface `{0}` needs the capability CAP_NET_RAW, or root; `setcap cap_net_raw+ep` grants it to \
         a program"
    )]
    NoRights(String),
    /// The rings do not fit into memory.
    #[error("interface `{interface}`: the kernel has no {octets} octets for a ring; ask for fewer")]
    NoMemory {
        /// The interface.
        interface: String,
        /// What was asked for.
        octets: usize,
    },
    /// The memory of `AF_XDP` does not fit the limit of locked memory.
    #[error(
        "interface `{interface}`: its {queues} queues need {octets} octets of locked memory, which is more than \
         the limit; `ulimit -l unlimited` or `LimitMEMLOCK=infinity` raises it, as does the capability \
         CAP_IPC_LOCK; or ask for fewer frames"
    )]
    MemoryLimit {
        /// The interface.
        interface: String,
        /// Its queues.
        queues: u32,
        /// What all of them need.
        octets: u64,
    },
    /// Another program reads a queue by `AF_XDP`.
    #[error("interface `{interface}`: another program reads its queue {queue} by AF_XDP; end that program")]
    QueueInUse {
        /// The interface.
        interface: String,
        /// Its queue.
        queue: u32,
    },
    /// The kernel program that `AF_XDP` needs.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// Anything else.
    #[error("interface `{interface}`: {what} failed: {error}")]
    Failed {
        /// The interface.
        interface: String,
        /// What was done.
        what: &'static str,
        /// What the operating system says.
        #[source]
        error: io::Error,
    },
}

impl LiveError {
    /// No such interface, and the names that there are.
    #[must_use]
    pub fn no_interface(name: &str) -> Self {
        let others = link::nearest(name, &link::all().unwrap_or_default());
        Self::NoInterface { name: name.to_owned(), others }
    }

    /// What it means that something failed.
    pub(super) fn new(interface: &str, what: &'static str, error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => Self::NoRights(interface.to_owned()),
            Some(libc::ENODEV | libc::ENXIO) => Self::no_interface(interface),
            _ => Self::Failed { interface: interface.to_owned(), what, error },
        }
    }
}

/// Names for a sentence.
fn listed(names: &[String]) -> String {
    let shown: Vec<_> = names.iter().take(NAMES_MAX).map(|name| format!("`{name}`")).collect();
    match names.len().saturating_sub(NAMES_MAX) {
        0 if shown.is_empty() => "none".to_owned(),
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_interface_names_those_that_there_are() {
        let names = |count: usize| (0..count).map(|number| format!("eth{number}")).collect();
        let error =
            |count| LiveError::NoInterface { name: "eht0".to_owned(), others: names(count) }.to_string();
        assert_eq!(error(0), "there is no interface `eht0`; there are none");
        assert_eq!(error(2), "there is no interface `eht0`; there are `eth0`, `eth1`");
        assert!(error(10).ends_with("`eth7` and 2 more"), "{}", error(10));
    }
}
