//! What a CPU knows of the frame that it looks at, for a filter that is called by tail call.
//!
//! The program that captures writes it and calls the filter, which reads it and nothing of the frame; so the filter sees
//! what the program has parsed, and needs no checks of bounds.

use crate::FlowKey;

/// One frame, parsed; one line of the cache that only this CPU writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Scratch {
    /// Its flow, with TCP flags, whether or not these tell flows of the table apart.
    pub key: FlowKey,
    /// Octets of the IP packet, as its header claims; zero where that is not known.
    pub octets: u32,
    /// Octets of the frame.
    pub frame_octets: u32,
    /// Whether some query wants the frame as a packet: 1 when a filter is called, 0 when it says no.
    pub is_wanted: u32,
    /// Zero.
    pub reserved: [u32; 3],
}

const _: () = assert!(size_of::<Scratch>() == 64 && align_of::<Scratch>() == 8);
