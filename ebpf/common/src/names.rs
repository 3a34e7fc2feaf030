//! Names of the programs and maps in the objects.

/// The program that captures: counts, keeps flows, redirects, what a filter leaves if there is one.
pub const CAPTURE: &str = "tapline_capture";
/// The same without the place for a filter, for kernels that take no tail call in a program with functions.
pub const UNFILTERED: &str = "tapline_unfiltered";
/// What the program that captures does behind a filter.
pub const WANTED: &str = "tapline_wanted";
/// The program that counts what is sent into the same table.
pub const SENT: &str = "tapline_sent";
/// The program that answers a test run with the contract's version.
pub const CONTRACT: &str = "tapline_contract";

/// One [`Config`](crate::Config), mapped into user space.
pub const CONFIG: &str = "CONFIG";
/// One [`CpuState`](crate::CpuState) a [`Part`](crate::Part), mapped into user space.
pub const CPUS: &str = "CPUS";
/// The [`FlowSet`](crate::FlowSet)s: for each [`Part`](crate::Part) two halves, mapped into user space.
pub const FLOWS: &str = "FLOWS";
/// [`RingRecord`](crate::RingRecord)s that left the table before it was drained.
pub const RING: &str = "RING";
/// A map of one map: replacing it waits for all programs that run.
pub const QUIESCE: &str = "QUIESCE";
/// IPv4 prefixes of the pre-filter.
pub const PREFIXES_V4: &str = "PREFIXES_V4";
/// IPv6 prefixes of the pre-filter.
pub const PREFIXES_V6: &str = "PREFIXES_V6";
/// Ports, protocols and VLANs of the pre-filter, see [`rule`](crate::rule).
pub const RULES: &str = "RULES";
/// Programs that are called by tail call, by [`stage`](crate::stage).
pub const STAGES: &str = "STAGES";
/// `AF_XDP` sockets by receive queue.
pub const SOCKETS: &str = "SOCKETS";

/// The program that sends a test run's frame with ever new addresses.
pub const SEND: &str = "tapline_send";
/// The program that takes and drops every frame; native XDP on veth wants one on both ends.
pub const SINK: &str = "tapline_sink";
/// One [`SendState`](crate::SendState) a CPU, mapped into user space.
pub const SENDERS: &str = "SENDERS";

/// Programs that do a part of what the capture program does, after [`SEND`] has numbered the frame, for benchmarks.
pub mod parts {
    /// Numbers the frame, and nothing more.
    pub const NOTHING: &str = "tapline_nothing";
    /// What the frame is.
    pub const PARSE: &str = "tapline_parse";
    /// What the frame is, and when it came.
    pub const CLOCK: &str = "tapline_clock";
    /// What the frame is, when it came, and its entry in the table.
    pub const TABLE: &str = "tapline_table";
}
