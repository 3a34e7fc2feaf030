//! The ring of an `AF_PACKET` socket (`TPACKET_V3`), in the memory of this process.
//!
//! Gives the frames that the kernel wrote, in its order, lent until the next one is asked for: from their first
//! octet on, or from their network header on, as the socket is. A block belongs to
//! this side from when the kernel says so until it is given back; only then is its memory touched. What a block
//! says of its frames is checked against its length.

use std::io;
use std::mem::offset_of;
use std::os::fd::AsRawFd as _;
use std::sync::atomic::{AtomicU32, Ordering};

use libc::{TP_STATUS_USER, TP_STATUS_VLAN_TPID_VALID, TP_STATUS_VLAN_VALID, sockaddr_ll, tpacket3_hdr};
use memmap2::{MmapOptions, MmapRaw};
use socket2::Socket;

use super::packet_socket::{FrameStart, RESERVE_OCTETS, RingShape};
use super::tag::put_back;

/// Where a block says whose it is, how many frames it has, and where the first one is.
const BLOCK_HEADER_AT: usize = offset_of!(libc::tpacket_block_desc, hdr);
const STATUS_AT: usize = BLOCK_HEADER_AT + offset_of!(libc::tpacket_hdr_v1, block_status);
const FRAMES_AT: usize = BLOCK_HEADER_AT + offset_of!(libc::tpacket_hdr_v1, num_pkts);
const FIRST_AT: usize = BLOCK_HEADER_AT + offset_of!(libc::tpacket_hdr_v1, offset_to_first_pkt);

/// Where a frame's `sockaddr_ll` is, behind its header, and which way it went, within that.
const ADDRESS_AT: usize = size_of::<tpacket3_hdr>().next_multiple_of(libc::TPACKET_ALIGNMENT);
const WAY_AT: usize = ADDRESS_AT + offset_of!(sockaddr_ll, sll_pkttype);
const PROTOCOL_AT: usize = ADDRESS_AT + offset_of!(sockaddr_ll, sll_protocol);
const VLAN_AT: usize = offset_of!(tpacket3_hdr, hv1);

/// The tag of a VLAN where the kernel does not say which (`ETH_P_8021Q`).
const VLAN: u16 = 0x8100;
/// The kernel says of a frame that it holds several packets of a TCP connection, since Linux 6.0
/// (`TP_STATUS_GSO_TCP`).
const STATUS_JOINED: u32 = 1 << 8;

/// A frame in the ring.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RingFrame<'a> {
    /// Time of its arrival, seconds since 1970 and nanoseconds.
    pub(super) time: (u32, u32),
    /// Length on the wire.
    pub(super) original_octets: u32,
    /// Which way it went (`PACKET_*`).
    pub(super) way: u8,
    /// What is behind its link header, an EtherType.
    pub(super) protocol: u16,
    /// Octets in front of that, without tags that were beside the frame.
    pub(super) link_octets: u32,
    /// The kernel says that it holds several packets.
    pub(super) is_joined: bool,
    /// What was read of it.
    pub(super) bytes: &'a [u8],
}

/// The ring, and how far it was read.
pub(super) struct PacketRing {
    memory: MmapRaw,
    shape: RingShape,
    /// What its frames begin with.
    start: FrameStart,
    /// The block to read.
    block: usize,
    /// It is ours.
    is_held: bool,
    /// Its frames that were not read yet, and where the next one is.
    left: u32,
    next_at: usize,
}

impl PacketRing {
    /// Maps the ring of a socket.
    pub(super) fn map(socket: &Socket, shape: RingShape, start: FrameStart) -> io::Result<Self> {
        let octets = shape.block_octets * shape.blocks;
        let memory = MmapOptions::new().len(octets).map_raw(socket.as_raw_fd())?;
        Ok(Self { memory, shape, start, block: 0, is_held: false, left: 0, next_at: 0 })
    }

