//! The pcap format.
//!
//! Takes records after the file header, gives frames. Timestamps in microseconds and nanoseconds,
//! both byte orders, and Kuznetzov's variant with a longer record header. Lengths are those of the
//! record header, which versions before 2.4 may have in the other order; one beyond the snapshot length and
//! any usual frame is damage.
//!
//! Source: draft-ietf-opsawg-pcap; of old versions, libpcap's sf-pcap.c.

use std::hint::black_box;

use tapline_decode::{Frame, LinkType};
use tapline_record::EventTime;

use super::byte_order::ByteOrder;
use super::end::Damage;
use super::link_type;
use super::parser::{Content, Parser, RECORD_OCTETS_MAX, Record, Stop};

/// Octets before the first record.
pub(super) const FILE_HEADER_OCTETS: usize = 24;

const MAGIC_MICROSECONDS: u32 = 0xa1b2_c3d4;
const MAGIC_NANOSECONDS: u32 = 0xa1b2_3c4d;
const MAGIC_KUZNETZOV: u32 = 0xa1b2_cd34;

const RECORD_HEADER_OCTETS: usize = 16;
const KUZNETZOV_RECORD_HEADER_OCTETS: usize = 24;

/// Frames of this length are usual, whatever snapshot length the header states.
const USUAL_FRAME_OCTETS_MAX: u32 = 256 << 10;

/// How far ahead memory is asked for: about a page.
const AHEAD_OCTETS: usize = 4096;

/// The upper bits of the link type state the length of the frame check sequence, in units of two octets, and
/// whether they do.
const LINK_TYPE_MASK: u32 = 0x03ff_ffff;
const HAS_FCS_LENGTH: u32 = 0x0400_0000;
const FCS_LENGTH_SHIFT: u32 = 28;

/// The version of all files of today, and that of DG/UX.
const MAJOR: u16 = 2;
const DG_UX: (u16, u16) = (543, 0);

/// In which order a record states the captured and the original length.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lengths {
    /// The captured one first.
    InOrder,
    /// The original one first, unless that contradicts them.
    MayBeInterchanged,
    /// The original one first.
    Interchanged,
}

impl Lengths {
    /// By the file's version: the order changed with 2.3, but some wrote the version and not the order.
    const fn of_version(major: u16, minor: u16) -> Self {
        match (major, minor) {
            (MAJOR, 3) => Self::MayBeInterchanged,
            (MAJOR, 4..) => Self::InOrder,
            _ => Self::Interchanged,
        }
    }

    /// The captured and the original length, of what stands in a record.
    #[inline]
    const fn in_order(self, first: u32, second: u32) -> (u32, u32) {
        match self {
            Self::InOrder => (first, second),
            Self::MayBeInterchanged if first <= second => (first, second),
            _ => (second, first),
        }
    }
}

/// A pcap file, by its header.
pub(super) struct Pcap {
    order: ByteOrder,
    /// The file header is the first record, and holds no frame.
    begun: bool,
    record_header_octets: usize,
    nanoseconds_a_unit: i64,
    captured_max: u32,
    lengths: Lengths,
    link: LinkType,
}

impl Pcap {
    /// Reads the file header, as far as it is there; `None` if this is no pcap file, an error if it
    /// is one of a kind that cannot be read.
    pub(super) fn begin(start: &[u8]) -> Option<Result<Self, String>> {
        let (order, magic) = magic(*start.first_chunk()?)?;
        let mut header = [0; FILE_HEADER_OCTETS];
        let known = start.len().min(FILE_HEADER_OCTETS);
        header[..known].copy_from_slice(&start[..known]);
        let version = (order.u16([header[4], header[5]]), order.u16([header[6], header[7]]));
        let (major, minor) = version;
        if known >= 8 && major != MAJOR && version != DG_UX {
            return Some(Err(format!("pcap version {major}; version 2 is expected")));
        }
        Some(Ok(Self {
            order,
            begun: false,
            record_header_octets: record_header_octets(magic),
            nanoseconds_a_unit: if magic == MAGIC_NANOSECONDS { 1 } else { 1000 },
            captured_max: order.word(&header, 4).clamp(USUAL_FRAME_OCTETS_MAX, RECORD_OCTETS_MAX),
            lengths: Lengths::of_version(major, minor),
            link: link_of(order.word(&header, 5)),
        }))
    }

    fn file_header<'a>(&mut self, octets: &[u8]) -> Result<Record<'a>, Stop> {
        if octets.len() < FILE_HEADER_OCTETS {
            return Err(Stop::Short(FILE_HEADER_OCTETS));
        }
        self.begun = true;
        Ok(Record { octets: FILE_HEADER_OCTETS, content: Content::Control })
    }
}

impl Parser for Pcap {
    #[inline]
    fn record<'a>(&'a mut self, octets: &'a [u8]) -> Result<Record<'a>, Stop> {
        if !self.begun {
            return self.file_header(octets);
        }
        // Asks for the memory ahead, so that the headers of small frames are there in time.
        black_box(octets.get(AHEAD_OCTETS).copied());
        let Some(header) = octets.first_chunk::<RECORD_HEADER_OCTETS>() else {
            return Err(Stop::Short(RECORD_HEADER_OCTETS));
        };
        let (captured, original) =
            self.lengths.in_order(self.order.word(header, 2), self.order.word(header, 3));
        if captured > self.captured_max {
            let captured_max = self.captured_max;
            return Err(Stop::Damaged(Damage::FrameTooLong { captured, captured_max }));
        }
        let end = self.record_header_octets + captured as usize;
        let Some(bytes) = octets.get(self.record_header_octets..end) else {
            return Err(Stop::Short(end));
        };
        let frame = Frame {
            ts: self.time(self.order.word(header, 0), self.order.word(header, 1)),
            link: self.link,
            direction: None,
            interface: None,
            original_octets: original,
            bytes,
        };
        Ok(Record { octets: end, content: Content::Frame(frame) })
    }
}

impl Pcap {
    /// A fraction of a second or more carries over.
    #[inline]
    fn time(&self, seconds: u32, units: u32) -> EventTime {
        EventTime::from_parts(seconds.into(), i64::from(units) * self.nanoseconds_a_unit)
    }
}

fn magic(octets: [u8; 4]) -> Option<(ByteOrder, u32)> {
    [ByteOrder::Little, ByteOrder::Big]
        .map(|order| (order, order.u32(octets)))
        .into_iter()
        .find(|(_, magic)| matches!(*magic, MAGIC_MICROSECONDS | MAGIC_NANOSECONDS | MAGIC_KUZNETZOV))
}

const fn link_of(word: u32) -> LinkType {
    let fcs_octets = if word & HAS_FCS_LENGTH == 0 { 0 } else { (word >> FCS_LENGTH_SHIFT) * 2 };
    link_type::with_fcs(word & LINK_TYPE_MASK, fcs_octets)
}

const fn record_header_octets(magic: u32) -> usize {
    if magic == MAGIC_KUZNETZOV { KUZNETZOV_RECORD_HEADER_OCTETS } else { RECORD_HEADER_OCTETS }
}
