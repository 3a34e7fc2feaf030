//! A file in memory without copies.
//!
//! Takes an open file, gives its octets from the position on. The length is the one at opening;
//! what is appended later is not seen. Pages behind the position are released, so that a file
//! larger than memory keeps few of them resident. A file that another program shortens meanwhile
//! ends there: its length is looked at now and then, and pages that are gone read as zeros until
//! it was.

use std::fs::File;
use std::io::{self, BufRead, Read};
use std::sync::Arc;

use super::shortened::Watch;
use memmap2::{Advice, Mmap, UncheckedAdvice};

/// Pages are released in pieces of this size.
const RELEASE_OCTETS: usize = 32 << 20;

/// Octets that a buffered reader is shown at once, so that it releases pages as it goes.
const BUFFER_OCTETS: usize = 1 << 20;

/// Octets after which the file's length is looked at again.
const LOOK_OCTETS: usize = 1 << 20;

/// A mapped file and a position in it.
pub(crate) struct Mapped {
    map: Arc<Map>,
    position: usize,
    /// How long the file was when that was looked at, at which position.
    end: usize,
    looked: usize,
    released: usize,
}

/// A file in memory, watched until it is let go.
struct Map {
    watch: Option<Watch>,
    octets: Mmap,
    file: File,
}

impl Mapped {
    /// Maps `file`, which must not be empty.
    pub(super) fn new(file: &File) -> io::Result<Self> {
        // SAFETY: the mapping is read-only and the file is opened for reading. Other programs may
        // change its octets while we look; no parser relies on two reads of an octet to agree.
        let map = unsafe { Mmap::map(file) }?;
        // Advice only: reading works without it.
        let _ = map.advise(Advice::Sequential);
        let map = Map { watch: Watch::new(&map), octets: map, file: file.try_clone()? };
        Ok(Self::begin(Arc::new(map)))
    }

    fn begin(map: Arc<Map>) -> Self {
        let end = map.octets.len();
        let mut mapped = Self { map, position: 0, end, looked: 0, released: 0 };
        mapped.look();
        mapped
    }

    /// The same pages from the beginning.
    pub(super) fn again(&self) -> Self {
        Self::begin(Arc::clone(&self.map))
    }

    /// Octets from the position to the end of the file.
    #[inline]
    pub(super) fn available(&self) -> &[u8] {
        &self.map.octets[self.position..self.end]
    }

    /// Moves the position behind `octets` of the available ones.
    #[inline]
    pub(super) fn advance(&mut self, octets: usize) {
        self.position += octets.min(self.end - self.position);
        if self.position - self.looked >= LOOK_OCTETS {
            self.look();
        }
        if self.position - self.released >= RELEASE_OCTETS {
            self.release();
        }
    }

    pub(super) const fn position(&self) -> u64 {
        self.position as u64
    }

    pub(super) fn total(&self) -> u64 {
        self.map.octets.len() as u64
    }

    /// What tells whether pages are gone.
    #[inline]
    pub(super) fn watch(&self) -> Option<&Watch> {
        self.map.watch.as_ref()
    }

    /// Whether the file has become shorter since it was opened, as far as is known.
    pub(super) fn is_shortened(&self) -> bool {
        self.end < self.map.octets.len() || self.watch().is_some_and(Watch::is_cut)
    }

    /// Looks at the file's length.
    fn look(&mut self) {
        self.looked = self.position;
        if let Ok(found) = self.map.file.metadata() {
            let length = usize::try_from(found.len()).unwrap_or(usize::MAX);
            self.end = self.end.min(length).max(self.position);
        }
    }

    fn release(&mut self) {
        let octets = self.position - self.released;
        // SAFETY: the mapping is shared, read-only and backed by a file, so a page that is looked
        // at again is read again from the file: slices into it stay valid.
        let _ = unsafe {
            self.map.octets.unchecked_advise_range(UncheckedAdvice::DontNeed, self.released, octets)
        };
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
