//! What the protocols have in common.
//!
//! Takes a protocol, gives what writes its datagrams. A [`Dialect`] belongs to one exporter: it holds the
//! sequence numbers, in the unit of its protocol.

use std::fmt;

use super::flow::Flow;
use super::ipfix::Ipfix;
use super::layout::Layout;
use super::netflow_v5::NetflowV5;
use super::netflow_v9::NetflowV9;
use super::plan::{ExportPlan, Protocol};
use super::sflow::Sflow;
use super::truth::Control;
use super::{ipfix, netflow_v5, netflow_v7, netflow_v9, sflow};

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

/// What writes the datagrams of an exporter.
pub(super) fn dialect(plan: &ExportPlan, exporter: u32) -> Box<dyn Dialect> {
    match plan.protocol {
        Protocol::NetflowV5 => Box::new(NetflowV5::new(plan, exporter)),
        Protocol::NetflowV7 => Box::new(netflow_v7::exporter()),
        Protocol::NetflowV9 => Box::new(NetflowV9::new(plan, exporter)),
        Protocol::Ipfix => Box::new(Ipfix::new(plan, exporter)),
        Protocol::Sflow => Box::new(Sflow::new(plan, exporter)),
    }
}

/// Records in a full datagram.
pub(super) fn records_per_datagram(protocol: Protocol) -> usize {
    match protocol {
        Protocol::NetflowV5 => netflow_v5::RECORDS,
        Protocol::NetflowV7 => netflow_v7::RECORDS,
        Protocol::NetflowV9 => netflow_v9::RECORDS,
        Protocol::Ipfix => ipfix::RECORDS,
        Protocol::Sflow => sflow::RECORDS,
    }
}

/// Datagrams with records that show every sequence of an exporter: of sFlow, three have samples of all sources.
pub(super) fn datagrams_of_all_sequences(protocol: Protocol) -> u64 {
    match protocol {
        Protocol::Sflow => 3,
        _ => 1,
    }
}

/// The order of fields, or its reverse; protocols without templates have one that they do not look at.
pub(super) fn layout(protocol: Protocol, is_reversed: bool) -> Layout {
    match protocol {
        Protocol::NetflowV9 => Layout::new(&netflow_v9::fields(), is_reversed),
        Protocol::Ipfix => Layout::new(&ipfix::fields(), is_reversed),
        Protocol::NetflowV5 | Protocol::NetflowV7 | Protocol::Sflow => Layout::new(&[], false),
    }
}

/// Appends a datagram of the block.
pub(super) fn encode(protocol: Protocol, flows: &[Flow], layout: &Layout, out: &mut Vec<u8>) {
    match protocol {
        Protocol::NetflowV5 => netflow_v5::encode(flows, out),
        Protocol::NetflowV7 => netflow_v7::encode(flows, out),
        Protocol::NetflowV9 => netflow_v9::encode(flows, layout, out),
        Protocol::Ipfix => ipfix::encode(flows, layout, out),
        Protocol::Sflow => sflow::encode(flows, out),
    }
}

/// Packets and octets that a record of the flow carries: sFlow sends one packet of it.
pub(super) fn size(protocol: Protocol, flow: &Flow) -> (u64, u64) {
    match protocol {
        Protocol::Sflow => (1, sflow::packet_octets(flow) as u64),
        _ => (flow.packets.into(), flow.octets.into()),
    }
}
