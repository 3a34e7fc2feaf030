//! The pcap format.
//!
//! Takes records after the file header, gives frames. Timestamps in microseconds and nanoseconds,
//! both byte orders, and Kuznetzov's variant with a longer record header. Lengths are those of the
//! record header; one beyond the snapshot length and any usual frame is damage.
//!
//! Source: draft-ietf-opsawg-pcap.

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

/// The upper bits of the link type state the length of the frame check sequence.
const LINK_TYPE_MASK: u32 = 0x03ff_ffff;

/// A pcap file, by its header.
pub(super) struct Pcap {
    order: ByteOrder,
    /// The file header is the first record, and holds no frame.
    begun: bool,
    record_header_octets: usize,
    nanoseconds_a_unit: i64,
    captured_max: u32,
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
        let major = order.u16([header[4], header[5]]);
        if known >= 6 && major != 2 {
            return Some(Err(format!("pcap version {major}; version 2 is expected")));
        }
        Some(Ok(Self {
            order,
            begun: false,
            record_header_octets: record_header_octets(magic),
            nanoseconds_a_unit: if magic == MAGIC_NANOSECONDS { 1 } else { 1000 },
            captured_max: order.word(&header, 4).clamp(USUAL_FRAME_OCTETS_MAX, RECORD_OCTETS_MAX),
            link: link_type::from_number(order.word(&header, 5) & LINK_TYPE_MASK),
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
        let captured = self.order.word(header, 2);
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
            original_octets: self.order.word(header, 3),
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

const fn record_header_octets(magic: u32) -> usize {
    if magic == MAGIC_KUZNETZOV { KUZNETZOV_RECORD_HEADER_OCTETS } else { RECORD_HEADER_OCTETS }
}
