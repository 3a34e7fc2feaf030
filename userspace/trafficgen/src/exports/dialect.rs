//! How an exporter writes, whatever its protocol.
//!
//! A [`Dialect`] belongs to one exporter: it holds the sequence numbers, in the unit of its protocol.

use std::fmt;

use super::layout::Layout;
use super::truth::Control;

/// When a datagram is exported.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    /// Nanoseconds since 1970.
    pub(super) time_ns: u64,
    /// Milliseconds since the exporter started.
    pub(super) uptime_ms: u32,
    /// Flows are told of as if this were so much earlier.
    pub(super) flows_ago_ms: u32,
}

impl Moment {
    /// Seconds since 1970.
    pub(super) fn seconds(self) -> u32 {
        (self.time_ns / 1_000_000_000) as u32
    }

    /// Nanoseconds of the second.
    pub(super) fn nanoseconds(self) -> u32 {
        (self.time_ns % 1_000_000_000) as u32
    }

    /// Milliseconds since 1970, as flows have it.
    pub(super) fn flow_milliseconds(self) -> u64 {
        (self.time_ns / 1_000_000).wrapping_sub(self.flows_ago_ms.into())
    }

    /// Milliseconds since the exporter started, as flows have it.
    pub(super) fn flow_uptime_ms(self) -> u32 {
        self.uptime_ms.wrapping_sub(self.flows_ago_ms)
    }
}

/// How an exporter writes.
pub(super) trait Dialect: fmt::Debug + Send {
    /// Fills in what a datagram of the block leaves open: header, sequence numbers, times.
    fn stamp(&mut self, datagram: &mut [u8], layout: &Layout, moment: Moment);

    /// Appends a datagram without records and says what is in it; nothing where the protocol has none.
    fn write_control(&mut self, _: &Layout, _: Moment, _: &mut Vec<u8>) -> Control {
        Control::default()
    }

    /// Sequence numbers begin anew.
    fn restart(&mut self);
}
