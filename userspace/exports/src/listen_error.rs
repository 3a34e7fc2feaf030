//! Why a listener cannot be opened.
//!
//! Takes what the operating system said, gives a message with the address, what is wrong and what would
//! be right.

use std::io;
use std::net::SocketAddr;

/// Why a listener cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Somebody listens there already.
    #[error("{address}: another program listens there; choose another port, or end that program")]
    InUse {
        /// The address as it was given.
        address: SocketAddr,
    },
    /// This machine does not have the address.
    #[error("{address}: this machine has no such address; give one of its own, or 0.0.0.0 or [::] for all")]
    NoSuchAddress {
        /// The address as it was given.
        address: SocketAddr,
    },
    /// The port is one of those that need a privilege.
    #[error(
        "{address}: listening there is not permitted to this user; choose a port from 1024 on, or grant \
         CAP_NET_BIND_SERVICE"
    )]
    NotPermitted {
        /// The address as it was given.
        address: SocketAddr,
    },
    /// Anything else.
    #[error("{address}: listening there failed: {error}")]
    Failed {
        /// The address as it was given.
        address: SocketAddr,
        /// What failed.
        #[source]
        error: io::Error,
    },
}

impl ListenError {
    pub(super) fn new(address: SocketAddr, error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::AddrInUse => Self::InUse { address },
            io::ErrorKind::AddrNotAvailable => Self::NoSuchAddress { address },
            io::ErrorKind::PermissionDenied => Self::NotPermitted { address },
            _ => Self::Failed { address, error },
        }
    }
}
