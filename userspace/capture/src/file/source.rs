//! The octets of a capture, wherever they come from.
//!
//! Takes a mapped file or a pipe, either of them compressed or not, gives plain octets from the
//! position on. A mapped plain file is used in place; everything else goes through a buffer.

use std::io::{self, Read};

use super::mapped::Mapped;
use super::shortened::Watch;
use super::streamed::{Stored, Streamed};

/// Plain octets of a capture, and a position in them.
pub(crate) enum Source {
    Mapped(Mapped),
    Streamed(Streamed),
}

impl Source {
    /// A mapped file, decompressed if it begins as a compressed one.
    pub(super) fn mapped(mapped: Mapped) -> io::Result<Self> {
        match Compression::of(mapped.available()) {
            None => Ok(Self::Mapped(mapped)),
            Some(_) => Streamed::new(Stored::Mapped(mapped)).map(Self::Streamed),
        }
    }

    /// A pipe, decompressed if it begins as a compressed file.
    pub(super) fn piped(reader: impl Read + Send + 'static) -> io::Result<Self> {
        Streamed::new(Stored::piped(reader)?).map(Self::Streamed)
    }

    /// The same octets from the beginning; `None` for a pipe.
    pub(crate) fn again(&self) -> Option<Self> {
        let stored = match self {
            Self::Mapped(mapped) => mapped,
            Self::Streamed(streamed) => streamed.stored().as_mapped()?,
        };
        Self::mapped(stored.again()).ok()
    }

    /// Octets that can be looked at now; all that there are for a mapped file.
    #[inline]
    pub(crate) fn available(&self) -> &[u8] {
        match self {
            Self::Mapped(mapped) => mapped.available(),
            Self::Streamed(streamed) => streamed.available(),
        }
    }

    /// Moves the position behind `octets` of the available ones.
    pub(crate) fn consume(&mut self, octets: usize) {
        match self {
            Self::Mapped(mapped) => mapped.advance(octets),
            Self::Streamed(streamed) => streamed.advance(octets),
        }
    }

    /// Makes at least `octets` available; `false` if there are not that many. When there is nothing for
    /// now, that is an error of kind `WouldBlock`.
    pub(crate) fn fill(&mut self, octets: usize) -> io::Result<bool> {
        match self {
            Self::Mapped(mapped) => Ok(mapped.available().len() >= octets),
            Self::Streamed(streamed) => streamed.fill(octets),
        }
    }

    /// What tells whether pages of a mapped file are gone that is used in place.
    #[inline]
    pub(super) fn watch(&self) -> Option<&Watch> {
        match self {
            Self::Mapped(mapped) => mapped.watch(),
            Self::Streamed(_) => None,
        }
    }

    /// Whether zeros were read in place of pages that are gone.
    pub(super) fn has_lost_pages(&self) -> bool {
        self.watch().is_some_and(Watch::is_cut)
    }

    /// Whether the file has become shorter since it was opened, as far as is known.
    pub(crate) fn is_shortened(&self) -> bool {
        match self {
            Self::Mapped(mapped) => mapped.is_shortened(),
            Self::Streamed(streamed) => streamed.stored().as_mapped().is_some_and(Mapped::is_shortened),
        }
    }

    /// Position in the plain octets.
    pub(crate) const fn position(&self) -> u64 {
        match self {
            Self::Mapped(mapped) => mapped.position(),
            Self::Streamed(streamed) => streamed.position(),
        }
    }

    /// Position in the octets as they are stored.
    pub(crate) fn stored_position(&self) -> u64 {
        match self {
            Self::Mapped(mapped) => mapped.position(),
            Self::Streamed(streamed) => streamed.stored().position(),
        }
    }

    /// Octets as they are stored; `None` for a pipe.
    pub(crate) fn stored_total(&self) -> Option<u64> {
        match self {
            Self::Mapped(mapped) => Some(mapped.total()),
            Self::Streamed(streamed) => streamed.stored().as_mapped().map(Mapped::total),
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
