//! Sockets, where the standard library has no safe function.
//!
//! Takes sockets and pipes that others opened; waits for several of them, reads many datagrams with one call, asks
//! for and sets options. It keeps nothing but buffers and what the last call said. All unsafe code of those who read
//! pipes, files of exports and UDP is here, one system call each.

mod burst;
pub mod option;
mod poll;

use std::io;

pub use burst::{Burst, MESSAGES_MAX, Message};
pub use poll::Poll;

/// Whether the same call may succeed later: nothing was there for now, or a signal came.
#[must_use]
pub fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
