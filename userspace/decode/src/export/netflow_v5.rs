//! NetFlow v5 and v7: records of one fixed form.
//!
//! Sequence numbers count flows: each message tells how many were exported before it.

use super::datagram::Datagram;
use super::domain::Domain;
use super::head::{Head, header_time};
use super::information_element as ie;
use super::output::Output;
use super::plan::Plan;
use super::records::Records;
use super::template::{Element, Field, Template, TemplateKind};
use super::undecodable::Undecodable;
use super::version::NETFLOW_V5;
use super::wire::{u16_at, u32_at};
use std::sync::Arc;

/// Octets of the header of v5 and v7.
const HEADER_OCTETS: usize = 24;

/// Where the fields of the header begin.
const COUNT_AT: usize = 2;
const UPTIME_AT: usize = 4;
const SECONDS_AT: usize = 8;
const NANOSECONDS_AT: usize = 12;
const SEQUENCE_AT: usize = 16;
const ENGINE_AT: usize = 20;
const SAMPLING_AT: usize = 22;

/// The sampling rate in its field; the two bits above it say how samples are taken.
const RATE_BITS: u16 = 0x3fff;

/// Octets of a record of v5, and fewer than v7's.
const RECORD_OCTETS: usize = 48;

/// The fields of a v5 record.
const V5: [(u16, u16); 20] = [
    (ie::SOURCE_IPV4_ADDRESS, 4),
    (ie::DESTINATION_IPV4_ADDRESS, 4),
    (ie::IP_NEXT_HOP_IPV4_ADDRESS, 4),
    (ie::INGRESS_INTERFACE, 2),
    (ie::EGRESS_INTERFACE, 2),
    (ie::PACKET_DELTA_COUNT, 4),
    (ie::OCTET_DELTA_COUNT, 4),
    (ie::FLOW_START_SYS_UP_TIME, 4),
    (ie::FLOW_END_SYS_UP_TIME, 4),
    (ie::SOURCE_TRANSPORT_PORT, 2),
    (ie::DESTINATION_TRANSPORT_PORT, 2),
    (ie::PADDING_OCTETS, 1),
    (ie::TCP_CONTROL_BITS, 1),
    (ie::PROTOCOL_IDENTIFIER, 1),
    (ie::IP_CLASS_OF_SERVICE, 1),
    (ie::BGP_SOURCE_AS_NUMBER, 2),
    (ie::BGP_DESTINATION_AS_NUMBER, 2),
    (ie::SOURCE_IPV4_PREFIX_LENGTH, 1),
    (ie::DESTINATION_IPV4_PREFIX_LENGTH, 1),
    (ie::PADDING_OCTETS, 2),
];

/// The plan of v5 records.
pub(super) fn v5_plan(columns: &[usize]) -> Plan {
    plan(&V5, columns)
}

/// The plan of v7 records: those of v5, and the router that the flow was shortcut for.
pub(super) fn v7_plan(columns: &[usize]) -> Plan {
    plan(&[V5.as_slice(), &[(ie::PADDING_OCTETS, 4)]].concat(), columns)
}

fn plan(fields: &[(u16, u16)], columns: &[usize]) -> Plan {
    let field = |&(id, length): &(u16, u16)| Field { element: Element::iana(id), length };
    let fields = fields.iter().map(field).collect();
    Plan::compile(Template { id: 0, kind: TemplateKind::Data, fields }, columns)
}

/// The engine that a message comes from: type and id.
pub(super) fn domain_of(payload: &[u8]) -> Option<u32> {
    let is_v5 = u16_at(payload, 0)? == u16::from(NETFLOW_V5);
    if is_v5 { u16_at(payload, ENGINE_AT).map(u32::from) } else { Some(0) }
}

/// Records that a header says there are; no more than there is room for.
pub(super) fn claimed(payload: &[u8]) -> u64 {
    let records_max = payload.len().saturating_sub(HEADER_OCTETS) / RECORD_OCTETS;
    u16_at(payload, COUNT_AT).map_or(0, |count| usize::from(count).min(records_max) as u64)
}

/// Decodes a message of v5 or v7.
pub(super) fn decode(datagram: &Datagram<'_>, plan: &Arc<Plan>, domain: &mut Domain, output: &mut Output) {
    let payload = datagram.payload;
    let header = (
        u16_at(payload, COUNT_AT),
        u32_at(payload, UPTIME_AT),
        u32_at(payload, SEQUENCE_AT),
        u16_at(payload, SAMPLING_AT),
    );
    let (Some(count), Some(uptime), Some(sequence), Some(sampling)) = header else {
        return domain.counts.reasons.count(Undecodable::Header);
    };
    let body = payload.get(HEADER_OCTETS..).unwrap_or_default();
    let claimed = usize::from(count) * plan.stride.unwrap_or_default();
    if claimed > body.len() {
        domain.counts.reasons.count(Undecodable::Length);
    }
    if payload[1] == NETFLOW_V5 && sampling & RATE_BITS > 0 {
        domain.sampling.note_header(u64::from(sampling & RATE_BITS));
    }
    let seconds = u32_at(payload, SECONDS_AT).unwrap_or(0);
    let sent = header_time(seconds, u32_at(payload, NANOSECONDS_AT).unwrap_or(0));
    let engine = domain_of(payload).unwrap_or(0);
    let head = Head::new(datagram, (engine, sequence), sent, Some(uptime), output.source);
    domain.clock.note(&head);
    domain.counts.trailing_octets += body.len().saturating_sub(claimed) as u64;
    let body = &body[..claimed.min(body.len())];
    let records = Records::fixed(body, plan.stride.unwrap_or_default());
    let records = domain.records(plan, &records, &head, output);
    domain.counts.delivered += u64::from(records);
    domain.counts.undecodable += u64::from(count) - u64::from(records);
    let restarted = domain.clock.has_restarted(&head);
    domain.sequence.observe(sequence, u32::from(count), restarted);
}
