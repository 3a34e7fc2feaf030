//! NetFlow version 7, which Catalyst switches export.
//!
//! Takes flows, writes a header of 24 octets and 52 for each record: those of version 5, then the router that
//! was bypassed. There is no sampling and no engine.

use super::dialect::{Dialect, Moment};
use super::flow::Flow;
use super::layout::Layout;
use super::netflow_v5::{HEADER_OCTETS, stamp_header, stamp_records, write_first_part};
use super::netflow_v5::{write_header, write_second_part};
use super::octets::Put;
use super::truth::Control;

pub(super) const RECORDS: usize = 26;
const RECORD_OCTETS: usize = 52;

/// The state of an exporter.
#[derive(Debug, Default)]
pub(super) struct NetflowV7 {
    /// Flows exported so far.
    sequence: u32,
}

impl Dialect for NetflowV7 {
    fn stamp(&mut self, datagram: &mut [u8], _: &Layout, moment: Moment) {
        stamp_header(datagram, self.sequence, moment);
        stamp_records(&mut datagram[HEADER_OCTETS..], RECORD_OCTETS, moment.uptime_ms);
        self.sequence = self.sequence.wrapping_add(RECORDS as u32);
    }

    fn write_control(&mut self, _: &Layout, _: Moment, _: &mut Vec<u8>) -> Control {
        Control::default()
    }

    fn restart(&mut self) {
        self.sequence = 0;
    }
}

/// Appends a datagram.
pub(super) fn encode(flows: &[Flow], out: &mut Vec<u8>) {
    const VERSION: u16 = 7;
    const ROUTER: u32 = u32::from_be_bytes([192, 0, 2, 254]);
    write_header(VERSION, flows.len(), out);
    for flow in flows {
        write_first_part(flow, out);
        out.extend_from_slice(&[0, flow.tcp_flags, flow.protocol, flow.tos]);
        write_second_part(flow, out);
        out.put_u32(ROUTER);
    }
}
