//! The flows that are exported.
//!
//! Takes random numbers, gives records that no protocol has a part in: between the autonomous systems of two
//! sides, with plausible addresses, ports and sizes. Their times are ages: so long before the export.

use std::net::Ipv4Addr;

use crate::frame::{ACK, FIN, PSH, SYN};
use crate::random::Random;

/// Interfaces of an exporter: 1 to this.
pub(super) const INTERFACES: u16 = 8;

/// One flow; times are in milliseconds before the export.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flow {
    pub(super) src_ip: Ipv4Addr,
    pub(super) dst_ip: Ipv4Addr,
    pub(super) next_hop: Ipv4Addr,
    pub(super) input: u16,
    pub(super) output: u16,
    pub(super) packets: u32,
    pub(super) octets: u32,
    pub(super) start_age_ms: u32,
    pub(super) end_age_ms: u32,
    pub(super) src_port: u16,
    pub(super) dst_port: u16,
    pub(super) protocol: u8,
    pub(super) tcp_flags: u8,
    pub(super) tos: u8,
    pub(super) src_as: u32,
    pub(super) dst_as: u32,
    pub(super) src_mask: u8,
    pub(super) dst_mask: u8,
}

/// The oldest start of a flow.
pub(super) const AGE_MS_MAX: u32 = START_TO_END_MS_MAX + END_AGE_MS_MAX;
const START_TO_END_MS_MAX: u32 = 30_000;
const END_AGE_MS_MAX: u32 = 5_000;

/// Draws flows.
#[derive(Debug)]
pub(super) struct FlowSource {
    random: Random,
    autonomous_systems: u64,
    /// Whether AS numbers may take four octets.
    wide: bool,
    /// Where the latest flow came in.
    interface: u16,
    /// Pairs of systems that are still to come before any comes again; empty when there are very many.
    pairs: Vec<u32>,
}

impl FlowSource {
    pub(super) fn new(seed: u64, autonomous_systems: u32, wide: bool) -> Self {
        let random = Random::new(seed, "exports");
        Self { random, autonomous_systems: autonomous_systems.into(), wide, interface: 0, pairs: Vec::new() }
    }

    pub(super) fn draw(&mut self) -> Flow {
        const SOURCES: u32 = u32::from_be_bytes([10, 0, 0, 0]);
        const DESTINATIONS: u32 = u32::from_be_bytes([100, 64, 0, 0]);
        const SRC_AS_MIN: u32 = 1_000;
        const DST_AS_MIN: u32 = 20_000;
        let (src_system, dst_system) = self.pair();
        let (packets, octets) = self.size();
        let (protocol, tcp_flags) = self.protocol();
        let end_age_ms = self.random.below(END_AGE_MS_MAX.into()) as u32;
        Flow {
            src_ip: self.host(SOURCES, src_system),
            dst_ip: self.host(DESTINATIONS, dst_system),
            next_hop: Ipv4Addr::from_octets([192, 0, 2, 1 + (dst_system % 8) as u8]),
            input: self.next_interface(),
            output: self.random.within(1..u64::from(INTERFACES) + 1) as u16,
            packets,
            octets,
            start_age_ms: end_age_ms + self.random.below(START_TO_END_MS_MAX.into()) as u32,
            end_age_ms,
            src_port: self.random.within(1024..65_536) as u16,
            dst_port: *self.random.choose(&[443, 443, 443, 80, 53, 22, 25, 123, 3389, 8080]),
            protocol,
            tcp_flags,
            tos: *self.random.choose(&[0, 0, 0, 0x28, 0xb8]),
            src_as: self.as_number(SRC_AS_MIN, src_system),
            dst_as: self.as_number(DST_AS_MIN, dst_system),
            src_mask: 22,
            dst_mask: 22,
        }
    }

    /// The numbers of two autonomous systems, each on its side and from 0.
    fn pair(&mut self) -> (u32, u32) {
        const DECK_PAIRS_MAX: u64 = 1 << 20;
        let pairs = self.autonomous_systems * self.autonomous_systems;
        if self.pairs.is_empty() && pairs <= DECK_PAIRS_MAX {
            self.pairs.extend(0..pairs as u32);
            self.random.shuffle(&mut self.pairs);
        }
        let pair = self.pairs.pop().map_or_else(|| self.random.below(pairs), u64::from);
        ((pair / self.autonomous_systems) as u32, (pair % self.autonomous_systems) as u32)
    }

    /// A host in the network of /22 that belongs to the autonomous system.
    fn host(&mut self, side: u32, system: u32) -> Ipv4Addr {
        Ipv4Addr::from(side + (system << 10) + self.random.within(1..1023) as u32)
    }

    /// Interfaces take turns, so that each shows up within a few datagrams.
    fn next_interface(&mut self) -> u16 {
        self.interface = self.interface % INTERFACES + 1;
        self.interface
    }

    /// Packets and octets; most flows are small.
    fn size(&mut self) -> (u32, u32) {
        let packets = self.random.heavy_tail(1, 10) as u32;
        (packets, packets * self.random.within(40..1501) as u32)
    }

    /// The protocol's number and TCP flags.
    fn protocol(&mut self) -> (u8, u8) {
        const TCP: u8 = 6;
        const UDP: u8 = 17;
        if self.random.percent(80) { (TCP, SYN | ACK | PSH | FIN) } else { (UDP, 0) }
    }

    /// The number of an autonomous system; one in eight takes four octets, where it may.
    fn as_number(&self, min: u32, system: u32) -> u32 {
        const WIDE: u32 = 4_200_000_000;
        let is_wide = self.wide && system % 8 == 7;
        min + system + if is_wide { WIDE } else { 0 }
    }
}
