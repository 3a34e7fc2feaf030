//! What the protocols have in common.
//!
//! Takes a protocol, gives what writes its datagrams, how many records one holds, and the records of a block.

use super::dialect::Dialect;
use super::flow::Flow;
use super::ipfix::Ipfix;
use super::layout::Layout;
use super::netflow_v5::NetflowV5;
use super::netflow_v9::NetflowV9;
use super::plan::{ExportPlan, Protocol};
use super::sflow::Sflow;
use super::{ipfix, netflow_v5, netflow_v7, netflow_v9, sflow};

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
