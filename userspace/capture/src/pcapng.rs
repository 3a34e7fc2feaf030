//! The pcapng format.
//!
//! Takes blocks, gives frames. A section has its own byte order and interfaces; blocks that carry
//! no frames are passed over. A block whose two lengths disagree is damage. A frame of an interface
//! that the section has not described, or that does not fit into its block, is undecodable.
//!
//! Source: draft-ietf-opsawg-pcapng.

use tapline_decode::{Direction, Frame};
use tapline_record::EventTime;

use super::byte_order::ByteOrder;
use super::end::Damage;
use super::parser::{Content, Parser, RECORD_OCTETS_MAX, Record, Stop};
use super::pcapng_interface::{Interface, Options};

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;

/// Type, length, and the length again at the end.
const BLOCK_OCTETS_MIN: usize = 12;

/// Octets of the type and the first length.
const BLOCK_HEADER_OCTETS: usize = 8;

/// Octets of a packet block's body before the frame.
const PACKET_HEADER_OCTETS: usize = 20;

/// Octets of a section header's body without options: magic, version and section length.
const SECTION_OCTETS_MIN: usize = 16;

/// Option `epb_flags`, the same as `pack_flags`.
const OPTION_FLAGS: u16 = 2;

/// Interfaces of a section beyond this are not kept, so their frames are undecodable.
const INTERFACES_MAX: usize = 65_536;

/// A pcapng file, by the section that is being read.
pub(super) struct Pcapng {
    order: ByteOrder,
    interfaces: Vec<Interface>,
    /// Time of the last frame that had one; simple packet blocks have none of their own.
    last: EventTime,
}

/// A whole block without its two lengths.
struct Block<'a> {
    kind: u32,
    octets: usize,
    body: &'a [u8],
}

impl Pcapng {
    /// Looks at the first section header, as far as it is there; `None` if this is no pcapng file,
    /// an error if it is one of a kind that cannot be read.
    pub(super) fn begin(start: &[u8]) -> Option<Result<Self, String>> {
        if u32::from_be_bytes(*start.first_chunk()?) != SECTION_HEADER {
            return None;
        }
        let section = start.get(BLOCK_HEADER_OCTETS..).and_then(<[u8]>::first_chunk);
        let order = section.map_or(Ok(ByteOrder::Little), section_order);
        let begun = order.map(|order| Self { order, interfaces: Vec::new(), last: EventTime(0) });
        Some(begun.map_err(|damage| damage.to_string()))
    }

