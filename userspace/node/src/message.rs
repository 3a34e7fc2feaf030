//! What is said besides results: everything that goes to standard error goes through here.
//!
//! A line is written at once and whole. Where nobody reads standard error any more, or where it takes nothing, the
//! line is lost and nothing else happens: there is nobody to tell, and results do not depend on it.

use std::fmt::Arguments;
use std::io::{Write, stderr};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Says a line, as `println!` would print it.
macro_rules! say {
    ($($argument:tt)*) => { $crate::message::line(format_args!($($argument)*)) };
}

pub(crate) use say;

/// Standard output and standard error are often one and the same pipe or terminal: whoever writes to either waits for
/// its turn, so that no line stands within another.
static TURN: Mutex<()> = Mutex::new(());

/// The turn to write to standard output or standard error, until it is dropped.
pub(crate) fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Says a line; see [`say!`].
pub(crate) fn line(text: Arguments<'_>) {
    let line = format!("{text}\n");
    let _turn = turn();
    let _ = stderr().write_all(line.as_bytes());
}
