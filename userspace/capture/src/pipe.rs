//! A pipe that is read without waiting for ever.
//!
//! Takes an open file that is no regular one, gives its octets. When none come for a while, a read
//! ends with [`io::ErrorKind::WouldBlock`], so that whoever reads can do something else meanwhile.

use std::fs::File;
use std::io::{self, Read};
use std::iter;
use std::os::fd::AsFd as _;

use tapline_socket::{Poll, is_passing};

/// Longest wait of one read.
const WAIT_MS: u16 = 100;

/// A pipe, a socket or a terminal.
pub(super) struct Pipe {
    file: File,
    poll: Poll,
}

impl Pipe {
    pub(super) fn new(file: File) -> Self {
        Self { file, poll: Poll::default() }
    }

    /// Waits until a read would not; says whether it is so.
    fn is_ready(&mut self) -> io::Result<bool> {
        self.poll.wait(iter::once(self.file.as_fd()), WAIT_MS)?;
        Ok(self.poll.is_ready(0))
    }
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.is_ready()? { self.file.read(buffer) } else { Err(io::ErrorKind::WouldBlock.into()) }
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
