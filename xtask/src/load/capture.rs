//! Writes datagrams into a capture file instead of sending them.
//!
//! Takes outboxes and their time, gives Ethernet frames with IPv4 and UDP, each exporter with an address of its
//! own. There is no clock: the same seed and rate give the same octets.

use std::fs::File;
use std::io::{self, BufWriter};
use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::{Context, Result};
use tapline_trafficgen::exports::Outbox;
use tapline_trafficgen::frame::{Body, Frame, Link, Mac, Packet, Transport, Udp};
use tapline_trafficgen::payload::Payload;
use tapline_trafficgen::pcap::{PcapFormat, PcapWriter};

/// A capture file that is being written.
pub(crate) struct Capture {
    writer: PcapWriter<BufWriter<File>>,
    frame: Vec<u8>,
    port: u16,
}

impl Capture {
    /// Creates the file; the datagrams go to that port.
    pub(crate) fn create(path: &Path, port: u16) -> Result<Self> {
        let create =
            || PcapWriter::new(BufWriter::with_capacity(1 << 20, File::create(path)?), PcapFormat::default());
        let writer = create().with_context(|| format!("{} cannot be written", path.display()))?;
        Ok(Self { writer, frame: Vec::new(), port })
    }

    /// Writes all datagrams of an exporter's outbox.
    pub(crate) fn write(&mut self, exporter: usize, time_ns: u64, outbox: &Outbox) -> io::Result<()> {
        for datagram in outbox.datagrams() {
            self.frame.clear();
            frame(exporter as u32, self.port, datagram).write(&mut self.frame);
            self.writer.write(time_ns, &self.frame)?;
        }
        Ok(())
    }

    /// Ends the file.
    pub(crate) fn finish(self) -> io::Result<()> {
        self.writer.finish().map(drop)
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
