//! What a network does by itself.
//!
//! Hosts set their clocks by NTP once a minute and ask for the gateway's hardware address; the monitor pings
//! what it watches every second, over both versions of IP.

use std::net::IpAddr;

use super::office::{Host, Office};
use super::traffic::{Path, Traffic};
use super::{DURATION_NS, MICROSECOND_NS, MILLISECOND_NS, SECOND_NS, START_NS};
use crate::frame::{Arp, ArpOperation, Body, Echo, Link, Mac, Transport, Udp};
use crate::payload::{Payload, ntp};
use crate::random::Random;

pub(super) fn play(office: &Office, random: &mut Random, traffic: &mut Traffic) {
    for host in office.staff.iter().chain(&office.guests) {
        set_clock(office, host, random, traffic);
        resolve_gateway(office, host, random, traffic);
    }
    for (identifier, target) in office.sites.iter().take(4).enumerate() {
        let identifier = identifier as u16;
        ping(office, (office.monitor.v4.into(), target.v4.into()), identifier, random, traffic);
        if let Some(v6) = target.v6 {
            ping(office, (office.monitor.v6.into(), v6.into()), identifier, random, traffic);
        }
    }
}

fn set_clock(office: &Office, host: &Host, random: &mut Random, traffic: &mut Traffic) {
    const NTP_PORT: u16 = 123;
    const SERVERS: [[u8; 4]; 3] = [[192, 0, 2, 123], [192, 0, 2, 124], [203, 0, 113, 123]];
    let ports = Transport::Udp(Udp { src_port: NTP_PORT, dst_port: NTP_PORT });
    let server = std::net::Ipv4Addr::from(*random.choose(&SERVERS));
    let path = Path::outward(office.uplink(host), host.v4.into(), server.into());
    let mut at_ns = random.below(64 * SECOND_NS);
    while at_ns < DURATION_NS {
        let answered_ns = at_ns + random.within(4..40) * MILLISECOND_NS;
        traffic.send(at_ns, path, ports, ntp::request(START_NS + at_ns));
        let response = ntp::response(START_NS + at_ns, START_NS + answered_ns - MILLISECOND_NS);
        traffic.send(answered_ns, path.back(), ports, response);
        at_ns += 64 * SECOND_NS + random.below(200) * MILLISECOND_NS;
    }
}

fn resolve_gateway(office: &Office, host: &Host, random: &mut Random, traffic: &mut Traffic) {
    const UNKNOWN: Mac = Mac([0; 6]);
    let gateway = &office.gateway;
    let everybody = Link { src_mac: host.mac, dst_mac: Mac::BROADCAST, vlan: host.vlan };
    let request = Arp {
        operation: ArpOperation::Request,
        sender_mac: host.mac,
        sender_ip: host.v4,
        target_mac: UNKNOWN,
        target_ip: gateway.v4,
    };
    let reply = Arp {
        operation: ArpOperation::Reply,
        sender_mac: gateway.mac,
        sender_ip: gateway.v4,
        target_mac: host.mac,
        target_ip: host.v4,
    };
    let mut at_ns = random.below(60 * SECOND_NS);
    while at_ns < DURATION_NS {
        traffic.see(at_ns, everybody, Body::Arp(request));
        let answered_ns = at_ns + random.within(100..900) * MICROSECOND_NS;
        traffic.see(answered_ns, office.uplink(host).reversed(), Body::Arp(reply));
        at_ns += random.within(45..75) * SECOND_NS;
    }
}

fn ping(
    office: &Office,
    (src_ip, dst_ip): (IpAddr, IpAddr),
    identifier: u16,
    random: &mut Random,
    traffic: &mut Traffic,
) {
    const DATA_OCTETS: usize = 56;
    let path = Path::outward(office.uplink(&office.monitor), src_ip, dst_ip);
    let offset_ns = random.below(SECOND_NS);
    for sequence in 0..(DURATION_NS / SECOND_NS) as u16 {
        let at_ns = offset_ns + u64::from(sequence) * SECOND_NS;
        let request = Echo { reply: false, identifier, sequence };
        traffic.send(at_ns, path, Transport::Echo(request), Payload::filler(DATA_OCTETS));
        let answered_ns = at_ns + random.within(4..60) * MILLISECOND_NS;
        let reply = Transport::Echo(Echo { reply: true, ..request });
        traffic.send(answered_ns, path.back(), reply, Payload::filler(DATA_OCTETS));
    }
}
