//! What a flow meter is given at its start: timeouts, and the size of its table.

/// Of packets that a flow table has counted, borders of records that do not follow from silence are at whole multiples of
/// this, in nanoseconds of event time: a second. Whoever counts packets by flow and begins anew at each of them has counts
/// that no such border divides, where the active timeout and the linger are whole seconds and the inactive timeout is no
/// shorter than one.
pub const FLOW_BORDERS_NS: i64 = 1_000_000_000;

/// Timeouts, and the size of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowMeterLimits {
    /// A flow that lasts longer is given in pieces.
    pub active_timeout_ms: u32,
    /// A flow ends when nothing came for so long.
    pub inactive_timeout_ms: u32,
    /// A flow ends so long after its first FIN or RST.
    pub linger_ms: u32,
    /// Flows that are metered at once, 1 to 2^30, some 160 octets each; when there are more, those next
    /// to end are given early. A quarter as many are remembered besides, between two of their records.
    pub flows_max: u32,
}

impl Default for FlowMeterLimits {
    fn default() -> Self {
        Self { active_timeout_ms: 60_000, inactive_timeout_ms: 15_000, linger_ms: 2_000, flows_max: 1 << 20 }
    }
}