    #[inline(always)]
    fn block<'a>(&self, octets: &'a [u8]) -> Result<Block<'a>, Stop> {
        let Some(header) = octets.first_chunk::<BLOCK_OCTETS_MIN>() else {
            return Err(Stop::Short(BLOCK_OCTETS_MIN));
        };
        let kind = self.order.word(header, 0);
        let [.., m0, m1, m2, m3] = *header;
        let order = match kind {
            SECTION_HEADER => byte_order([m0, m1, m2, m3]).map_err(Stop::Damaged)?,
            _ => self.order,
        };
        let leading = order.word(header, 1);
        if leading < BLOCK_OCTETS_MIN as u32 || leading > RECORD_OCTETS_MAX {
            return Err(Stop::Damaged(Damage::BlockLength { octets: leading }));
        }
        // Some writers leave the padding out of the length, though not out of the block.
        let total = leading.next_multiple_of(4) as usize;
        let Some((rest, end)) = octets.get(..total).and_then(<[u8]>::split_last_chunk) else {
            return Err(Stop::Short(total));
        };
        let trailing = order.u32(*end);
        if leading != trailing {
            return Err(Stop::Damaged(Damage::TrailingLength { leading, trailing }));
        }
        Ok(Block { kind, octets: total, body: &rest[BLOCK_HEADER_OCTETS..] })
    }

    /// Forgets the section before; interfaces are numbered anew.
    fn begin_section(&mut self, body: &[u8]) -> Result<(), Damage> {
        let section = body.first_chunk::<SECTION_OCTETS_MIN>().ok_or_else(|| too_short(body))?;
        self.order = section_order(section)?;
        self.interfaces.clear();
        Ok(())
    }

    fn describe_interface(&mut self, body: &[u8]) -> Result<(), Damage> {
        let interface = Interface::new(self.order, body).ok_or_else(|| too_short(body))?;
        if self.interfaces.len() < INTERFACES_MAX {
            self.interfaces.push(interface);
        }
        Ok(())
    }

    /// Blocks that are rare; kept apart so that the frame path stays small.
    #[inline(never)]
    fn other<'a>(&'a mut self, block: &Block<'a>) -> Result<Content<'a>, Stop> {
        match block.kind {
            SIMPLE_PACKET => Ok(delivered(self.simple_packet(block.body))),
            SECTION_HEADER => control(self.begin_section(block.body)),
            INTERFACE_DESCRIPTION => control(self.describe_interface(block.body)),
            _ => Ok(Content::Control),
        }
    }

    /// The frame of an enhanced packet block, or of the older packet block, which states the
    /// interface in half a word.
    #[inline(always)]
    fn packet<'a>(&'a mut self, kind: u32, body: &'a [u8]) -> Option<Frame<'a>> {
        let order = self.order;
        let (header, rest) = body.split_first_chunk::<PACKET_HEADER_OCTETS>()?;
        let id = match kind {
            PACKET => order.u16([header[0], header[1]]).into(),
            _ => order.word(header, 0),
        };
        let captured = order.word(header, 3) as usize;
        let bytes = rest.get(..captured)?;
        let options = rest.get(captured.next_multiple_of(4)..).unwrap_or_default();
        let interface = self.interfaces.get(id as usize)?;
        let units = u64::from(order.word(header, 1)) << 32 | u64::from(order.word(header, 2));
        self.last = interface.time(units);
        Some(Frame {
            ts: self.last,
            link: interface.link,
            direction: direction(order, options),
            interface: interface.name.as_deref(),
            original_octets: order.word(header, 4),
            bytes,
        })
    }

    /// The frame of a simple packet block: of the first interface, as long as its snapshot length.
    fn simple_packet<'a>(&'a self, body: &'a [u8]) -> Option<Frame<'a>> {
        let interface = self.interfaces.first()?;
        let (original, rest) = body.split_first_chunk()?;
        let original_octets = self.order.u32(*original);
        let captured = original_octets.min(interface.captured_max) as usize;
        Some(Frame {
            ts: self.last,
            link: interface.link,
            direction: None,
            interface: interface.name.as_deref(),
            original_octets,
            bytes: rest.get(..captured)?,
        })
    }
}

impl Parser for Pcapng {
    #[inline(always)]
    fn record<'a>(&'a mut self, octets: &'a [u8]) -> Result<Record<'a>, Stop> {
        let block = self.block(octets)?;
        let content = match block.kind {
            ENHANCED_PACKET | PACKET => delivered(self.packet(block.kind, block.body)),
            _ => self.other(&block)?,
        };
        Ok(Record { octets: block.octets, content })
    }
}

#[inline(always)]
fn delivered(frame: Option<Frame<'_>>) -> Content<'_> {
    frame.map_or(Content::Undecodable, Content::Frame)
}

fn control<'a>(outcome: Result<(), Damage>) -> Result<Content<'a>, Stop> {
    outcome.map(|()| Content::Control).map_err(Stop::Damaged)
}

const fn too_short(body: &[u8]) -> Damage {
    Damage::BlockLength { octets: (BLOCK_OCTETS_MIN + body.len()) as u32 }
}

/// The byte order of a section, by its magic.
fn byte_order(magic: [u8; 4]) -> Result<ByteOrder, Damage> {
    match u32::from_be_bytes(magic) {
        BYTE_ORDER_MAGIC => Ok(ByteOrder::Big),
        magic if magic.swap_bytes() == BYTE_ORDER_MAGIC => Ok(ByteOrder::Little),
        magic => Err(Damage::ByteOrderMagic { magic }),
    }
}

/// The byte order of a section, if its version is known.
fn section_order(section: &[u8; SECTION_OCTETS_MIN]) -> Result<ByteOrder, Damage> {
    let [m0, m1, m2, m3, v0, v1, ..] = *section;
    let order = byte_order([m0, m1, m2, m3])?;
    match order.u16([v0, v1]) {
        1 => Ok(order),
        major => Err(Damage::Version { major }),
    }
}

#[inline(always)]
fn direction(order: ByteOrder, options: &[u8]) -> Option<Direction> {
    if options.is_empty() {
        return None;
    }
    let flags = Options::new(order, options).find(|option| option.code == OPTION_FLAGS)?;
    match order.u32(flags.value.try_into().ok()?) & 0b11 {
        0b01 => Some(Direction::Ingress),
        0b10 => Some(Direction::Egress),
        _ => None,
    }
}
