//! NetFlow version 9 (RFC 3954).
//!
//! Takes flows and an order of fields, writes a header of 20 octets and one flow set. The sequence counts
//! export packets of the source id, those with templates too. Sampling is announced by options.

use super::dialect::{Dialect, Moment};
use super::flow::Flow;
use super::layout::{self, FLOW_TEMPLATE, Field, Layout, SAMPLING_TEMPLATE};
use super::octets::{Put, age_to_time_u32, set_u16, set_u32};
use super::plan::ExportPlan;
use super::truth::Control;

pub(super) const RECORDS: usize = 24;

const HEADER_OCTETS: usize = 20;
const SET_HEADER_OCTETS: usize = 4;
const VERSION: u16 = 9;
const TEMPLATE_SET: u16 = 0;
const OPTIONS_TEMPLATE_SET: u16 = 1;

/// Counters, uptimes, what all records have, and the sampler.
pub(super) fn fields() -> Vec<Field> {
    layout::fields([(1, 4), (2, 4), (22, 4), (21, 4)], (48, 1))
}

/// The state of an exporter.
#[derive(Debug)]
pub(super) struct NetflowV9 {
    /// Export packets so far.
    sequence: u32,
    source_id: u32,
    sampling_rate: Option<u32>,
}

impl NetflowV9 {
    pub(super) fn new(plan: &ExportPlan, exporter: u32) -> Self {
        Self { sequence: 0, source_id: exporter + 1, sampling_rate: plan.sampling_rate }
    }

    /// Fills in the header but for the number of records, and counts the datagram.
    fn stamp_header(&mut self, datagram: &mut [u8], moment: Moment) {
        set_u32(datagram, 4, moment.uptime_ms);
        set_u32(datagram, 8, moment.seconds());
        set_u32(datagram, 12, self.sequence);
        set_u32(datagram, 16, self.source_id);
        self.sequence = self.sequence.wrapping_add(1);
    }
}

impl Dialect for NetflowV9 {
    fn stamp(&mut self, datagram: &mut [u8], layout: &Layout, moment: Moment) {
        self.stamp_header(datagram, moment);
        let records = &mut datagram[HEADER_OCTETS + SET_HEADER_OCTETS..];
        for record in records.chunks_exact_mut(layout.record_octets()).take(RECORDS) {
            for offset in layout.time_offsets() {
                age_to_time_u32(record, offset, moment.flow_uptime_ms());
            }
        }
    }

    fn write_control(&mut self, layout: &Layout, moment: Moment, out: &mut Vec<u8>) -> Control {
        let start = out.len();
        let count = if self.sampling_rate.is_some() { 3 } else { 1 };
        write_header(count, out);
        layout.write_template(TEMPLATE_SET, out);
        let control = Control { templates: 1, ..Control::default() };
        let control = match self.sampling_rate {
            Some(rate) => control + write_sampling(rate, self.source_id, out),
            None => control,
        };
        self.stamp_header(&mut out[start..], moment);
        control
    }

    fn restart(&mut self) {
        self.sequence = 0;
    }
}

/// Appends a datagram.
pub(super) fn encode(flows: &[Flow], layout: &Layout, out: &mut Vec<u8>) {
    write_header(flows.len(), out);
    let set = out.len();
    out.put_u16(FLOW_TEMPLATE);
    out.put_u16(0);
    for flow in flows {
        layout.write_record(flow, out);
    }
    finish_set(set, out);
}

/// Appends a header; `count` is of records of all kinds.
fn write_header(count: usize, out: &mut Vec<u8>) {
    out.put_u16(VERSION);
    out.put_u16(count as u16);
    out.extend_from_slice(&[0; HEADER_OCTETS - 4]);
}

/// Appends the options template of sampling and one record of it.
fn write_sampling(rate: u32, source_id: u32, out: &mut Vec<u8>) -> Control {
    /// The scope is the exporting system.
    const SCOPE: [Field; 1] = [(1, 4)];
    /// Sampler, its mode, its interval.
    const OPTIONS: [Field; 3] = [(48, 1), (49, 1), (50, 4)];
    const SAMPLER: u8 = 1;
    const RANDOM: u8 = 2;
    let set = out.len();
    out.put_u16(OPTIONS_TEMPLATE_SET);
    out.put_u16(0);
    out.put_u16(SAMPLING_TEMPLATE);
    out.put_u16(4 * SCOPE.len() as u16);
    out.put_u16(4 * OPTIONS.len() as u16);
    layout::write_fields(&SCOPE, out);
    layout::write_fields(&OPTIONS, out);
    finish_set(set, out);
    let set = out.len();
    out.put_u16(SAMPLING_TEMPLATE);
    out.put_u16(0);
    out.put_u32(source_id);
    out.extend_from_slice(&[SAMPLER, RANDOM]);
    out.put_u32(rate);
    finish_set(set, out);
    Control { options_templates: 1, options_records: 1, ..Control::default() }
}

/// Pads the set that begins there to a multiple of four octets and fills in its length.
fn finish_set(set: usize, out: &mut Vec<u8>) {
    let octets = (out.len() - set).next_multiple_of(4);
    out.resize(set + octets, 0);
    set_u16(out, set + 2, octets as u16);
}
