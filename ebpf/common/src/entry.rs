//! What is known of a flow within one pane.

use crate::FlowKey;

/// Entries of a set; a flow may stand in any of them. They are taken in turn, so that none behind the first free one
/// is in use.
pub const SET_WAYS: usize = 8;

/// One flow in one pane, as one CPU saw it; one line of the cache.
///
/// Sums stay below 2³¹ plus one frame: an entry that reaches it is sent out and begins again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct FlowEntry {
    /// Whose entry it is.
    pub key: FlowKey,
    /// Number of the pane in the grid of this half.
    pub pane: u32,
    /// Frames; none in an entry that is free.
    pub packets: u32,
    /// Octets of the IP packets, as their headers claim.
    pub octets: u32,
    /// Octets of the frames.
    pub frame_octets: u32,
    /// Time of the first frame, µs since the pane's start.
    pub first_us: u32,
    /// Time of the last frame, µs since the pane's start.
    pub last_us: u32,
}

const _: () = assert!(size_of::<FlowEntry>() == 64);

/// Where flows of the same hash stand.
pub type FlowSet = [FlowEntry; SET_WAYS];

const _: () = assert!(size_of::<FlowSet>() == 512);

/// An entry that left the table before it was drained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct RingRecord {
    /// The entry.
    pub entry: FlowEntry,
    /// Start of its pane on the programs' clock, ns.
    pub pane_start_ns: u64,
}

const _: () = assert!(size_of::<RingRecord>() == 72);
