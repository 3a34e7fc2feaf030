//! Standard output, which the writers of all queries share.
//!
//! What a writer gives is kept until it has given all of a batch or asks to show it; then everything that is kept is
//! written in one go, in the order in which it came. So the lines of several queries, or of standard error behind
//! the same pipe, never stand within each other.

use crate::message;
use std::cell::RefCell;
use std::io::{self, Write, stdout};
use std::rc::Rc;

/// Octets that are kept before they are written.
const KEPT_OCTETS: usize = 1 << 16;

/// What is to go to standard output; clones are the same page.
#[derive(Clone, Debug, Default)]
pub(super) struct Page(Rc<RefCell<Vec<u8>>>);

impl Page {
    /// Writes what is kept, if it is enough to be worth it.
    pub(super) fn turn_over(&self) -> io::Result<()> {
        if self.0.borrow().len() < KEPT_OCTETS { Ok(()) } else { self.write_out() }
    }

    fn write_out(&self) -> io::Result<()> {
        let mut kept = self.0.borrow_mut();
        let _turn = message::turn();
        let written = stdout().write_all(&kept).and_then(|()| stdout().flush());
        kept.clear();
        written
    }
}

impl Write for Page {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.write_out()
    }
}
