//! NetFlow version 7, which Catalyst switches export.
//!
//! Takes flows, writes a header of 24 octets and 52 for each record: those of version 5, then the router that
//! was bypassed. There is no sampling and no engine.

use super::flow::Flow;
use super::netflow_v5::{NetflowV5, write_header, write_record};
use super::octets::Put;

pub(super) const RECORDS: usize = 26;
const RECORD_OCTETS: usize = 52;

/// The state of an exporter.
pub(super) fn exporter() -> NetflowV5 {
    NetflowV5::plain(RECORD_OCTETS)
}

/// Appends a datagram.
pub(super) fn encode(flows: &[Flow], out: &mut Vec<u8>) {
    const VERSION: u16 = 7;
    const ROUTER: u32 = u32::from_be_bytes([192, 0, 2, 254]);
    write_header(VERSION, flows.len(), out);
    for flow in flows {
        write_record(flow, out);
        out.put_u32(ROUTER);
    }
}
