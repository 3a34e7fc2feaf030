//! Reads whole captures, mapped or as a stream.

use std::io::{self, Read, Write};

use tapline_capture::{CaptureFile, Counters, End, OpenError};
use tapline_decode::{Direction, Frame, LinkType};

/// A frame that was lent, kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) ts_ns: i64,
    pub(crate) link: LinkType,
    pub(crate) direction: Option<Direction>,
    pub(crate) interface: Option<String>,
    pub(crate) original_octets: u32,
    pub(crate) bytes: Vec<u8>,
}

impl Kept {
    pub(crate) fn of(frame: &Frame<'_>) -> Self {
        Self {
            ts_ns: frame.ts.0,
            link: frame.link,
            direction: frame.direction,
            interface: frame.interface.map(str::to_owned),
            original_octets: frame.original_octets,
            bytes: frame.bytes.to_vec(),
        }
    }
}

/// All that reading a capture gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) frames: Vec<Kept>,
    pub(crate) counters: Counters,
    pub(crate) end: End,
}

impl Reading {
    pub(crate) fn seconds(&self) -> Vec<i64> {
        self.frames.iter().map(|frame| frame.ts_ns / 1_000_000_000).collect()
    }
}

/// Reads `file` to its end in steps of a few frames.
pub(crate) fn read(mut file: CaptureFile) -> Reading {
    let mut frames = Vec::new();
    while file.read(3, &mut |frame| frames.push(Kept::of(frame))) > 0 {}
    assert_eq!(file.counters().frames, frames.len() as u64);
    Reading { frames, counters: file.counters(), end: file.end().unwrap().clone() }
}

/// Reads a capture from a mapped file.
pub(crate) fn mapped(capture: &[u8]) -> Result<Reading, OpenError> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(capture).unwrap();
    CaptureFile::open(file.path()).map(read)
}

/// Reads a capture from a pipe that gives `octets_at_once` at most.
pub(crate) fn piped(capture: &[u8], octets_at_once: usize) -> Result<Reading, OpenError> {
    let pipe = Trickle { rest: io::Cursor::new(capture.to_vec()), octets_at_once };
    CaptureFile::from_reader("pipe", pipe).map(read)
}

/// Reads a capture both ways, which must agree.
pub(crate) fn both(capture: &[u8]) -> Reading {
    let reading = mapped(capture).unwrap();
    assert_eq!(piped(capture, usize::MAX).unwrap(), reading);
    assert_eq!(piped(capture, 5).unwrap(), reading);
    reading
}

struct Trickle {
    rest: io::Cursor<Vec<u8>>,
    octets_at_once: usize,
}

impl Read for Trickle {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let octets = buffer.len().min(self.octets_at_once);
        self.rest.read(&mut buffer[..octets])
    }
}
