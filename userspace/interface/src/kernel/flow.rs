//! What comes out of the flow table.

use tapline_decode::Direction;
use tapline_ebpf_common::{FlowEntry, FlowKey, RingRecord, Way};

/// One flow in one pane, or a part of it: a flow that several CPUs saw, or that left the table early, comes in
/// parts, whose sums are the flow's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelFlow {
    /// Whose frames they are.
    pub key: FlowKey,
    /// Which way all of them went.
    pub direction: Direction,
    /// Frames; of what was cut later, its segments.
    pub packets: u64,
    /// TCP flags of all frames, joined by OR; `None` where no frame has any.
    pub tcp_flags: Option<u16>,
    /// Octets of the IP packets, as the column `octets` defines it; meaningless where the key has no length.
    pub octets: u64,
    /// Octets of the frames.
    pub frame_octets: u64,
    /// Start of the pane on the programs' clock, ns; wrapped around where it began before the boot.
    pub pane_start_ns: u64,
    /// Time of the first frame on the programs' clock, ns, whole µs after the pane's start.
    pub first_ns: u64,
    /// Time of the last frame, likewise.
    pub last_ns: u64,
}

impl KernelFlow {
    /// An entry, the start of its pane, and which way its frames went.
    pub(super) fn new(entry: &FlowEntry, pane_start_ns: u64, way: Way) -> Self {
        let direction = match way {
            Way::Received => Direction::Ingress,
            Way::Sent => Direction::Egress,
        };
        Self {
            key: entry.key,
            direction,
            packets: entry.packets().into(),
            tcp_flags: entry.tcp_flags(),
            octets: entry.octets.into(),
            frame_octets: entry.frame_octets.into(),
            pane_start_ns,
            first_ns: pane_start_ns.wrapping_add(u64::from(entry.first_us) * 1000),
            last_ns: pane_start_ns.wrapping_add(u64::from(entry.last_us) * 1000),
        }
    }
}

impl From<&RingRecord> for KernelFlow {
    fn from(record: &RingRecord) -> Self {
        Self::new(&record.entry, record.pane_start_ns, record.way())
    }
}
