//! Frames to everybody.
//!
//! A port that receives copies gets frames that are addressed to others, which an interface leaves out unless it is
//! asked for them. It is asked by a socket, and goes back to its ways when that is closed, however the process ends.

use socket2::Socket;

use super::packet_socket::{self, FrameStart};
use super::{LiveError, find};
use crate::link::Link;

/// Asks an interface for frames to everybody, as long as it lives.
pub struct Promiscuous {
    _socket: Socket,
}

impl Promiscuous {
    /// Asks the interface of this name.
    ///
    /// # Errors
    /// When there is no such interface, or when the rights are missing.
    pub fn ask(interface: &str) -> Result<Self, LiveError> {
        Self::of(&find(interface)?)
    }

    pub(super) fn of(link: &Link) -> Result<Self, LiveError> {
        let failed = |error| LiveError::new(&link.name, "asking for frames to everybody", error);
        let socket = packet_socket::new(FrameStart::Link).map_err(failed)?;
        packet_socket::be_promiscuous(&socket, link.index).map_err(failed)?;
        Ok(Self { _socket: socket })
    }
}
