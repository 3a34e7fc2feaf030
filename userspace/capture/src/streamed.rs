//! A capture that is read through a buffer: pipes, and everything compressed.
//!
//! Takes stored octets, gives plain ones from the position on. The buffer holds what was read and
//! not yet consumed; it grows to the longest record, never ahead of the octets that really came.

use std::io::{self, BufRead, BufReader, Chain, Cursor, Read};

use flate2::bufread::MultiGzDecoder;

use super::mapped::Mapped;
use super::octets::Compression;
use super::pipe::read_start;

/// Octets of the buffer to begin with.
const BUFFER_OCTETS: usize = 256 << 10;

/// Octets that tell how a file is compressed.
const MAGIC_OCTETS: usize = 4;

/// The octets as they are stored.
pub(super) enum Stored {
    Mapped(Mapped),
    Piped { reader: Replayed, consumed: u64 },
}

/// The octets that were looked at, and then the rest.
type Replayed = BufReader<Chain<Cursor<Vec<u8>>, Box<dyn Read + Send>>>;

impl Stored {
    /// Looks at the first octets, which waits for a pipe to have some.
    pub(super) fn piped(reader: impl Read + Send + 'static) -> io::Result<Self> {
        let mut reader: Box<dyn Read + Send> = Box::new(reader);
        let mut start = vec![0; MAGIC_OCTETS];
        let octets = read_start(&mut reader, &mut start)?;
        start.truncate(octets);
        Ok(Self::Piped { reader: BufReader::new(Cursor::new(start).chain(reader)), consumed: 0 })
    }

    /// The mapped file; `None` for a pipe.
    pub(super) const fn as_mapped(&self) -> Option<&Mapped> {
        match self {
            Self::Mapped(mapped) => Some(mapped),
            Self::Piped { .. } => None,
        }
    }

    pub(super) const fn position(&self) -> u64 {
        match self {
            Self::Mapped(mapped) => mapped.position(),
            Self::Piped { consumed, .. } => *consumed,
        }
    }

    fn compression(&mut self) -> io::Result<Option<Compression>> {
        self.fill_buf().map(Compression::of)
    }
}

impl BufRead for Stored {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match self {
            Self::Mapped(mapped) => mapped.fill_buf(),
            Self::Piped { reader, .. } => reader.fill_buf(),
        }
    }

    fn consume(&mut self, octets: usize) {
        match self {
            Self::Mapped(mapped) => mapped.consume(octets),
            Self::Piped { reader, consumed } => {
                reader.consume(octets);
                *consumed += octets as u64;
            }
        }
    }
}

impl Read for Stored {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Mapped(mapped) => mapped.read(buffer),
            Self::Piped { reader, consumed } => {
                let octets = reader.read(buffer)?;
                *consumed += octets as u64;
                Ok(octets)
            }
        }
    }
}

enum Plain {
    Same(Stored),
    Gzip(Box<MultiGzDecoder<Stored>>),
    Zstd(Box<zstd::Decoder<'static, Stored>>),
}

impl Plain {
    fn of(mut stored: Stored) -> io::Result<Self> {
        Ok(match stored.compression()? {
            None => Self::Same(stored),
            Some(Compression::Gzip) => Self::Gzip(Box::new(MultiGzDecoder::new(stored))),
            Some(Compression::Zstd) => Self::Zstd(Box::new(zstd::Decoder::with_buffer(stored)?)),
        })
    }

    fn stored(&self) -> &Stored {
        match self {
            Self::Same(stored) => stored,
            Self::Gzip(decoder) => decoder.get_ref(),
            Self::Zstd(decoder) => decoder.get_ref(),
        }
    }
}

impl Read for Plain {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Same(stored) => stored.read(buffer),
            Self::Gzip(decoder) => decoder.read(buffer),
            Self::Zstd(decoder) => decoder.read(buffer),
        }
    }
}

/// Plain octets read ahead of a position.
pub(super) struct Streamed {
    plain: Plain,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    position: u64,
}

impl Streamed {
    pub(super) fn new(stored: Stored) -> io::Result<Self> {
        let plain = Plain::of(stored)?;
        Ok(Self { plain, buffer: vec![0; BUFFER_OCTETS], start: 0, end: 0, position: 0 })
    }

    pub(super) fn stored(&self) -> &Stored {
        self.plain.stored()
    }

    pub(super) const fn position(&self) -> u64 {
        self.position
    }

    #[inline]
    pub(super) fn available(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    pub(super) const fn advance(&mut self, octets: usize) {
        self.start += octets;
        self.position += octets as u64;
    }

    /// Reads until `octets` are available; `false` if the end comes first. What was read stays when
    /// there is nothing for now, which is an error of kind `WouldBlock`.
    pub(super) fn fill(&mut self, octets: usize) -> io::Result<bool> {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        while self.end < octets {
            self.make_room(octets);
            match self.plain.read(&mut self.buffer[self.end..]) {
                Ok(0) => return Ok(false),
                Ok(more) => self.end += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn make_room(&mut self, octets: usize) {
        if self.end == self.buffer.len() {
            self.buffer.resize(octets.min(self.end * 2), 0);
        }
    }
}