    /// The next frame; `None` if the kernel has handed over no other.
    pub(super) fn next(&mut self) -> Option<RingFrame<'_>> {
        while self.left == 0 {
            self.give_back();
            self.take()?;
        }
        self.left -= 1;
        let at = self.next_at;
        let block = self.held();
        let next_at = at.saturating_add(word(block, at)? as usize);
        self.next_at = next_at;
        let start = self.start;
        frame(self.held(), at, start)
    }

    /// Takes the next block, if the kernel has handed it over.
    fn take(&mut self) -> Option<()> {
        if self.status().load(Ordering::Acquire) & TP_STATUS_USER == 0 {
            return None;
        }
        self.is_held = true;
        let block = self.held();
        let (frames, first_at) = (word(block, FRAMES_AT)?, word(block, FIRST_AT)?);
        (self.left, self.next_at) = (frames, first_at as usize);
        Some(())
    }

    /// Gives the block back to the kernel.
    fn give_back(&mut self) {
        if self.is_held {
            self.is_held = false;
            self.status().store(libc::TP_STATUS_KERNEL, Ordering::Release);
            self.block = (self.block + 1) % self.shape.blocks;
        }
    }

    /// Whose the block is.
    fn status(&self) -> &AtomicU32 {
        // SAFETY: within the block, aligned as the kernel lays it out, mapped as long as `self`, and read and
        // written as an atomic on either side.
        unsafe { AtomicU32::from_ptr(self.block_start().wrapping_add(STATUS_AT).cast()) }
    }

    /// The memory of the block that was taken.
    fn held(&mut self) -> &mut [u8] {
        assert!(self.is_held, "invariant: a block is read between taking and giving back");
        // SAFETY: within the mapped memory, and the kernel leaves the block alone until it is given back.
        unsafe { std::slice::from_raw_parts_mut(self.block_start(), self.shape.block_octets) }
    }

    fn block_start(&self) -> *mut u8 {
        self.memory.as_mut_ptr().wrapping_add(self.block * self.shape.block_octets)
    }
}

/// The frame whose header is at an offset in a block; `None` if it would not be within the block.
fn frame(block: &mut [u8], at: usize, frames_start: FrameStart) -> Option<RingFrame<'_>> {
    let number = |offset: usize| word(block, at.checked_add(offset)?);
    let half = |offset: usize| half(block, at.checked_add(offset)?);
    let time = (number(offset_of!(tpacket3_hdr, tp_sec))?, number(offset_of!(tpacket3_hdr, tp_nsec))?);
    let read_octets = number(offset_of!(tpacket3_hdr, tp_snaplen))? as usize;
    let original_octets = number(offset_of!(tpacket3_hdr, tp_len))?;
    let status = number(offset_of!(tpacket3_hdr, tp_status))?;
    let (link_at, network_at) =
        (half(offset_of!(tpacket3_hdr, tp_mac))?, half(offset_of!(tpacket3_hdr, tp_net))?);
    let start = at.checked_add(link_at.into())?;
    let tag = number(VLAN_AT + offset_of!(libc::tpacket_hdr_variant1, tp_vlan_tci))? as u16;
    let kind = half(VLAN_AT + offset_of!(libc::tpacket_hdr_variant1, tp_vlan_tpid))?;
    let way = *block.get(at.checked_add(WAY_AT)?)?;
    let protocol = u16::from_be(half(PROTOCOL_AT)?);
    let link_octets = network_at.saturating_sub(link_at).into();
    let is_joined = status & STATUS_JOINED != 0;
    let bytes = block.get_mut(start.checked_sub(RESERVE_OCTETS)?..start.checked_add(read_octets)?)?;
    let is_tag_beside = status & TP_STATUS_VLAN_VALID != 0 && frames_start == FrameStart::Link;
    let kind = if status & TP_STATUS_VLAN_TPID_VALID == 0 { VLAN } else { kind };
    let ([a, b], [c, d]) = (kind.to_be_bytes(), tag.to_be_bytes());
    let bytes = put_back(bytes, is_tag_beside.then_some([a, b, c, d]));
    let original_octets = original_octets.saturating_add((bytes.len() - read_octets) as u32);
    Some(RingFrame { time, original_octets, way, protocol, link_octets, is_joined, bytes })
}

