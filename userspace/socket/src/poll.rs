//! Waiting for several sockets at once.
//!
//! Takes sockets, says which of them have something to read, or an end to tell.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

use libc::{POLLIN, pollfd};

/// Sockets to wait for, and what the last wait found.
#[derive(Debug, Default)]
pub struct Poll {
    looks: Vec<pollfd>,
}

impl Poll {
    /// Waits until one of `sockets` is ready, or so many milliseconds.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn wait<'a>(
        &mut self,
        sockets: impl Iterator<Item = BorrowedFd<'a>>,
        wait_ms: u16,
    ) -> io::Result<()> {
        self.looks.clear();
        self.looks.extend(sockets.map(|socket| pollfd {
            fd: socket.as_raw_fd(),
            events: POLLIN,
            revents: 0,
        }));
        let count = self.looks.len() as libc::nfds_t;
        // SAFETY: `looks` holds `count` initialised `pollfd`s, alive and borrowed mutably during the call.
        let result = unsafe { libc::poll(self.looks.as_mut_ptr(), count, wait_ms.into()) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Whether the socket at this place was ready.
    #[must_use]
    pub fn is_ready(&self, place: usize) -> bool {
        self.looks.get(place).is_some_and(|look| look.revents != 0)
    }
}
