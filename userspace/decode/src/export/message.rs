//! What all records of an export message have in common.

use super::believed::Believed;
use super::sampling::Sampling;
use tapline_record::EventTime;
use tapline_record::address::Address;
use tapline_record::column::Symbol;

/// What holds for all records of a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message<'a> {
    pub(super) origin: Origin,
    /// When the exporter sent it, by its own clock.
    pub(super) sent: EventTime,
    /// Event times that are believed, by the same clock.
    pub(super) believed: Believed,
    /// Milliseconds since the exporter started; `None` when the message does not say.
    pub(super) uptime_ms: Option<u32>,
    /// By how much the exporter's times are moved, since its clock is off.
    pub(super) shift_ns: i64,
    /// The event time of all rows, where it is not that of each flow.
    pub(super) event_time: Option<EventTime>,
    /// Rows before then come too late: their windows are closed.
    pub(super) closed_until: EventTime,
    pub(super) sampling: &'a Sampling,
}

/// Where records come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) source: Symbol,
    pub(super) exporter: Address,
    pub(super) domain: u32,
}
