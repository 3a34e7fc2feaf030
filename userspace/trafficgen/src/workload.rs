//! Many small packets over many flows, for benchmarks.
//!
//! Takes numbers, writes a capture of UDP over IPv4 in Ethernet, fast: every flow's frame is built once and
//! copied for each of its packets. The same numbers always give the same bytes.

use std::io::{self, Write};
use std::net::Ipv4Addr;

use crate::frame::{Body, Frame, Link, Mac, Packet, Transport, Udp};
use crate::payload::Payload;
use crate::pcap::{PcapFormat, PcapWriter};
use crate::random::{Random, Zipf};

/// How packets are spread over flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    /// Every flow gets about the same.
    Uniform,
    /// Few flows get most, by Zipf's law.
    Zipf,
}

/// The numbers of a benchmark capture.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// Frames in the capture.
    pub packets: u64,
    /// Different flows, each with its own addresses and ports; every one of them occurs, as long as there
    /// are as many packets.
    pub flows: u32,
    /// Octets of a frame; from 60 to 1514.
    pub frame_octets: usize,
    /// How packets are spread over flows.
    pub spread: Spread,
    /// Where the random numbers start.
    pub seed: u64,
}

impl Workload {
    /// Octets of the IP packet in each frame.
    #[must_use]
    pub fn octets(&self) -> usize {
        self.frame_octets - ETHERNET_OCTETS
    }

    /// Writes the capture; packets are 2 µs apart.
    ///
    /// # Errors
    /// When a number is out of range or the sink cannot be written.
    pub fn write_pcap<W: Write>(&self, sink: W) -> io::Result<W> {
        const START_NS: u64 = 1_772_442_000_000_000_000;
        const STEP_NS: u64 = 2_000;
        self.check()?;
        let frames = self.frame_of_each_flow();
        let mut random = Random::new(self.seed, "workload");
        let zipf = (self.spread == Spread::Zipf).then(|| Zipf::new(self.flows));
        let mut writer = PcapWriter::new(sink, PcapFormat::default())?;
        for number in 0..self.packets {
            let flow = match &zipf {
                _ if number < u64::from(self.flows) => number as usize,
                Some(zipf) => zipf.draw(&mut random),
                None => random.below(self.flows.into()) as usize,
            };
            let start = flow * self.frame_octets;
            writer.write(START_NS + number * STEP_NS, &frames[start..start + self.frame_octets])?;
        }
        writer.finish()
    }

    fn check(&self) -> io::Result<()> {
        const FLOWS_MAX: u32 = 1 << 22;
        let wrong = if !(60..=1514).contains(&self.frame_octets) {
            format!("frame_octets is {}, it must be from 60 to 1514", self.frame_octets)
        } else if !(1..=FLOWS_MAX).contains(&self.flows) {
            format!("flows is {}, it must be from 1 to {FLOWS_MAX}", self.flows)
        } else {
            return Ok(());
        };
        Err(io::Error::new(io::ErrorKind::InvalidInput, wrong))
    }

    /// The bytes of all flows' frames, one after the other.
    fn frame_of_each_flow(&self) -> Vec<u8> {
        let mut random = Random::new(self.seed, "flows");
        let mut bytes = Vec::with_capacity(self.flows as usize * self.frame_octets);
        for flow in 0..self.flows {
            self.frame(flow, &mut random).write(&mut bytes);
        }
        bytes
    }

    /// The frame of a flow: its number is its source address, the rest is random.
    fn frame(&self, flow: u32, random: &mut Random) -> Frame {
        const HEADER_OCTETS: usize = 28;
        const SOURCES: u32 = u32::from_be_bytes([10, 0, 0, 0]);
        const DESTINATIONS: u64 = u32::from_be_bytes([10, 128, 0, 0]) as u64;
        let packet = Packet {
            src_ip: Ipv4Addr::from(SOURCES + flow).into(),
            dst_ip: Ipv4Addr::from((DESTINATIONS + random.below(65_536)) as u32).into(),
            ttl: 64,
            transport: Transport::Udp(Udp {
                src_port: random.within(1024..65_535) as u16,
                dst_port: random.within(1024..65_535) as u16,
            }),
            payload: Payload::filler(self.octets() - HEADER_OCTETS),
        };
        let link = Link { src_mac: Mac::local(1), dst_mac: Mac::local(2), vlan: None };
        Frame { link, body: Body::Ip(packet) }
    }
}

const ETHERNET_OCTETS: usize = 14;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const SMALL: Workload =
        Workload { packets: 5000, flows: 100, frame_octets: 64, spread: Spread::Uniform, seed: 1 };

    /// Packets of each source address, largest first.
    fn packets_of_flows(workload: Workload) -> Vec<u32> {
        let file = workload.write_pcap(Vec::new()).unwrap();
        let mut flows = BTreeMap::new();
        for record in file[24..].chunks_exact(16 + workload.frame_octets) {
            *flows.entry(record[16 + 26..16 + 30].to_vec()).or_default() += 1;
        }
        let mut counts: Vec<u32> = flows.into_values().collect();
        counts.sort_unstable_by(|a, b| b.cmp(a));
        counts
    }

    #[test]
    fn all_packets_and_flows_are_there() {
        let counts = packets_of_flows(SMALL);
        assert_eq!((counts.len(), counts.iter().sum::<u32>()), (100, 5000));
        assert!(counts[0] < 90, "{counts:?}");
    }

    #[test]
    fn zipf_is_uneven() {
        let counts = packets_of_flows(Workload { spread: Spread::Zipf, ..SMALL });
        assert_eq!((counts.len(), counts.iter().sum::<u32>()), (100, 5000));
        assert!(counts[0] > 700, "{counts:?}");
    }

    #[test]
    fn the_same_numbers_give_the_same_bytes() {
        let write = |workload: Workload| workload.write_pcap(Vec::new()).unwrap();
        assert!(write(SMALL) == write(SMALL));
        assert!(write(SMALL) != write(Workload { seed: 2, ..SMALL }));
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        for wrong in [Workload { frame_octets: 59, ..SMALL }, Workload { flows: 0, ..SMALL }] {
            assert!(wrong.write_pcap(Vec::new()).is_err());
        }
    }
}