/// The number at an offset.
fn word(octets: &[u8], at: usize) -> Option<u32> {
    octets.get(at..)?.first_chunk().copied().map(u32::from_ne_bytes)
}

/// The short number at an offset.
fn half(octets: &[u8], at: usize) -> Option<u16> {
    octets.get(at..)?.first_chunk().copied().map(u16::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: usize = 48;
    const MAC: usize = 82;

    /// A block with one frame of so many octets, as the kernel writes it.
    fn block(status: u32, octets: u32) -> Vec<u8> {
        let mut block = vec![0; 256];
        let mut put = |at: usize, octets: &[u8]| block[at..at + octets.len()].copy_from_slice(octets);
        let words = [0, 7, 9, octets, 100, status].map(u32::to_ne_bytes);
        put(AT, words.as_flattened());
        put(AT + offset_of!(tpacket3_hdr, tp_mac), &(MAC as u16).to_ne_bytes());
        put(AT + offset_of!(tpacket3_hdr, tp_net), &(MAC as u16 + 14).to_ne_bytes());
        put(AT + PROTOCOL_AT, &[0x08, 0x00]);
        put(AT + VLAN_AT + 4, &0x2005_u32.to_ne_bytes());
        put(AT + VLAN_AT + 8, &0x88a8_u16.to_ne_bytes());
        put(AT + WAY_AT, &[libc::PACKET_OUTGOING]);
        put(AT + MAC, &std::array::from_fn::<u8, 20, _>(|place| place as u8));
        block
    }

    #[test]
    fn a_frame_is_read_as_it_is() {
        let mut block = block(TP_STATUS_USER | STATUS_JOINED, 20);
        let frame = frame(&mut block, AT, FrameStart::Link).expect("a frame");
        assert_eq!((frame.time, frame.original_octets, frame.way), ((7, 9), 100, libc::PACKET_OUTGOING));
        assert_eq!((frame.protocol, frame.link_octets, frame.is_joined), (0x0800, 14, true));
        assert_eq!(frame.bytes, std::array::from_fn::<u8, 20, _>(|place| place as u8));
    }

    #[test]
    fn a_tag_is_put_back_behind_the_addresses() {
        for (status, kind) in [(TP_STATUS_VLAN_TPID_VALID, [0x88, 0xa8]), (0, [0x81, 0])] {
            let mut block = block(TP_STATUS_VLAN_VALID | status, 20);
            let frame = frame(&mut block, AT, FrameStart::Link).expect("a frame");
            let expected = [&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11][..], &kind, &[0x20, 5, 12, 13]].concat();
            assert_eq!((frame.original_octets, &frame.bytes[..18]), (104, &expected[..]));
            assert_eq!(frame.bytes.len(), 24);
        }
    }

    #[test]
    fn a_frame_that_takes_no_tag_is_left_alone() {
        let mut short = block(TP_STATUS_VLAN_VALID, 11);
        assert_eq!(frame(&mut short, AT, FrameStart::Link).expect("a frame").bytes.len(), 11);
        let mut other = block(TP_STATUS_VLAN_VALID, 20);
        assert_eq!(frame(&mut other, AT, FrameStart::Network).expect("a frame").bytes.len(), 20);
    }

    #[test]
    fn a_header_that_lies_is_no_frame() {
        let mut lies = block(TP_STATUS_USER, 200);
        assert_eq!(frame(&mut lies, AT, FrameStart::Link), None);
        let mut honest = block(TP_STATUS_USER, 20);
        for at in [250, 256, usize::MAX] {
            assert_eq!(frame(&mut honest, at, FrameStart::Link), None, "{at}");
        }
    }
}
