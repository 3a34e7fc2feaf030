//! What a CPU knows of the frame that it looks at, for a filter that is called by tail call.
//!
//! The program that captures writes it and calls the filter, which reads it and nothing of the frame; so the filter sees
//! what the program has parsed, and needs no checks of bounds.

use crate::{FlowKey, Tag};

/// Who may want a frame: bits of [`Scratch::wanted`].
pub mod wants {
    /// The flow table, for some query that reads it.
    pub const TABLE: u32 = 1;
    /// Whoever reads packets by `AF_XDP`, for some query.
    pub const PACKETS: u32 = 1 << 1;
    /// Both.
    pub const ALL: u32 = TABLE | PACKETS;
}

/// Slots of the array of programs.
pub mod stage {
    /// The filter; an empty slot leaves nothing out.
    pub const FILTER: u32 = 0;
    /// What becomes of frames that somebody wants.
    pub const WANTED: u32 = 1;
    /// How many there are.
    pub const COUNT: u32 = 2;
}

/// One frame, parsed; one line of the cache that only this CPU writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Scratch {
    /// Its flow, with TCP flags, whether or not these tell flows of the table apart.
    pub key: FlowKey,
    /// Octets of the IP packet, as its header claims; zero where that is not known.
    pub octets: u32,
    /// Octets of the frame, with a tag that stands beside it.
    pub frame_octets: u32,
    /// Who wants the frame, see [`wants`]: whoever wants any when a filter is called.
    pub wanted: u32,
    /// The XDP action for a frame that nobody wants.
    pub verdict: u32,
    /// The tag that stands beside the frame.
    pub tag: Tag,
    /// Where its transport header begins; more than 65,535 where that is not known, or others may come behind it.
    pub transport_at: u32,
}

const _: () = assert!(size_of::<Scratch>() == 64 && align_of::<Scratch>() == 8);
