//! Datagrams in memory, from a seed.

use std::net::Ipv4Addr;
use tapline_decode::{Datagram, Sender};
use tapline_record::{EventTime, FLOWS};
use tapline_trafficgen::exports::{ExportPlan, Fleet, Outbox, Protocol};

/// Records of an exporter, up to the end of a datagram: few enough for their datagrams to stay in the cache, as
/// those do that a listener has just read.
const RECORDS: u64 = 1 << 14;

/// Exporters, which send the same, one after the other.
const EXPORTERS: u16 = 32;

/// When the first datagram is sent, and how long after it the next record follows.
const START_NS: u64 = 1_772_442_000_000_000_000;
const RECORD_NS: u64 = 1_000;

/// The columns that both protocols' templates name, and the event time.
const COLUMNS: [&str; 19] = [
    "ts",
    "start_time",
    "end_time",
    "src_ip",
    "dst_ip",
    "src_port",
    "dst_port",
    "protocol",
    "tcp_flags",
    "tos",
    "packets",
    "octets",
    "src_as",
    "dst_as",
    "src_mask",
    "dst_mask",
    "next_hop",
    "input_interface",
    "output_interface",
];

/// The datagrams of all exporters.
pub(crate) struct Workload {
    pub(crate) protocol: Protocol,
    /// Records in all.
    pub(crate) records: u64,
    outbox: Outbox,
}

impl Workload {
    pub(crate) fn new(protocol: Protocol) -> Self {
        let mut fleet = Fleet::new(&ExportPlan::new(protocol, 1), 0..1).expect("a plan that can be");
        let (mut outbox, mut records) = (Outbox::default(), 0);
        while records < RECORDS {
            records += fleet.emit(0, START_NS + records * RECORD_NS, &mut outbox);
        }
        Self { protocol, records: records * u64::from(EXPORTERS), outbox }
    }

    /// The datagrams in order, as a listener lends them.
    pub(crate) fn datagrams(&self) -> impl Iterator<Item = Datagram<'_>> {
        let received = EventTime(START_NS.cast_signed());
        let senders = (0..EXPORTERS).map(|port| Sender::udp(Ipv4Addr::LOCALHOST.into(), port));
        let of_sender =
            move |sender| self.outbox.datagrams().map(move |payload| Datagram { received, sender, payload });
        senders.flat_map(of_sender)
    }

    /// Positions in [`FLOWS`] of the columns that the protocol's records fill.
    pub(crate) fn columns(&self) -> Vec<usize> {
        let of_protocol: &[&str] = match self.protocol {
            Protocol::NetflowV9 => &["direction"],
            Protocol::Ipfix => &["direction", "flow_end_reason"],
            _ => &[],
        };
        let names = COLUMNS.iter().chain(of_protocol);
        names.map(|name| FLOWS.position(name).expect("a column of flows")).collect()
    }
}
