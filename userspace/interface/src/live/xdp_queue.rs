//! One receive queue of an interface, read through `AF_XDP`.
//!
//! Owns a socket, its rings and the memory that the kernel writes frames into. Gives each frame with the time that
//! the program wrote in front of it, lent for one call. A piece of memory is with the kernel, in the burst, or
//! free; whatever is free goes back to the kernel after each burst.

use std::collections::VecDeque;
use std::io;
use std::os::fd::BorrowedFd;

use tapline_ebpf_common::FrameStamp;
use xdp::nic::NicIndex;
use xdp::slab::Slab;
use xdp::socket::{BindFlags, SocketError, XdpSocket, XdpSocketBuilder};
use xdp::umem::{FrameSize, UmemCfgBuilder};
use xdp::{CompletionRing, Packet, RingConfigBuilder, RxRing, Umem, WakableFillRing, WakableRings};

use super::tag::{TAG_OCTETS, put_back};
use super::xdp_shares::Numbered;
use crate::kernel::{monotonic_ns, stamp};
use tapline_socket::option;

/// Octets in front of each frame: the stamp, and that the frame begins on a line of the cache.
const HEADROOM_OCTETS: u32 = 64;
/// Octets that the kernel keeps in front of that.
const KERNEL_HEADROOM_OCTETS: u32 = 256;
/// Entries of a ring that is not used; zero is not allowed.
const UNUSED_ENTRIES: u32 = 64;
/// Frames that are taken out of the ring at a time.
const BURST_FRAMES: usize = 256;

/// Memory for the frames of a queue.
#[derive(Clone, Copy)]
pub(super) struct UmemShape {
    /// Pieces, a power of two.
    frames: u32,
    size: FrameSize,
    octets: u32,
}

impl UmemShape {
    /// So many frames, rounded up, of up to so many octets; `None` if a piece of memory cannot hold one.
    pub(super) fn new(frames: u32, frame_octets: u32) -> Option<Self> {
        let frames = frames.clamp(1, 1 << 20).next_power_of_two().max(UNUSED_ENTRIES);
        let needed = frame_octets.saturating_add(HEADROOM_OCTETS + KERNEL_HEADROOM_OCTETS);
        let (size, octets) = match needed {
            0..=2048 => (FrameSize::TwoK, 2048),
            2049..=4096 => (FrameSize::FourK, 4096),
            _ => return None,
        };
        Some(Self { frames, size, octets })
    }

    /// Octets of the memory of one queue.
    pub(super) fn octets(self) -> u64 {
        u64::from(self.frames) * u64::from(self.octets)
    }

    fn map(self) -> io::Result<Umem> {
        let memory = UmemCfgBuilder {
            frame_size: self.size,
            head_room: HEADROOM_OCTETS,
            frame_count: self.frames,
            ..UmemCfgBuilder::default()
        };
        Umem::map(memory.build().map_err(io::Error::other)?)
    }
}

/// Why a queue cannot be read.
pub(super) enum QueueError {
    /// There is no memory.
    Memory,
    /// The socket.
    Socket(SocketError),
}

/// A queue.
pub(super) struct XdpQueue {
    number: u32,
    // In this order: the kernel must have let go of the memory before it goes.
    socket: XdpSocket,
    receive: RxRing,
    fill: WakableFillRing,
    _completion: CompletionRing,
    burst: Burst,
    memory: Umem,
    /// All that came before this was lent, on the programs' clock, ns.
    lent_until_ns: u64,
    /// What was dropped, as far as it was told.
    told: [u64; 3],
}

/// Frames that were taken out of the ring and not lent yet.
struct Burst(VecDeque<Packet>);

// SAFETY: the frames lie in the memory of the queue that owns the burst, and which moves along with it.
unsafe impl Send for Burst {}

impl XdpQueue {
    /// Begins to read a queue of an interface, without copying if its driver can.
    pub(super) fn open(interface_index: u32, queue: u32, shape: UmemShape) -> Result<Self, QueueError> {
        let memory = shape.map().map_err(|_| QueueError::Memory)?;
        let (builder, rings, flags) = rings(&memory, shape).map_err(QueueError::Socket)?;
        let receive = rings.rx_ring.ok_or(QueueError::Memory)?;
        let socket =
            builder.bind(NicIndex::new(interface_index), queue, flags).map_err(QueueError::Socket)?;
        let mut queue = Self {
            number: queue,
            socket,
            receive,
            fill: rings.fill_ring,
            _completion: rings.completion_ring,
            burst: Burst(VecDeque::with_capacity(BURST_FRAMES)),
            memory,
            lent_until_ns: 0,
            told: [0; 3],
        };
        queue.refill().map_err(|_| QueueError::Memory)?;
        Ok(queue)
    }

