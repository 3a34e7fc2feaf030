//! Sends frames out of an interface, through `AF_PACKET`; for tests and load.

use std::io;
use std::os::fd::AsFd as _;

use socket2::Socket;

use super::LiveError;
use super::packet_socket::{self, FrameStart};
use tapline_socket::option;

/// Sends frames out of an interface as they are.
pub struct PacketSender {
    socket: Socket,
}

impl PacketSender {
    /// Opens an interface to send on; with `skips_queue` its queueing discipline, and captures on this side, do not
    /// see the frames, which is faster.
    ///
    /// # Errors
    /// When there is no such interface, or when the rights are missing.
    pub fn open(interface: &str, skips_queue: bool) -> Result<Self, LiveError> {
        let failed = |error| LiveError::new(interface, "opening it to send", error);
        let link = super::find(interface)?;
        let socket = packet_socket::new(FrameStart::Link).map_err(failed)?;
        if skips_queue {
            let (level, name) = (libc::SOL_PACKET, libc::PACKET_QDISC_BYPASS);
            option::set(socket.as_fd(), level, name, &1_i32).map_err(failed)?;
        }
        packet_socket::bind_to_send(&socket, link.index).map_err(failed)?;
        Ok(Self { socket })
    }

    /// Sends a frame. An error of kind `WouldBlock` says that the interface is busy for now.
    ///
    /// # Errors
    /// What the operating system says, such as that the frame is longer than the interface takes.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        match self.socket.send(frame) {
            Ok(_) => Ok(()),
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                Err(io::ErrorKind::WouldBlock.into())
            }
            Err(error) => Err(error),
        }
    }
}
