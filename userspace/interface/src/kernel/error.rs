//! What can go wrong between user space and the kernel programs.

use std::io;

use aya::EbpfError;
use aya::maps::MapError;
use aya::programs::ProgramError;

/// Why the kernel programs cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// There was no object when this program was built.
    #[error("built without the kernel programs; run `cargo xtask build-ebpf` and build again")]
    NotBuilt,
    /// The kernel does not let this process load programs.
    #[error("loading kernel programs needs the capabilities CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON, or root")]
    NoRights,
    /// The object is of another build.
    #[error(
        "the kernel programs are of version {found}, this program is of version {expected}; \
         run `cargo xtask build-ebpf` and build again"
    )]
    Version {
        /// What the object says.
        found: u32,
        /// What this program was built with.
        expected: u32,
    },
    /// The object has no such program or map.
    #[error("the kernel programs have no {0}; run `cargo xtask build-ebpf` and build again")]
    Missing(&'static str),
    /// There is no such interface.
    #[error("there is no interface `{0}`; `ip link` lists those that there are")]
    NoInterface(String),
    /// Another program is attached.
    #[error(
        "interface `{0}` has an XDP program already; end what attached it, which `bpftool link` names, or take it \
         off with `ip link set dev {0} xdp off`"
    )]
    Occupied(String),
    /// What an interface sends cannot be counted.
    #[error(
        "counting what an interface sends needs tcx, which is there since Linux 6.6; leave the direction out to count what it receives"
    )]
    NoTcx,
    /// The driver does not run such programs itself.
    #[error("interface `{interface}` refuses the program: {cause}")]
    Refused {
        /// Whose driver.
        interface: String,
        /// What the kernel says.
        cause: io::Error,
    },
    /// The kernel refused the object.
    #[error("the kernel programs cannot be loaded: {0}")]
    Load(#[from] EbpfError),
    /// What the programs say cannot be read.
    #[error("what the kernel programs say cannot be read: {0}")]
    Log(#[from] aya_log::Error),
    /// The kernel refused a program.
    #[error("a kernel program cannot be used: {0}")]
    Program(#[from] ProgramError),
    /// A map could not be read or written.
    #[error("a map of the kernel programs cannot be used: {0}")]
    Map(#[from] MapError),
    /// A map's memory could not be mapped.
    #[error("memory of the kernel programs cannot be mapped: {0}")]
    Memory(#[from] io::Error),
}

impl KernelError {
    /// The same error, or that of missing rights if the kernel means that.
    pub(super) fn of_load(error: EbpfError) -> Self {
        if is_denied(&error) { Self::NoRights } else { error.into() }
    }

    /// What the kernel's answer to attaching a program means.
    pub(super) fn of_attach(interface: &str, error: ProgramError) -> Self {
        match (&error, os_error(&error)) {
            (ProgramError::UnknownInterface { .. }, _) => Self::NoInterface(interface.to_owned()),
            (_, Some(libc::EBUSY | libc::EEXIST)) => Self::Occupied(interface.to_owned()),
            (_, Some(libc::EPERM | libc::EACCES)) => Self::NoRights,
            (_, Some(code)) => {
                Self::Refused { interface: interface.to_owned(), cause: io::Error::from_raw_os_error(code) }
            }
            _ => error.into(),
        }
    }
}

/// Whether the kernel's answer, somewhere below, is that this is not allowed.
fn is_denied(error: &(dyn std::error::Error + 'static)) -> bool {
    os_error(error) == Some(libc::EPERM)
}

/// The kernel's answer, somewhere below.
fn os_error(error: &(dyn std::error::Error + 'static)) -> Option<i32> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(code) = error.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error) {
            return Some(code);
        }
        cause = error.source();
    }
    None
}
