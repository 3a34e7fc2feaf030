//! A file in memory without copies.
//!
//! Takes an open file, gives its octets from the position on. The length is the one at opening;
//! what is appended later is not seen. Pages behind the position are released, so that a file
//! larger than memory keeps few of them resident. A file that another program shortens meanwhile
//! ends this process with SIGBUS, as it does for every program that maps it.

use std::fs::File;
use std::io::{self, BufRead, Read};
use std::sync::Arc;

use memmap2::{Advice, Mmap, UncheckedAdvice};

/// Pages are released in pieces of this size.
const RELEASE_OCTETS: usize = 32 << 20;

/// Octets that a buffered reader is shown at once, so that it releases pages as it goes.
const BUFFER_OCTETS: usize = 1 << 20;

/// A mapped file and a position in it.
pub(crate) struct Mapped {
    map: Arc<Mmap>,
    position: usize,
    released: usize,
}

impl Mapped {
    /// Maps `file`, which must not be empty.
    pub(super) fn new(file: &File) -> io::Result<Self> {
        // SAFETY: the mapping is read-only and the file is opened for reading. Other programs may
        // change its octets while we look; no parser relies on two reads of an octet to agree.
        let map = unsafe { Mmap::map(file) }?;
        // Advice only: reading works without it.
        let _ = map.advise(Advice::Sequential);
        Ok(Self { map: Arc::new(map), position: 0, released: 0 })
    }

    /// The same pages from the beginning.
    pub(super) fn again(&self) -> Self {
        Self { map: Arc::clone(&self.map), position: 0, released: 0 }
    }

    /// Octets from the position to the end of the file.
    #[inline]
    pub(super) fn available(&self) -> &[u8] {
        &self.map[self.position..]
    }

    /// Moves the position behind `octets` of the available ones.
    #[inline]
    pub(super) fn advance(&mut self, octets: usize) {
        self.position += octets.min(self.map.len() - self.position);
        if self.position - self.released >= RELEASE_OCTETS {
            self.release();
        }
    }

    pub(super) const fn position(&self) -> u64 {
        self.position as u64
    }

    pub(super) fn total(&self) -> u64 {
        self.map.len() as u64
    }

    fn release(&mut self) {
        let octets = self.position - self.released;
        // SAFETY: the mapping is shared, read-only and backed by a file, so a page that is looked
        // at again is read again from the file: slices into it stay valid.
        let _ = unsafe { self.map.unchecked_advise_range(UncheckedAdvice::DontNeed, self.released, octets) };
        self.released = self.position;
    }
}

impl BufRead for Mapped {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let available = self.available();
        Ok(&available[..available.len().min(BUFFER_OCTETS)])
    }

    fn consume(&mut self, octets: usize) {
        self.advance(octets);
    }
}

impl Read for Mapped {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let octets = self.available().read(buffer)?;
        self.advance(octets);
        Ok(octets)
    }
}
