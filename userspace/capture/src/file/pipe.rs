//! A pipe that is read without waiting for ever.
//!
//! Takes an open file that is no regular one, gives its octets. When none come for a while, a read
//! ends with [`io::ErrorKind::WouldBlock`], so that whoever reads can do something else meanwhile.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsRawFd as _;

/// Longest wait of one read.
const WAIT_MS: i32 = 100;

/// A pipe, a socket or a terminal.
pub(super) struct Pipe(File);

impl Pipe {
    pub(super) const fn new(file: File) -> Self {
        Self(file)
    }

    /// Waits until a read would not; says whether it is so.
    fn is_ready(&self) -> io::Result<bool> {
        let mut look = libc::pollfd { fd: self.0.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: `look` is one `pollfd`, alive during the call, and 1 is the number of them.
        match unsafe { libc::poll(&raw mut look, 1, WAIT_MS) } {
            0 => Ok(false),
            1.. => Ok(true),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.is_ready()? { self.0.read(buffer) } else { Err(io::ErrorKind::WouldBlock.into()) }
    }
}

/// Fills the start of `buffer` as far as the input goes, however long that takes; gives its length.
pub(super) fn read_start(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match reader.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(octets) => length += octets,
            Err(error) if is_passing(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

/// Whether the same read may succeed later.
pub(crate) fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
