//! IPFIX (RFC 7011), over UDP.
//!
//! Takes flows and an order of fields, writes messages of a header of 16 octets and sets. The sequence counts
//! data records of the observation domain, those of options too, and none of templates.

use super::dialect::{Dialect, Moment};
use super::flow::Flow;
use super::layout::{self, FLOW_TEMPLATE, Field, Layout, SAMPLING_TEMPLATE};
use super::octets::{Put, age_to_time_u64, set_u16, set_u32};
use super::plan::ExportPlan;
use super::truth::Control;

pub(super) const RECORDS: usize = 19;

const HEADER_OCTETS: usize = 16;
const SET_HEADER_OCTETS: usize = 4;
const VERSION: u16 = 10;
const TEMPLATE_SET: u16 = 2;
const OPTIONS_TEMPLATE_SET: u16 = 3;

/// Counters of eight octets, times in milliseconds, what all records have, and why the flow ended.
pub(super) fn fields() -> Vec<Field> {
    layout::fields([(1, 8), (2, 8), (152, 8), (153, 8)], (136, 1))
}

/// The state of an exporter.
#[derive(Debug)]
pub(super) struct Ipfix {
    /// Data records so far.
    sequence: u32,
    domain: u32,
    sampling_rate: Option<u32>,
}

impl Ipfix {
    pub(super) fn new(plan: &ExportPlan, exporter: u32) -> Self {
        Self { sequence: 0, domain: exporter + 1, sampling_rate: plan.sampling_rate }
    }

    /// Fills in the header but for the length, and counts the records.
    fn stamp_header(&mut self, message: &mut [u8], records: u32, moment: Moment) {
        set_u32(message, 4, moment.seconds());
        set_u32(message, 8, self.sequence);
        set_u32(message, 12, self.domain);
        self.sequence = self.sequence.wrapping_add(records);
    }
}

impl Dialect for Ipfix {
    fn stamp(&mut self, datagram: &mut [u8], layout: &Layout, moment: Moment) {
        self.stamp_header(datagram, RECORDS as u32, moment);
        let records = &mut datagram[HEADER_OCTETS + SET_HEADER_OCTETS..];
        for record in records.chunks_exact_mut(layout.record_octets()) {
            for offset in layout.time_offsets() {
                age_to_time_u64(record, offset, moment.flow_milliseconds());
            }
        }
    }

    fn write_control(&mut self, layout: &Layout, moment: Moment, out: &mut Vec<u8>) -> Control {
        let start = out.len();
        write_header(out);
        layout.write_template(TEMPLATE_SET, out);
        let control = Control { templates: 1, ..Control::default() };
        let control = match self.sampling_rate {
            Some(rate) => control + write_sampling(rate, self.domain, out),
            None => control,
        };
        finish_message(start, out);
        self.stamp_header(&mut out[start..], control.options_records as u32, moment);
        control
    }

    fn restart(&mut self) {
        self.sequence = 0;
    }
}

/// Appends a datagram.
pub(super) fn encode(flows: &[Flow], layout: &Layout, out: &mut Vec<u8>) {
    let start = out.len();
    write_header(out);
    let set = out.len();
    out.put_u16(FLOW_TEMPLATE);
    out.put_u16(0);
    for flow in flows {
        layout.write_record(flow, out);
    }
    finish_set(set, out);
    finish_message(start, out);
}

fn write_header(out: &mut Vec<u8>) {
    out.put_u16(VERSION);
    out.extend_from_slice(&[0; HEADER_OCTETS - 2]);
}

/// Appends the options template of sampling and one record of it.
fn write_sampling(rate: u32, domain: u32, out: &mut Vec<u8>) -> Control {
    /// Domain, the algorithm, packets that are taken, packets that are left out between.
    const OPTIONS: [Field; 4] = [(149, 4), (304, 2), (305, 4), (306, 4)];
    const SCOPE_FIELDS: u16 = 1;
    const SYSTEMATIC: u16 = 1;
    let set = out.len();
    out.put_u16(OPTIONS_TEMPLATE_SET);
    out.put_u16(0);
    out.put_u16(SAMPLING_TEMPLATE);
    out.put_u16(OPTIONS.len() as u16);
    out.put_u16(SCOPE_FIELDS);
    layout::write_fields(&OPTIONS, out);
    finish_set(set, out);
    let set = out.len();
    out.put_u16(SAMPLING_TEMPLATE);
    out.put_u16(0);
    out.put_u32(domain);
    out.put_u16(SYSTEMATIC);
    out.put_u32(1);
    out.put_u32(rate - 1);
    finish_set(set, out);
    Control { options_templates: 1, options_records: 1, ..Control::default() }
}

/// Fills in the length of the set that begins there; sets are not padded.
fn finish_set(set: usize, out: &mut [u8]) {
    let octets = out.len() - set;
    set_u16(out, set + 2, octets as u16);
}

/// Fills in the length of the message that begins there.
fn finish_message(start: usize, out: &mut [u8]) {
    let octets = out.len() - start;
    set_u16(out, start + 2, octets as u16);
}
