//! How to read an interface, and the limits of the memory for it.

use crate::Directions;
use crate::kernel::KernelOptions;

/// How to read an interface. Memory is taken when it is opened.
#[derive(Clone, Debug)]
pub struct LiveOptions {
    /// The port only receives copies: its frames may be taken from the host, which `AF_XDP` does.
    pub is_mirror: bool,
    /// Ask the interface for frames to everybody, not to this host alone, as long as the source is open.
    pub is_promiscuous: bool,
    /// Which frames are read; of a mirror, and of the loopback, where sent ones come back, those that are received.
    pub directions: Directions,
    /// Octets of a frame that are read; what is longer is cut, its length is kept.
    pub snap_octets: u32,
    /// Octets of the ring of an `AF_PACKET` socket; whole MiB are taken.
    pub ring_octets: usize,
    /// Frames of the memory of one queue of `AF_XDP`; the next power of two is taken. A frame has 2 KiB, or 4 KiB
    /// if the interface's packets need as much; so by default a queue has 16 MiB, and each queue has its own.
    pub umem_frames: u32,
    /// The program that `AF_XDP` needs, where none is attached yet.
    pub kernel: KernelOptions,
}

impl Default for LiveOptions {
    fn default() -> Self {
        Self {
            is_mirror: false,
            is_promiscuous: false,
            directions: Directions::Both,
            snap_octets: 1 << 18,
            ring_octets: 64 << 20,
            umem_frames: 1 << 13,
            kernel: KernelOptions { keeps_flows: false, ..KernelOptions::default() },
        }
    }
}
