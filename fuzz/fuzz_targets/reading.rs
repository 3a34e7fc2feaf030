//! Reads a capture as it is and in small pieces, which must agree.

use std::io::{self, Cursor, Read};

use tapline_capture::{CaptureFile, Counters, End, OpenError};

/// Reads `capture` at once and `octets_at_once` at a time.
pub fn check(capture: &[u8], octets_at_once: usize) {
    let whole = read(capture, usize::MAX, 1000);
    let pieces = read(capture, octets_at_once.max(1), 3);
    match (whole, pieces) {
        (Ok(whole), Ok(pieces)) => assert_eq!(whole, pieces),
        (whole, pieces) => assert!(whole.is_err() && pieces.is_err()),
    }
}

type Reading = (Vec<(i64, u32, Vec<u8>, String)>, Counters, Option<End>);

fn read(capture: &[u8], octets_at_once: usize, frames_max: usize) -> Result<Reading, OpenError> {
    let pipe = Trickle { rest: Cursor::new(capture.to_vec()), octets_at_once };
    let mut file = CaptureFile::from_reader("fuzz", pipe)?;
    let mut frames = Vec::new();
    while file.read(frames_max, &mut |frame| {
        let rest = format!("{:?} {:?} {:?}", frame.link, frame.direction, frame.interface);
        frames.push((frame.ts.0, frame.original_octets, frame.bytes.to_vec(), rest));
    }) > 0
    {}
    Ok((frames, file.counters(), file.end().cloned()))
}

struct Trickle {
    rest: Cursor<Vec<u8>>,
    octets_at_once: usize,
}

impl Read for Trickle {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let octets = buffer.len().min(self.octets_at_once);
        self.rest.read(&mut buffer[..octets])
    }
}
