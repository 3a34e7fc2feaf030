//! NetFlow version 5.
//!
//! Takes flows, writes a header of 24 octets and 48 for each record. The sequence counts flows: a header
//! carries the number of all that were exported before it.

use super::dialect::{Dialect, Moment};
use super::flow::Flow;
use super::layout::Layout;
use super::octets::{Put, age_to_time_u32, set_u16, set_u32};
use super::plan::ExportPlan;

pub(super) const RECORDS: usize = 30;
const HEADER_OCTETS: usize = 24;
const RECORD_OCTETS: usize = 48;
const SEQUENCE_OFFSET: usize = 16;
/// Where in a record the uptimes of its first and last packet are.
const TIME_OFFSETS: [usize; 2] = [24, 28];

/// The state of an exporter, of version 7 too.
#[derive(Debug)]
pub(super) struct NetflowV5 {
    /// Flows exported so far.
    sequence: u32,
    engine: u8,
    /// Two bits of mode and fourteen of the rate.
    sampling: u16,
    record_octets: usize,
}

impl NetflowV5 {
    pub(super) fn new(plan: &ExportPlan, exporter: u32) -> Self {
        const SYSTEMATIC: u16 = 1 << 14;
        let sampling = plan.sampling_rate.map_or(0, |rate| SYSTEMATIC | rate as u16);
        Self { sequence: 0, engine: exporter as u8, sampling, record_octets: RECORD_OCTETS }
    }

    /// One without engine and sampling, whose records have so many octets.
    pub(super) fn plain(record_octets: usize) -> Self {
        Self { sequence: 0, engine: 0, sampling: 0, record_octets }
    }
}

impl Dialect for NetflowV5 {
    fn stamp(&mut self, datagram: &mut [u8], _: &Layout, moment: Moment) {
        const ENGINE_OFFSET: usize = 21;
        const SAMPLING_OFFSET: usize = 22;
        datagram[ENGINE_OFFSET] = self.engine;
        set_u16(datagram, SAMPLING_OFFSET, self.sampling);
        stamp_header(datagram, self.sequence, moment);
        let records = datagram[HEADER_OCTETS..].chunks_exact_mut(self.record_octets);
        self.sequence = self.sequence.wrapping_add(records.len() as u32);
        records.for_each(|record| stamp_record(record, moment.flow_uptime_ms()));
    }

    fn restart(&mut self) {
        self.sequence = 0;
    }
}

/// Appends a datagram.
pub(super) fn encode(flows: &[Flow], out: &mut Vec<u8>) {
    const VERSION: u16 = 5;
    write_header(VERSION, flows.len(), out);
    for flow in flows {
        write_record(flow, out);
    }
}

/// Appends a header whose times and sequence number are open; version 7 has the same.
pub(super) fn write_header(version: u16, records: usize, out: &mut Vec<u8>) {
    out.put_u16(version);
    out.put_u16(records as u16);
    out.extend_from_slice(&[0; HEADER_OCTETS - 4]);
}

/// Appends a record, whose times are ages; one of version 7 begins with the same.
pub(super) fn write_record(flow: &Flow, out: &mut Vec<u8>) {
    out.extend_from_slice(&flow.src_ip.octets());
    out.extend_from_slice(&flow.dst_ip.octets());
    out.extend_from_slice(&flow.next_hop.octets());
    out.put_u16(flow.input);
    out.put_u16(flow.output);
    out.put_u32(flow.packets);
    out.put_u32(flow.octets);
    out.put_u32(flow.start_age_ms);
    out.put_u32(flow.end_age_ms);
    out.put_u16(flow.src_port);
    out.put_u16(flow.dst_port);
    out.extend_from_slice(&[0, flow.tcp_flags, flow.protocol, flow.tos]);
    out.put_u16(flow.src_as as u16);
    out.put_u16(flow.dst_as as u16);
    out.put_u8(flow.src_mask);
    out.put_u8(flow.dst_mask);
    out.put_u16(0);
}

/// Fills in the times and the sequence number of a header.
fn stamp_header(datagram: &mut [u8], sequence: u32, moment: Moment) {
    set_u32(datagram, 4, moment.uptime_ms);
    set_u32(datagram, 8, moment.seconds());
    set_u32(datagram, 12, moment.nanoseconds());
    set_u32(datagram, SEQUENCE_OFFSET, sequence);
}

/// Turns the ages of a record into uptimes.
fn stamp_record(record: &mut [u8], uptime_ms: u32) {
    for offset in TIME_OFFSETS {
        age_to_time_u32(record, offset, uptime_ms);
    }
}
