//! People watch videos.
//!
//! Every viewer fetches a part of four seconds, then waits until the next one is due: over QUIC from some
//! sites, over one TLS connection from others. The rate is between 0.4 and 1.2 Mbit/s.

use super::office::{Host, Office, Site};
use super::tcp_session::Side;
use super::traffic::{Path, Traffic};
use super::{DURATION_NS, MICROSECOND_NS, MILLISECOND_NS, SECOND_NS, web};
use crate::frame::{Transport, Udp};
use crate::payload::{quic, tls};
use crate::random::Random;

const VIEWERS: u64 = 9;
const PART_NS: u64 = 4 * SECOND_NS;
const HTTPS_PORT: u16 = 443;

pub(super) fn play(office: &Office, random: &mut Random, traffic: &mut Traffic) {
    for number in 0..VIEWERS {
        let (client, site) = (office.someone(random), random.choose(&office.video_sites));
        let start_ns = random.below(PART_NS);
        if number % 3 == 0 {
            watch_over_tls(office, (client, site), start_ns, random, traffic);
        } else {
            watch_over_quic(office, (client, site), start_ns, random, traffic);
        }
    }
}

/// The octets of a viewer's parts.
fn part_octets(random: &mut Random) -> u64 {
    random.within(200_000..600_000)
}

fn watch_over_quic(
    office: &Office,
    (client, site): (&Host, &Site),
    start_ns: u64,
    random: &mut Random,
    traffic: &mut Traffic,
) {
    let (src_ip, dst_ip) = client.addresses_to(site, random);
    let connection = Connection {
        path: Path::outward(office.uplink(client), src_ip, dst_ip),
        ports: Udp { src_port: random.within(32_768..61_000) as u16, dst_port: HTTPS_PORT },
        identifier: random.bits(),
    };
    let octets = part_octets(random);
    let mut at_ns = start_ns;
    while at_ns < DURATION_NS {
        connection.fetch(at_ns + random.below(50) * MILLISECOND_NS, octets, random, traffic);
        at_ns += PART_NS;
    }
}

/// A QUIC connection; identifiers are the receiver's choice, one serves both ways here.
struct Connection {
    path: Path,
    ports: Udp,
    identifier: u64,
}

impl Connection {
    /// Fetches one part: a request, then datagrams back to back, every tenth of them acknowledged.
    fn fetch(&self, mut at_ns: u64, octets: u64, random: &mut Random, traffic: &mut Traffic) {
        const DATAGRAM_OCTETS: usize = 1_250;
        self.ask(at_ns, random.within(60..300) as usize, traffic);
        at_ns += random.within(8..25) * MILLISECOND_NS;
        for number in 0..octets / DATAGRAM_OCTETS as u64 {
            self.answer(at_ns, DATAGRAM_OCTETS, traffic);
            if number % 10 == 9 {
                self.ask(at_ns + 50 * MICROSECOND_NS, 35, traffic);
            }
            at_ns += random.within(80..600) * MICROSECOND_NS;
        }
    }

    fn ask(&self, at_ns: u64, octets: usize, traffic: &mut Traffic) {
        let payload = quic::datagram(self.identifier, octets);
        traffic.send(at_ns, self.path, Transport::Udp(self.ports), payload);
    }

    fn answer(&self, at_ns: u64, octets: usize, traffic: &mut Traffic) {
        let ports = Udp { src_port: self.ports.dst_port, dst_port: self.ports.src_port };
        let payload = quic::datagram(self.identifier, octets);
        traffic.send(at_ns, self.path.back(), Transport::Udp(ports), payload);
    }
}

fn watch_over_tls(
    office: &Office,
    (client, site): (&Host, &Site),
    start_ns: u64,
    random: &mut Random,
    traffic: &mut Traffic,
) {
    let mut session = web::connection(office, (client, site), start_ns, random);
    session.server_port = HTTPS_PORT;
    session.open(traffic);
    web::shake_hands(&mut session, site, random, traffic);
    let octets = part_octets(random);
    let mut due_ns = session.clock_ns;
    while due_ns < DURATION_NS {
        session.clock_ns = session.clock_ns.max(due_ns);
        session.say(Side::Client, tls::application_data(random.within(80..300) as usize), traffic);
        session.wait_for_answer();
        web::say_in_records(&mut session, Side::Server, octets, traffic);
        due_ns += PART_NS;
    }
}
