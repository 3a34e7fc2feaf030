//! What user space tells the programs.

/// Switches in [`Config::flags`].
pub mod flags {
    use crate::wants;

    /// The interface only receives copies: frames are redirected or dropped, never passed on.
    pub const MIRROR: u32 = 1;
    /// Some query needs packets: in mirror mode they are redirected to `AF_XDP`.
    pub const PACKETS: u32 = 1 << 1;
    /// TCP flags tell flows apart; else an entry has those of all its frames, joined by OR.
    pub const TCP_FLAGS: u32 = 1 << 2;
    /// Some query reads the flow table: frames are counted into it.
    pub const FLOWS: u32 = 1 << 3;
    /// Frames of the interface begin with their IP header, and not with Ethernet's.
    pub const RAW_IP: u32 = 1 << 4;
    /// There is a filter in its slot, which frames are shown to.
    pub const FILTERED: u32 = 1 << 5;
    /// No query needs what the table would count; this and the next are the bits of `wants`, moved by [`UNWANTED`].
    pub const TABLE_UNWANTED: u32 = wants::TABLE << UNWANTED;
    /// No query needs packets, though somebody reads them.
    pub const PACKETS_UNWANTED: u32 = wants::PACKETS << UNWANTED;
    /// By how many bits.
    pub const UNWANTED: u32 = 6;
    /// The pre-filter has prefixes.
    pub const FILTER_PREFIXES: u32 = 1 << 8;
    /// The pre-filter has ports.
    pub const FILTER_PORTS: u32 = 1 << 9;
    /// The pre-filter has protocols.
    pub const FILTER_PROTOCOLS: u32 = 1 << 10;
    /// The pre-filter has VLANs.
    pub const FILTER_VLANS: u32 = 1 << 11;
    /// Any of the four above.
    pub const FILTER: u32 = FILTER_PREFIXES | FILTER_PORTS | FILTER_PROTOCOLS | FILTER_VLANS;
    /// Only what a prefix allows is kept. The other three follow in the same order.
    pub const ALLOW_PREFIXES: u32 = FILTER_PREFIXES << 4;
    /// Only what a port allows is kept.
    pub const ALLOW_PORTS: u32 = FILTER_PORTS << 4;
    /// Only what a protocol allows is kept.
    pub const ALLOW_PROTOCOLS: u32 = FILTER_PROTOCOLS << 4;
    /// Only what a VLAN allows is kept.
    pub const ALLOW_VLANS: u32 = FILTER_VLANS << 4;
    /// Whoever reads packets needs no more of them than their headers.
    pub const HEADERS_ONLY: u32 = 1 << 16;
}

/// Where panes begin, on the programs' clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct PaneGrid {
    /// Start of pane 0, ns; before anything that will be counted.
    pub anchor_ns: u64,
    /// Length of a pane, ns; from 1 to [`PaneGrid::LENGTH_NS_MAX`].
    pub length_ns: u64,
}

impl PaneGrid {
    /// The longest pane, an hour: its µs fit an entry.
    pub const LENGTH_NS_MAX: u64 = 3_600_000_000_000;

    /// Start of a pane, ns.
    #[must_use]
    #[inline]
    pub const fn start_ns(&self, pane: u32) -> u64 {
        self.anchor_ns.wrapping_add((pane as u64).wrapping_mul(self.length_ns))
    }
}

/// What user space tells the programs; one line of the cache that only user space writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Config {
    /// Its lowest bit is the half of the table in use; odd and even epochs alternate.
    pub epoch: u32,
    /// Sets in one half of one CPU, as a power of two.
    pub set_bits: u32,
    /// See [`flags`].
    pub flags: u32,
    /// CPUs that the table has room for.
    pub cpus: u32,
    /// The panes of either half.
    pub grids: [PaneGrid; 2],
    /// UTC in ns since 1970, less the programs' clock, for either half: the times of cards are UTC.
    pub utc_offsets_ns: [u64; 2],
}

const _: () = assert!(size_of::<Config>() == 64);
