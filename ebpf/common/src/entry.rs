//! What is known of a flow within one pane.

use crate::{FlowKey, Way};

/// Entries of a set; a flow may stand in any of them. They are taken in turn, so that none behind the first free one
/// is in use.
pub const SET_WAYS: usize = 8;

/// One flow in one pane, as one CPU saw it; one line of the cache.
///
/// Sums stay below 2³¹ plus one frame, or the segments of one that is cut later, and frames below 2²¹ plus as many: an entry
/// that reaches either is sent out and begins again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct FlowEntry {
    /// Whose entry it is.
    pub key: FlowKey,
    /// Number of the pane in the grid of this half.
    pub pane: u32,
    /// Frames, in the lower 22 bits, and the TCP flags of all of them joined by OR, above that they are there at all; zero
    /// in an entry that is free.
    pub counted: u32,
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

const TCP_FLAGS: u32 = 22;
const FRAMES: u32 = (1 << TCP_FLAGS) - 1;
const HAS_TCP_FLAGS: u32 = 1 << 31;
/// Frames at which an entry is sent out, so that one more, or its segments, cannot overflow them.
const FRAMES_MAX: u32 = 1 << (TCP_FLAGS - 1);

impl FlowEntry {
    /// What an entry counts of one frame, which has these TCP flags, if any.
    #[must_use]
    #[inline]
    pub const fn one(tcp_flags: Option<u16>) -> u32 {
        match tcp_flags {
            Some(tcp_flags) => 1 | HAS_TCP_FLAGS | (tcp_flags as u32 & 0x1ff) << TCP_FLAGS,
            None => 1,
        }
    }

    /// What an entry counts of so many frames, 65,535 at the most, of which each has these TCP flags, if any.
    #[must_use]
    #[inline]
    pub const fn several(frames: u32, tcp_flags: Option<u16>) -> u32 {
        Self::one(tcp_flags) & !FRAMES | frames & 0xffff
    }

    /// How many frames [`FlowEntry::one`] or [`FlowEntry::several`] stand for.
    #[must_use]
    #[inline]
    pub const fn frames(counted: u32) -> u32 {
        counted & FRAMES
    }

    /// Counts a frame more, which is [`FlowEntry::one`], or [`FlowEntry::several`]; the entry must have room for them.
    #[inline]
    pub const fn count(&mut self, frames: u32) {
        self.counted = (self.counted | frames & !FRAMES) + Self::frames(frames);
    }

    /// Whether no frame more can be counted.
    #[must_use]
    #[inline]
    pub const fn is_full(&self) -> bool {
        self.counted & FRAMES_MAX != 0
    }

    /// Frames.
    #[must_use]
    #[inline]
    pub const fn packets(&self) -> u32 {
        Self::frames(self.counted)
    }

    /// TCP flags of all frames, joined by OR, FIN = 1 … CWR = 128, AE = 256; `None` where no frame has any.
    #[must_use]
    pub const fn tcp_flags(&self) -> Option<u16> {
        if self.counted & HAS_TCP_FLAGS != 0 {
            Some((self.counted >> TCP_FLAGS & 0x1ff) as u16)
        } else {
            None
        }
    }
}

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
    /// Which way its frames went, a [`Way`].
    pub way: u32,
    /// Zero.
    pub reserved: u32,
}

const _: () = assert!(size_of::<RingRecord>() == 80);

impl RingRecord {
    /// Which way its frames went.
    #[must_use]
    pub const fn way(&self) -> Way {
        if self.way == Way::Sent as u32 { Way::Sent } else { Way::Received }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_stand_beside_the_frames() {
        let mut entry = FlowEntry { counted: FlowEntry::one(None), ..FlowEntry::default() };
        assert_eq!((entry.packets(), entry.tcp_flags(), entry.is_full()), (1, None, false));
        entry.count(FlowEntry::one(Some(0)));
        assert_eq!((entry.packets(), entry.tcp_flags()), (2, Some(0)), "a frame without a single flag");
        entry.count(FlowEntry::one(Some(0x102)));
        entry.count(FlowEntry::one(Some(0x010)));
        entry.count(FlowEntry::one(None));
        assert_eq!((entry.packets(), entry.tcp_flags()), (5, Some(0x112)));
    }

    #[test]
    fn several_frames_are_counted_at_once() {
        let mut entry = FlowEntry { counted: FlowEntry::several(44, Some(0x10)), ..FlowEntry::default() };
        assert_eq!((entry.packets(), entry.tcp_flags()), (44, Some(0x10)));
        entry.count(FlowEntry::several(3, None));
        entry.count(FlowEntry::several(0xffff, Some(0x08)));
        assert_eq!((entry.packets(), entry.tcp_flags()), (47 + 0xffff, Some(0x18)));
        let mut full = FlowEntry { counted: FRAMES_MAX - 1, ..FlowEntry::default() };
        full.count(FlowEntry::several(0xffff, Some(0)));
        assert_eq!(
            (full.packets(), full.tcp_flags(), full.is_full()),
            (FRAMES_MAX - 1 + 0xffff, Some(0), true)
        );
    }

    #[test]
    fn frames_do_not_run_into_the_flags() {
        let mut entry = FlowEntry { counted: FlowEntry::one(Some(1)), ..FlowEntry::default() };
        while !entry.is_full() {
            entry.count(FlowEntry::one(Some(1)));
        }
        assert_eq!((entry.packets(), entry.tcp_flags()), (FRAMES_MAX, Some(1)));
    }
}
