//! Flow exports as a capture file.
//!
//! Takes a plan, a rate and a number of records, writes Ethernet frames with IPv4 and UDP, each exporter with
//! an address of its own. The rate sets the times of the frames, from a fixed instant on: there is no clock,
//! and the same numbers always give the same bytes.

use std::io::{self, Write};
use std::net::Ipv4Addr;

use super::{ExportPlan, Fleet, Outbox, Truth};
use crate::frame::{Body, Frame, Link, Mac, Packet, Transport, Udp};
use crate::payload::Payload;
use crate::pcap::{PcapFormat, PcapWriter};

/// The numbers of a capture of flow exports.
#[derive(Clone, Copy, Debug)]
pub struct ExportCapture {
    /// What the exporters do.
    pub plan: ExportPlan,
    /// How many there are; they take turns.
    pub exporters: u32,
    /// Records of all exporters in a second.
    pub records_per_second: u64,
    /// Records in all, up to the end of a datagram.
    pub records: u64,
}

impl ExportCapture {
    /// Writes the capture, gives the sink back and the truth.
    ///
    /// # Errors
    /// When a number is out of range or the sink cannot be written.
    pub fn write_pcap<W: Write>(&self, sink: W) -> io::Result<(W, Truth)> {
        let invalid = |wrong| io::Error::new(io::ErrorKind::InvalidInput, wrong);
        let mut fleet = Fleet::new(&self.plan, 0..self.exporters).map_err(invalid)?;
        let mut writer = Frames::new(sink, self.plan.protocol.port())?;
        let (mut outbox, mut records, mut exporter) = (Outbox::default(), 0, 0);
        while records < self.records {
            let time_ns = self.time_ns(records);
            outbox.clear();
            let mut generated = 0;
            while generated == 0 {
                generated = fleet.emit(exporter, time_ns, &mut outbox);
            }
            writer.write(exporter, time_ns, &outbox)?;
            records += generated;
            exporter = (exporter + 1) % fleet.exporters();
        }
        for exporter in 0..fleet.exporters() {
            outbox.clear();
            fleet.finish(exporter, self.time_ns(records), &mut outbox);
            writer.write(exporter, self.time_ns(records), &outbox)?;
        }
        Ok((writer.pcap.finish()?, fleet.truth()))
    }

    /// When the datagram after so many records is sent, in nanoseconds since 1970.
    fn time_ns(&self, records: u64) -> u64 {
        const START_NS: u64 = 1_772_442_000_000_000_000;
        let since_start_ns = u128::from(records) * 1_000_000_000 / u128::from(self.records_per_second.max(1));
        START_NS + since_start_ns as u64
    }
}

/// Writes datagrams as frames.
struct Frames<W> {
    pcap: PcapWriter<W>,
    port: u16,
    /// The frame that is being written.
    frame: Vec<u8>,
}

impl<W: Write> Frames<W> {
    fn new(sink: W, port: u16) -> io::Result<Self> {
        Ok(Self { pcap: PcapWriter::new(sink, PcapFormat::default())?, port, frame: Vec::new() })
    }

    fn write(&mut self, exporter: usize, time_ns: u64, outbox: &Outbox) -> io::Result<()> {
        for datagram in outbox.datagrams() {
            self.frame.clear();
            frame(exporter as u32, self.port, datagram).write(&mut self.frame);
            self.pcap.write(time_ns, &self.frame)?;
        }
        Ok(())
    }
}

/// The frame of a datagram.
fn frame(exporter: u32, port: u16, datagram: &[u8]) -> Frame {
    const EXPORTERS: u32 = u32::from_be_bytes([10, 255, 0, 1]);
    const COLLECTOR: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
    const SRC_PORT: u16 = 50_000;
    let packet = Packet {
        src_ip: Ipv4Addr::from_bits(EXPORTERS + exporter).into(),
        dst_ip: COLLECTOR.into(),
        ttl: 64,
        transport: Transport::Udp(Udp { src_port: SRC_PORT, dst_port: port }),
        payload: Payload::from(datagram.to_vec()),
    };
    let link = Link { src_mac: Mac::local(1), dst_mac: Mac::local(2), vlan: None };
    Frame { link, body: Body::Ip(packet) }
}
