//! What the program writes in front of a redirected frame.

use crate::Tag;

/// When a frame came, and what stood beside it, in the metadata in front of a frame that goes to `AF_XDP`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct FrameStamp {
    /// [`FrameStamp::MAGIC`]; anything else is not a stamp.
    pub magic: u64,
    /// Arrival on the programs' clock, ns, cut to the µs of the flow table.
    pub ts_ns: u64,
    /// When the card received the frame, UTC in ns since 1970; zero where its clock is not believed.
    pub card_ns: u64,
    /// The tag that stands beside the frame.
    pub tag: Tag,
    /// Octets at the end of the frame that the program cut off, as nobody needs them.
    pub cut_octets: u32,
}

impl FrameStamp {
    /// "tapline" and the version of the stamp.
    pub const MAGIC: u64 = u64::from_be_bytes(*b"tapline\x03");
}

const _: () = assert!(size_of::<FrameStamp>() == 32);
