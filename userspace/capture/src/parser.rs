//! The loop over the records of a capture, the same for every format and source.
//!
//! Takes a run of octets that begins with a record, gives the frames of the whole records in it and
//! says why it stopped. A format only knows how to read one record. What a record is found to be
//! never depends on how many octets beyond it are available.

use super::shortened::Watch;
use tapline_decode::Frame;
use tapline_record::EventTime;

use super::end::{Counters, Damage};

/// Octets that a record may claim at most; more is taken for damage.
pub(super) const RECORD_OCTETS_MAX: u32 = 256 << 20;

/// How far to read.
#[derive(Clone, Copy)]
pub(super) struct Until {
    /// Frames to lend at most.
    pub(super) frames_max: u64,
    /// Stop before the first frame that is later than this.
    pub(super) latest: EventTime,
}

/// One record, and its length in the capture.
pub(super) struct Record<'a> {
    pub(super) octets: usize,
    pub(super) content: Content<'a>,
}

/// What a record holds.
pub(super) enum Content<'a> {
    Frame(Frame<'a>),
    /// A frame that cannot be delivered.
    Undecodable,
    /// No frame.
    Control,
}

/// Why no further record was read.
pub(super) enum Stop {
    /// `Until` is reached; the next frame has this time.
    Paused(EventTime),
    /// No verdict on the next record is possible before this many octets of it are available.
    Short(usize),
    /// The next record cannot be trusted.
    Damaged(Damage),
}

/// What came of a run of octets: those consumed, what was in them, and the reason to stop.
pub(super) struct Stretch {
    pub(super) octets: usize,
    pub(super) counters: Counters,
    pub(super) stop: Stop,
}

/// A capture file format.
pub(super) trait Parser {
    /// The record that `octets` begin with.
    fn record<'a>(&'a mut self, octets: &'a [u8]) -> Result<Record<'a>, Stop>;
}

/// Lends the frames of `octets` to `visit` as far as `until`, and as long as what is watched is whole, and counts
/// them.
#[inline]
pub(super) fn parse(
    parser: &mut impl Parser,
    octets: &[u8],
    watch: Option<&Watch>,
    until: Until,
    visit: &mut impl FnMut(&Frame<'_>),
) -> Stretch {
    let (mut rest, mut counters) = (octets, Counters::default());
    let stop = loop {
        let record = match parser.record(rest) {
            Ok(record) => record,
            Err(stop) => break stop,
        };
        match record.content {
            // Its octets may be zeros that the file never had.
            _ if watch.is_some_and(|watch| watch.is_cut_within(&rest[..record.octets])) => {
                break Stop::Short(0);
            }
            Content::Frame(frame) if counters.frames == until.frames_max || frame.ts > until.latest => {
                break Stop::Paused(frame.ts);
            }
            Content::Frame(frame) => {
                visit(&frame);
                counters.count(&frame);
            }
            Content::Undecodable => counters.undecodable += 1,
            Content::Control => {}
        }
        rest = &rest[record.octets..];
    };
    Stretch { octets: octets.len() - rest.len(), counters, stop }
}

impl Counters {
    #[inline]
    const fn count(&mut self, frame: &Frame<'_>) {
        self.frames += 1;
        self.captured_octets += frame.bytes.len() as u64;
        self.original_octets += frame.original_octets as u64;
    }
}
