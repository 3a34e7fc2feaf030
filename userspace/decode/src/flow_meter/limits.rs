//! What a flow meter is given at its start: timeouts, and the size of its table.

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
