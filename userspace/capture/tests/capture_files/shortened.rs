//! Files that another program shortens while they are read.

use std::fs::OpenOptions;
use std::hint::black_box;

use tapline_capture::{CaptureFile, Damage, End};

use crate::written::{Order, pcap};

/// Octets of every frame, and of its record.
const FRAME_OCTETS: usize = 84;
const RECORD_OCTETS: usize = FRAME_OCTETS + 16;
const HEADER_OCTETS: usize = 24;

/// Reads a file of so many frames, which is shortened to so many octets when the first of them have been read; gives
/// how many frames came, and how it ended.
fn read(frames: usize, first: usize, shortened_octets: u64) -> (usize, End) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shortened.pcap");
    std::fs::write(&path, pcap(Order::Little, &vec![FRAME_OCTETS; frames])).unwrap();
    let mut file = CaptureFile::open(&path).unwrap();
    let mut came = 0;
    while came < first {
        came += file.read(first - came, &mut |_| {});
    }
    OpenOptions::new().write(true).open(&path).unwrap().set_len(shortened_octets).unwrap();
    while file.end().is_none() {
        // Whoever takes a frame looks at all its octets.
        came += file.read(100, &mut |frame| drop(black_box(frame.bytes.to_vec())));
    }
    (came, file.end().unwrap().clone())
}

#[test]
fn what_was_read_before_counts_and_the_rest_is_told() {
    const MIB: u64 = 1 << 20;
    // Shortened within what is looked at next, far ahead, and behind the place where it is read.
    for (frames, first, left) in [(5_000, 10, 8 << 10), (80_000, 100, 4 * MIB), (80_000, 40_000, 64 << 10)] {
        let (came, end) = read(frames, first, left);
        let End::Damaged { at_octet, reason } = end else { panic!("{end:?}") };
        assert_eq!(reason, Damage::Shortened);
        let whole = (left as usize - HEADER_OCTETS) / RECORD_OCTETS;
        let expected = whole.max(first);
        // The frame that its end lies in may have been taken.
        assert!((expected..=expected + 1).contains(&came), "{came} of {expected}");
        assert_eq!(at_octet as usize, HEADER_OCTETS + came * RECORD_OCTETS);
    }
}
