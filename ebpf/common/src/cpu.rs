//! What each CPU keeps for itself, of what it receives and of what it sends apart.

use crate::Scratch;

/// Declares the counters, so that their names and sums come from one list.
macro_rules! counters {
    ($($(#[$about:meta])* $name:ident,)+) => {
        /// Fates of frames and what happened to the table, as one CPU counts them. A frame that is sent before it is cut counts as
        /// its segments do.
        ///
        /// When no program runs, `seen = filtered + unwanted + uncounted + lost + sent` plus what stands in the table, and of
        /// a mirror that is read `seen = filtered + unwanted + unread + redirected + unredirected`.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[repr(C)]
        pub struct Counters { $($(#[$about])* pub $name: u64,)+ }

        impl Counters {
            /// Adds what another CPU counted.
            pub const fn add(&mut self, other: &Self) {
                $(self.$name = self.$name.wrapping_add(other.$name);)+
            }

            /// What was counted since an earlier reading.
            #[must_use]
            pub const fn since(&self, earlier: &Self) -> Self {
                Self { $($name: self.$name.wrapping_sub(earlier.$name),)+ }
            }
        }
    };
}

counters! {
    /// Frames that the program was given.
    seen_packets,
    /// Octets of the frames that the program was given.
    seen_octets,
    /// Frames that the pre-filter refused.
    filtered_packets,
    /// Octets of the frames that the pre-filter refused.
    filtered_octets,
    /// Frames that are in no entry, as the ring buffer was full.
    lost_packets,
    /// Octets of the frames that are in no entry.
    lost_octets,
    /// Frames in entries that went through the ring buffer.
    sent_packets,
    /// Entries that went through the ring buffer to make room for another flow.
    evicted_entries,
    /// Entries that went through the ring buffer at the end of their pane, or as their sums were large.
    restarted_entries,
    /// Frames without an IP header; they are accounted like any other.
    not_ip_packets,
    /// Frames with more headers than the program looks through; accounted as if these ended it.
    too_deep_packets,
    /// Frames redirected to `AF_XDP`.
    redirected_packets,
    /// Frames that no `AF_XDP` socket took and, in mirror mode, nobody else did.
    unredirected_packets,
    /// Frames that the filter says nobody wants.
    unwanted_packets,
    /// Frames that the filter keeps out of the table, but not from who reads packets.
    uncounted_packets,
    /// Frames that the filter keeps from who reads packets, but not out of the table.
    unread_packets,
    /// Frames whose time is that of the card that received them.
    stamped_packets,
    /// Frames whose time by the card is not near to the clock, which they have instead.
    mistrusted_packets,
    /// Frames that no filter was shown though there should have been one.
    unshown_packets,
}

/// The pane of the last frame, so that only the first frame of a pane divides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct PaneCache {
    /// Its start on the programs' clock, ns.
    pub start_ns: u64,
    /// Its length, ns; zero before the first frame.
    pub length_ns: u64,
    /// The epoch whose grid it is of.
    pub epoch: u32,
    /// Its number in that grid.
    pub number: u32,
}

/// What a CPU keeps for itself; four lines of the cache that only this CPU writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct CpuState {
    /// The frame that a filter is shown; it comes first, so that its place in a line of the cache is that of the entry.
    pub scratch: Scratch,
    /// The pane of the last frame.
    pub pane: PaneCache,
    /// Since the program was loaded.
    pub counters: Counters,
    /// When the card received the frame that a filter is shown, as the driver says; zero if it does not.
    pub card_ns: u64,
    /// Zero.
    pub reserved: u64,
}

const _: () = assert!(size_of::<CpuState>() == 256);
