//! sFlow version 5 (sflow.org, July 2004).
//!
//! Takes flows, writes of each one packet that was sampled: the beginning of its Ethernet frame and the AS path
//! of its route. Datagrams are counted by agent, samples by their source, which is the input interface, those
//! of packets apart from those of counters.

use std::net::Ipv4Addr;

use super::dialect::{Dialect, Moment};
use super::flow::{Flow, INTERFACES};
use super::layout::Layout;
use super::octets::{Put, get_u32, set_u32};
use super::plan::ExportPlan;
use super::truth::Control;
use crate::frame::{ACK, Body, Frame, Link, Mac, Packet, Tcp, Transport, Udp};
use crate::payload::Payload;

pub(super) const RECORDS: usize = 5;

const HEADER_OCTETS: usize = 28;
const SAMPLE_OCTETS: usize = 252;
/// Octets of a frame that a sample keeps; no frame is shorter.
const SAMPLED_OCTETS: usize = 128;
const ETHERNET_OCTETS: usize = 14;
const CHECK_SEQUENCE_OCTETS: usize = 4;

/// The counters of an interface.
#[derive(Clone, Copy, Debug, Default)]
struct Interface {
    /// Packets sampled so far.
    samples: u32,
    /// Packets that could have been sampled.
    pool: u32,
    /// Octets that came in.
    octets: u64,
    /// Counter samples so far.
    counter_samples: u32,
}

/// The state of an agent.
#[derive(Debug)]
pub(super) struct Sflow {
    /// Datagrams so far.
    sequence: u32,
    exporter: u32,
    sampling_rate: u32,
    interfaces: [Interface; INTERFACES as usize],
}

impl Sflow {
    pub(super) fn new(plan: &ExportPlan, exporter: u32) -> Self {
        Self {
            sequence: 0,
            exporter,
            sampling_rate: plan.sampling_rate.unwrap_or(1),
            interfaces: [Interface::default(); INTERFACES as usize],
        }
    }

    /// Fills in the header but for the number of samples, and counts the datagram.
    fn stamp_header(&mut self, datagram: &mut [u8], moment: Moment) {
        const AGENTS: u32 = u32::from_be_bytes([10, 255, 0, 1]);
        const SUB_AGENT: u32 = 0;
        self.sequence = self.sequence.wrapping_add(1);
        set_u32(datagram, 8, AGENTS + self.exporter);
        set_u32(datagram, 12, SUB_AGENT);
        set_u32(datagram, 16, self.sequence);
        set_u32(datagram, 20, moment.uptime_ms);
    }

    /// Fills in the numbers of a flow sample by its source.
    fn stamp_sample(&mut self, sample: &mut [u8]) {
        const FRAME_OCTETS_OFFSET: usize = 52;
        let source = get_u32(sample, 12);
        let frame_octets = get_u32(sample, FRAME_OCTETS_OFFSET);
        let interface = &mut self.interfaces[source as usize - 1];
        interface.samples = interface.samples.wrapping_add(1);
        interface.pool = interface.pool.wrapping_add(self.sampling_rate);
        interface.octets += u64::from(frame_octets) * u64::from(self.sampling_rate);
        set_u32(sample, 8, interface.samples);
        set_u32(sample, 16, self.sampling_rate);
        set_u32(sample, 20, interface.pool);
    }
}

impl Dialect for Sflow {
    fn stamp(&mut self, datagram: &mut [u8], _: &Layout, moment: Moment) {
        self.stamp_header(datagram, moment);
        for sample in datagram[HEADER_OCTETS..].chunks_exact_mut(SAMPLE_OCTETS) {
            self.stamp_sample(sample);
        }
    }

    fn write_control(&mut self, _: &Layout, moment: Moment, out: &mut Vec<u8>) -> Control {
        let start = out.len();
        write_header(self.interfaces.len(), out);
        for (interface, number) in self.interfaces.iter_mut().zip(1..) {
            interface.counter_samples = interface.counter_samples.wrapping_add(1);
            write_counter_sample(number, interface, out);
        }
        self.stamp_header(&mut out[start..], moment);
        Control { counter_samples: self.interfaces.len() as u64, ..Control::default() }
    }

    fn restart(&mut self) {
        self.sequence = 0;
        self.interfaces.fill(Interface::default());
    }
}

/// Octets of the IP packet that is sampled of a flow: the mean, but no less than a sample keeps.
pub(super) fn packet_octets(flow: &Flow) -> usize {
    ((flow.octets / flow.packets) as usize).max(SAMPLED_OCTETS - ETHERNET_OCTETS)
}

/// Appends a datagram.
pub(super) fn encode(flows: &[Flow], out: &mut Vec<u8>) {
    let mut frame = Vec::new();
    write_header(flows.len(), out);
    for flow in flows {
        frame.clear();
        sampled_frame(flow).write(&mut frame);
        write_flow_sample(flow, &frame, out);
    }
}