    /// The socket, to wait for, and to redirect frames to.
    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        // SAFETY: the socket is open as long as it is borrowed.
        unsafe { BorrowedFd::borrow_raw(self.socket.raw_fd()) }
    }

    /// Whether the interface writes into the memory itself.
    pub(super) fn is_zero_copy(&self) -> io::Result<bool> {
        let [options] = option::words(self.socket(), libc::SOL_XDP, libc::XDP_OPTIONS)?;
        Ok(options & libc::XDP_OPTIONS_ZEROCOPY != 0)
    }

    /// Frames dropped since the last call, whoever made it: as there was no memory or not enough of it, and as the ring
    /// was full; and how often there was no memory.
    pub(super) fn newly_dropped(&mut self) -> io::Result<[u64; 3]> {
        let counted = self.socket.statistics().map_err(io::Error::other)?;
        let counted = [counted.rx_dropped, counted.rx_ring_full, counted.rx_fill_ring_empty_descs];
        let before = std::mem::replace(&mut self.told, counted);
        Ok(std::array::from_fn(|place| counted[place].saturating_sub(before[place])))
    }

    /// Lends up to `frames_max` frames, each with what the program wrote in front of it; returns how many.
    pub(super) fn lend(
        &mut self,
        frames_max: usize,
        visit: &mut dyn FnMut(Option<FrameStamp>, &[u8]),
    ) -> io::Result<usize> {
        let mut frames = 0;
        while frames < frames_max && self.receive() {
            while frames < frames_max
                && let Some(packet) = self.burst.0.pop_front()
            {
                self.lend_one(packet, visit);
                frames += 1;
            }
            self.refill()?;
        }
        Ok(frames)
    }

    /// Takes frames out of the ring, if there are none left; whether there are some now.
    fn receive(&mut self) -> bool {
        if self.burst.0.is_empty() {
            let now_ns = monotonic_ns();
            // SAFETY: the burst is this queue's, so its frames go before the memory does.
            unsafe { self.receive.recv(&self.memory, &mut self.burst) };
            if self.burst.0.is_empty() {
                self.lent_until_ns = now_ns;
            }
        }
        !self.burst.0.is_empty()
    }

    /// All that came before this was lent, on the programs' clock, ns.
    pub(super) const fn lent_until_ns(&self) -> u64 {
        self.lent_until_ns
    }

    fn lend_one(&mut self, mut packet: Packet, visit: &mut dyn FnMut(Option<FrameStamp>, &[u8])) {
        let stamp_octets = size_of::<FrameStamp>();
        let stamp = match packet.adjust_head(-(stamp_octets as i32)) {
            Ok(()) => take_stamp(&mut packet),
            Err(_) => None,
        };
        let bytes = packet.get_mut(stamp_octets - TAG_OCTETS..).unwrap_or_default();
        let tag = stamp.and_then(|stamp| stamp.tag.octets());
        self.lent_until_ns = stamp.map_or(self.lent_until_ns, |stamp| stamp.ts_ns);
        visit(stamp, put_back(bytes, tag));
        self.memory.free_packet(packet);
    }

    /// Gives all free memory to the kernel; if its ring has no room for so much yet, a part of it.
    fn refill(&mut self) -> io::Result<()> {
        let mut frames = self.memory.allocatable();
        while frames > 0 {
            // SAFETY: the memory goes after the socket does.
            let given = unsafe { self.fill.enqueue(&mut self.memory, frames, false) }?;
            if given > 0 {
                break;
            }
            frames /= 2;
        }
        Ok(())
    }
}

impl Numbered for XdpQueue {
    fn number(&self) -> u32 {
        self.number
    }
}

impl Slab for Burst {
    fn available(&self) -> usize {
        BURST_FRAMES - self.0.len().min(BURST_FRAMES)
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn push_front(&mut self, packet: Packet) -> Option<Packet> {
        if self.available() == 0 {
            return Some(packet);
        }
        self.0.push_back(packet);
        None
    }

    fn pop_back(&mut self) -> Option<Packet> {
        self.0.pop_front()
    }
}

/// A socket that is not bound yet, and its rings: as many entries as there are frames, so that all fit.
fn rings(
    memory: &Umem,
    shape: UmemShape,
) -> Result<(XdpSocketBuilder, WakableRings, BindFlags), SocketError> {
    let entries = RingConfigBuilder {
        rx_count: shape.frames,
        tx_count: 0,
        fill_count: shape.frames,
        completion_count: UNUSED_ENTRIES,
    };
    let entries = entries.build().map_err(|error| SocketError::SocketCreation(io::Error::other(error)))?;
    let mut builder = XdpSocketBuilder::new()?;
    let (rings, flags) = builder.build_wakable_rings(memory, entries)?;
    Ok((builder, rings, flags))
}

/// Reads the stamp at the start, and takes it away, so that nobody finds it in front of another frame.
fn take_stamp(octets: &mut [u8]) -> Option<FrameStamp> {
    let stamp = stamp(octets)?;
    octets.first_chunk_mut::<8>()?.fill(0);
    Some(stamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_fits_its_piece_of_memory() {
        let octets =
            |frame_octets| UmemShape::new(1000, frame_octets).map(|shape| (shape.frames, shape.octets));
        assert_eq!(octets(1522), Some((1024, 2048)));
        assert_eq!(octets(1728), Some((1024, 2048)));
        assert_eq!(octets(1729), Some((1024, 4096)));
        assert_eq!(octets(3776), Some((1024, 4096)));
        assert_eq!(octets(3777), None);
        assert_eq!(octets(u32::MAX), None);
    }

    #[test]
    fn a_stamp_is_read_once() {
        let mut octets = [FrameStamp::MAGIC.to_ne_bytes(), 77_u64.to_ne_bytes(), [0; 8], [0; 8]].concat();
        assert_eq!(take_stamp(&mut octets).map(|stamp| stamp.ts_ns), Some(77));
        assert_eq!(take_stamp(&mut octets), None);
        assert_eq!(take_stamp(&mut octets[..12]), None);
    }
}
