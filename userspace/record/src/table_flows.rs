//! Flows as the kernel's flow table tells of them: the form in which `flows` comes out of the kernel.

use crate::flows::{FLOWS, FlowColumn};
use crate::stream::{Stream, StreamId};

/// One row a flow record, as in [`FLOWS`], whose columns it has; those that the kernel does not know are NULL. No query
/// names this stream: the planner reads it where it may stand for flows.
pub static TABLE_FLOWS: Stream = Stream {
    id: StreamId::TableFlows,
    name: "table flows",
    about: "One row a flow record, of what the kernel counts by flow.",
    columns: FLOWS.columns,
};

impl FlowColumn {
    /// Whether flows of the kernel's table have the column as those of packets have it, be it NULL.
    #[must_use]
    pub const fn is_in_kernel(self) -> bool {
        !matches!(self, Self::Tos | Self::MplsLabel | Self::SrcMac | Self::DstMac)
    }
}
