//! Names and their addresses.
//!
//! Clients ask the office's resolver, which asks outside for what it does not know; so a lookup is two or
//! four datagrams. Some names do not exist.

use super::office::{Host, Office, Site};
use super::traffic::{Path, Traffic};
use super::{DURATION_NS, MICROSECOND_NS, MILLISECOND_NS};
use crate::frame::{Transport, Udp};
use crate::payload::dns::{Answer, Question};
use crate::random::Random;

const DNS_PORT: u16 = 53;

/// The lookups that no page is loaded for: mail programs, telephones, mistyped names.
pub(super) fn play(office: &Office, random: &mut Random, traffic: &mut Traffic) {
    let mut at_ns = 0;
    while at_ns < DURATION_NS {
        at_ns += random.within(20..180) * MILLISECOND_NS;
        if random.percent(6) {
            mistyped(office, random, at_ns, traffic);
        } else {
            let (client, site) = (office.someone(random), office.some_site(random));
            Lookup { office, client, at_ns }.both_addresses(site, random, traffic);
        }
    }
}

/// A client that looks something up.
pub(super) struct Lookup<'a> {
    pub(super) office: &'a Office,
    pub(super) client: &'a Host,
    pub(super) at_ns: u64,
}

impl Lookup<'_> {
    /// Asks for both addresses of a site; gives the time at which the client has them.
    pub(super) fn both_addresses(&self, site: &Site, random: &mut Random, traffic: &mut Traffic) -> u64 {
        let v6 = site.v6.map_or(Answer::NoData, |address| Answer::Address(address.into()));
        let first = self.ask(&site.name, (false, Answer::Address(site.v4.into())), random, traffic);
        let second = self.ask(&site.name, (true, v6), random, traffic);
        first.max(second)
    }

    /// Asks for one kind of address; gives the time of the answer.
    fn ask(
        &self,
        name: &str,
        (ipv6, answer): (bool, Answer),
        random: &mut Random,
        traffic: &mut Traffic,
    ) -> u64 {
        let question = Question { id: random.bits() as u16, name: name.to_owned(), ipv6 };
        let (client, resolver) = (self.client, &self.office.resolver);
        let path = Path::outward(client.link_to(resolver), client.v4.into(), resolver.v4.into());
        let ports = Udp { src_port: random.within(32_768..61_000) as u16, dst_port: DNS_PORT };
        let asked_ns = self.at_ns + random.below(200) * MICROSECOND_NS;
        traffic.send(asked_ns, path, Transport::Udp(ports), question.query());
        let known_ns = asked_ns + random.within(150..600) * MICROSECOND_NS;
        let known_ns =
            if random.percent(35) { self.ask_outside(&question, &answer, random, traffic) } else { known_ns };
        let known_ns = known_ns.max(asked_ns + 100 * MICROSECOND_NS);
        traffic.send(known_ns, path.back(), Transport::Udp(swapped(ports)), question.response(&answer));
        known_ns
    }

    /// The resolver asks its own server, outside; gives the time at which it knows.
    fn ask_outside(
        &self,
        question: &Question,
        answer: &Answer,
        random: &mut Random,
        traffic: &mut Traffic,
    ) -> u64 {
        const SERVERS_OUTSIDE: [[u8; 4]; 2] = [[192, 0, 2, 53], [192, 0, 2, 54]];
        let resolver = &self.office.resolver;
        let server = std::net::Ipv4Addr::from(*random.choose(&SERVERS_OUTSIDE));
        let path = Path::outward(self.office.uplink(resolver), resolver.v4.into(), server.into());
        let ports = Udp { src_port: random.within(1024..65_535) as u16, dst_port: DNS_PORT };
        let question = Question { id: random.bits() as u16, ..question.clone() };
        let asked_ns = self.at_ns + random.within(300..700) * MICROSECOND_NS;
        let answered_ns = asked_ns + random.within(5..40) * MILLISECOND_NS;
        traffic.send(asked_ns, path, Transport::Udp(ports), question.query());
        traffic.send(answered_ns, path.back(), Transport::Udp(swapped(ports)), question.response(answer));
        answered_ns + 100 * MICROSECOND_NS
    }
}

/// Someone asks for a name that does not exist.
fn mistyped(office: &Office, random: &mut Random, at_ns: u64, traffic: &mut Traffic) {
    let client = office.someone(random);
    let name = format!("typo{}.example.com", random.below(1000));
    Lookup { office, client, at_ns }.ask(&name, (false, Answer::NoSuchName), random, traffic);
}

fn swapped(ports: Udp) -> Udp {
    Udp { src_port: ports.dst_port, dst_port: ports.src_port }
}
