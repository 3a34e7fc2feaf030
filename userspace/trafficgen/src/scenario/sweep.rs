//! The port sweep: one computer looks for file shares in the servers' network.
//!
//! One SYN to each of 640 addresses, all within the scenario's second minute, about twelve in a second and in
//! random order: 40 kB in all, invisible among the rest. Most addresses are not in use; a few refuse.

use std::net::{IpAddr, Ipv4Addr};

use super::office::Office;
use super::traffic::{Path, Traffic};
use super::truth::Sweep;
use super::{MILLISECOND_NS, SECOND_NS};
use crate::frame::{ACK, RST, SYN, Tcp, Transport};
use crate::payload::Payload;
use crate::random::Random;

const TARGETS: u32 = 640;
const NETWORK: Ipv4Addr = Ipv4Addr::new(10, 30, 0, 0);
const NETWORK_SIZE: u32 = 4096;
const PORT: u16 = 445;
const START_OFFSET_NS: u64 = 63 * SECOND_NS;
const STEP_NS: u64 = 82 * MILLISECOND_NS;

pub(super) fn play(office: &Office, random: &mut Random, traffic: &mut Traffic) -> Sweep {
    let infected = &office.staff[36];
    let mut hosts: Vec<u32> = (1..NETWORK_SIZE).collect();
    random.shuffle(&mut hosts);
    let targets: Vec<IpAddr> = hosts
        .iter()
        .take(TARGETS as usize)
        .map(|host| Ipv4Addr::from(u32::from(NETWORK) + host).into())
        .collect();
    for (number, &target) in targets.iter().enumerate() {
        let at_ns = START_OFFSET_NS + number as u64 * STEP_NS + random.below(STEP_NS / 2);
        probe(Path::outward(office.uplink(infected), infected.v4.into(), target), at_ns, random, traffic);
    }
    Sweep { source: infected.v4.into(), port: PORT, targets }
}

/// One SYN; three in a hundred are refused.
fn probe(path: Path, at_ns: u64, random: &mut Random, traffic: &mut Traffic) {
    let src_port = random.within(32_768..61_000) as u16;
    let syn = Tcp { src_port, dst_port: PORT, seq: random.bits() as u32, ack: 0, flags: SYN };
    traffic.send(at_ns, path, Transport::Tcp(syn), Payload::default());
    if random.percent(3) {
        let ack = syn.seq.wrapping_add(1);
        let refusal = Tcp { src_port: PORT, dst_port: src_port, seq: 0, ack, flags: RST | ACK };
        traffic.send(at_ns + MILLISECOND_NS, path.back(), Transport::Tcp(refusal), Payload::default());
    }
}
