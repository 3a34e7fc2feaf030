//! The octets of a capture, wherever they come from.
//!
//! Takes a mapped file or a pipe, either of them compressed or not, gives plain octets from the
//! position on. A mapped plain file is used in place; everything else goes through a buffer.

use std::io::{self, Read};

use super::mapped::Mapped;
use super::shortened::Watch;
use super::streamed::{Stored, Streamed};

/// Plain octets of a capture, and a position in them.
pub struct Octets(Kind);

enum Kind {
    Mapped(Mapped),
    Streamed(Streamed),
}

impl Octets {
    /// A mapped file, decompressed if it begins as a compressed one.
    pub(super) fn mapped(mapped: Mapped) -> io::Result<Self> {
        match Compression::of(mapped.available()) {
            None => Ok(Self(Kind::Mapped(mapped))),
            Some(_) => Streamed::new(Stored::Mapped(mapped)).map(|streamed| Self(Kind::Streamed(streamed))),
        }
    }

    /// A pipe, decompressed if it begins as a compressed file.
    pub(super) fn piped(reader: impl Read + Send + 'static) -> io::Result<Self> {
        Streamed::new(Stored::piped(reader)?).map(|streamed| Self(Kind::Streamed(streamed)))
    }

    /// The same octets from the beginning; `None` for a pipe.
    #[must_use]
    pub fn again(&self) -> Option<Self> {
        let stored = match &self.0 {
            Kind::Mapped(mapped) => mapped,
            Kind::Streamed(streamed) => streamed.stored().as_mapped()?,
        };
        Self::mapped(stored.again()).ok()
    }

    /// Octets that can be looked at now; all that there are for a mapped file.
    #[must_use]
    #[inline]
    pub fn available(&self) -> &[u8] {
        match &self.0 {
            Kind::Mapped(mapped) => mapped.available(),
            Kind::Streamed(streamed) => streamed.available(),
        }
    }

    /// Moves the position behind `octets` of the available ones.
    pub fn consume(&mut self, octets: usize) {
        match &mut self.0 {
            Kind::Mapped(mapped) => mapped.advance(octets),
            Kind::Streamed(streamed) => streamed.advance(octets),
        }
    }

    /// Makes at least `octets` available; `false` if there are not that many. When there is nothing for
    /// now, that is an error of kind `WouldBlock`.
    ///
    /// # Errors
    /// What the operating system or the decompression says.
    pub fn fill(&mut self, octets: usize) -> io::Result<bool> {
        match &mut self.0 {
            Kind::Mapped(mapped) => Ok(mapped.available().len() >= octets),
            Kind::Streamed(streamed) => streamed.fill(octets),
        }
    }

    /// What tells whether pages of a mapped file are gone that is used in place.
    #[inline]
    pub(super) fn watch(&self) -> Option<&Watch> {
        match &self.0 {
            Kind::Mapped(mapped) => mapped.watch(),
            Kind::Streamed(_) => None,
        }
    }

    /// Whether zeros were read in place of pages that are gone.
    pub(super) fn has_lost_pages(&self) -> bool {
        self.watch().is_some_and(Watch::is_cut)
    }

    /// Whether the file has become shorter since it was opened, as far as is known.
    #[must_use]
    pub fn is_shortened(&self) -> bool {
        match &self.0 {
            Kind::Mapped(mapped) => mapped.is_shortened(),
            Kind::Streamed(streamed) => streamed.stored().as_mapped().is_some_and(Mapped::is_shortened),
        }
    }

    /// Position in the plain octets.
    #[must_use]
    pub const fn position(&self) -> u64 {
        match &self.0 {
            Kind::Mapped(mapped) => mapped.position(),
            Kind::Streamed(streamed) => streamed.position(),
        }
    }

    /// Position in the octets as they are stored.
    #[must_use]
    pub fn stored_position(&self) -> u64 {
        match &self.0 {
            Kind::Mapped(mapped) => mapped.position(),
            Kind::Streamed(streamed) => streamed.stored().position(),
        }
    }

    /// Octets as they are stored; `None` for a pipe.
    #[must_use]
    pub fn stored_total(&self) -> Option<u64> {
        match &self.0 {
            Kind::Mapped(mapped) => Some(mapped.total()),
            Kind::Streamed(streamed) => streamed.stored().as_mapped().map(Mapped::total),
        }
    }
}

/// How a capture is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    Gzip,
    Zstd,
}

impl Compression {
    /// By the first octets of a file; a zstd file may begin with a skippable frame.
    pub(super) fn of(start: &[u8]) -> Option<Self> {
        match start {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Self::Zstd),
            _ => None,
        }
    }
}