/// The packet of a flow, as it came in.
fn sampled_frame(flow: &Flow) -> Frame {
    const UDP: u8 = 17;
    let (src_port, dst_port) = (flow.src_port, flow.dst_port);
    let (transport, headers) = if flow.protocol == UDP {
        (Transport::Udp(Udp { src_port, dst_port }), 28)
    } else {
        (Transport::Tcp(Tcp { src_port, dst_port, seq: flow.octets, ack: flow.packets, flags: ACK }), 40)
    };
    let packet = Packet {
        src_ip: flow.src_ip.into(),
        dst_ip: flow.dst_ip.into(),
        ttl: 60,
        transport,
        payload: Payload::filler(packet_octets(flow) - headers),
    };
    let (src_mac, dst_mac) = (Mac::local(flow.input.into()), Mac::local(0x100 + u32::from(flow.output)));
    Frame { link: Link { src_mac, dst_mac, vlan: None }, body: Body::Ip(packet) }
}

/// Appends a header whose agent, sequence number and uptime are open.
fn write_header(samples: usize, out: &mut Vec<u8>) {
    const VERSION: u32 = 5;
    const IPV4: u32 = 1;
    out.put_u32(VERSION);
    out.put_u32(IPV4);
    out.extend_from_slice(&[0; HEADER_OCTETS - 12]);
    out.put_u32(samples as u32);
}

/// Appends a flow sample; its sequence number, rate and pool are open.
fn write_flow_sample(flow: &Flow, frame: &[u8], out: &mut Vec<u8>) {
    const FLOW_SAMPLE: u32 = 1;
    const FLOW_RECORDS: u32 = 2;
    out.put_u32(FLOW_SAMPLE);
    out.put_u32((SAMPLE_OCTETS - 8) as u32);
    out.put_u32(0);
    out.put_u32(flow.input.into());
    out.extend_from_slice(&[0; 12]);
    out.put_u32(flow.input.into());
    out.put_u32(flow.output.into());
    out.put_u32(FLOW_RECORDS);
    write_raw_header(frame, out);
    write_gateway(flow, out);
}

/// Appends the beginning of a frame.
fn write_raw_header(frame: &[u8], out: &mut Vec<u8>) {
    const RAW_PACKET_HEADER: u32 = 1;
    const ETHERNET: u32 = 1;
    out.put_u32(RAW_PACKET_HEADER);
    out.put_u32(16 + SAMPLED_OCTETS as u32);
    out.put_u32(ETHERNET);
    out.put_u32((frame.len() + CHECK_SEQUENCE_OCTETS) as u32);
    out.put_u32(CHECK_SEQUENCE_OCTETS as u32);
    out.put_u32(SAMPLED_OCTETS as u32);
    out.extend_from_slice(&frame[..SAMPLED_OCTETS]);
}

/// Appends the extended gateway: next hop, origin, and a path of three systems that ends at the destination.
fn write_gateway(flow: &Flow, out: &mut Vec<u8>) {
    const EXTENDED_GATEWAY: u32 = 1003;
    const OCTETS: u32 = 52;
    const IPV4: u32 = 1;
    const OWN_AS: u32 = 64_500;
    const UPSTREAM: u32 = 64_501;
    const SEGMENTS: u32 = 1;
    const SEQUENCE: u32 = 2;
    const NO_COMMUNITIES: u32 = 0;
    const LOCAL_PREFERENCE: u32 = 100;
    out.put_u32(EXTENDED_GATEWAY);
    out.put_u32(OCTETS);
    out.put_u32(IPV4);
    out.put_u32(Ipv4Addr::to_bits(flow.next_hop));
    put_all(out, &[OWN_AS, flow.src_as, UPSTREAM, SEGMENTS, SEQUENCE, 3]);
    put_all(out, &[UPSTREAM, UPSTREAM + 1, flow.dst_as, NO_COMMUNITIES, LOCAL_PREFERENCE]);
}

/// Appends a counter sample with the generic counters of an interface.
fn write_counter_sample(number: u32, interface: &Interface, out: &mut Vec<u8>) {
    const COUNTER_SAMPLE: u32 = 2;
    const GENERIC_INTERFACE: u32 = 1;
    const COUNTERS_OCTETS: u32 = 88;
    const ETHERNET: u32 = 6;
    const SPEED: u64 = 10_000_000_000;
    const FULL_DUPLEX: u32 = 1;
    const UP: u32 = 3;
    const COUNTER_RECORDS: u32 = 1;
    put_all(out, &[COUNTER_SAMPLE, 20 + COUNTERS_OCTETS, interface.counter_samples, number, COUNTER_RECORDS]);
    put_all(out, &[GENERIC_INTERFACE, COUNTERS_OCTETS, number, ETHERNET]);
    out.put_u64(SPEED);
    put_all(out, &[FULL_DUPLEX, UP]);
    out.put_u64(interface.octets);
    put_all(out, &[interface.pool, 0, 0, 0, 0, 0]);
    out.put_u64(interface.octets);
    put_all(out, &[interface.pool, 0, 0, 0, 0, 0]);
}

fn put_all(out: &mut Vec<u8>, numbers: &[u32]) {
    for &number in numbers {
        out.put_u32(number);
    }
}
