//! Sending a frame, however long that takes.

use std::{io, thread};

use tapline_interface::live::PacketSender;

/// Sends a frame; waits while the interface is busy.
pub(crate) fn send(sender: &PacketSender, frame: &[u8]) -> io::Result<()> {
    loop {
        match sender.send(frame) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::yield_now(),
            outcome => return outcome,
        }
    }
}
