//! People load pages.
//!
//! A page is a lookup, then one to three connections to its site, each with a few requests and their
//! responses, encrypted in most cases. Some connections end in a reset or stay open.

use super::lookup::Lookup;
use super::office::{Host, Office, Site};
use super::tcp_session::{Side, TcpSession};
use super::traffic::{Path, Traffic};
use super::{DURATION_NS, MICROSECOND_NS, MILLISECOND_NS};
use crate::payload::{http, tls};
use crate::random::Random;

const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;

pub(super) fn play(office: &Office, random: &mut Random, traffic: &mut Traffic) {
    let mut at_ns = 0;
    while at_ns < DURATION_NS {
        at_ns += random.within(20..260) * MILLISECOND_NS;
        let client = office.someone(random);
        load_page(office, client, at_ns, random, traffic);
    }
}

fn load_page(office: &Office, client: &Host, at_ns: u64, random: &mut Random, traffic: &mut Traffic) {
    let site = office.some_site(random);
    let known_ns = Lookup { office, client, at_ns }.both_addresses(site, random, traffic);
    for number in 0..random.within(1..4) {
        let start_ns = known_ns + number * random.within(1..30) * MILLISECOND_NS;
        let mut session = connection(office, (client, site), start_ns, random);
        session.open(traffic);
        if session.server_port == HTTPS_PORT {
            exchange_encrypted(&mut session, site, random, traffic);
        } else {
            exchange_plain(&mut session, site, random, traffic);
        }
        finish(&mut session, random, traffic);
    }
}

/// A new connection from a client to a site.
pub(super) fn connection(
    office: &Office,
    (client, site): (&Host, &Site),
    start_ns: u64,
    random: &mut Random,
) -> TcpSession {
    let (src_ip, dst_ip) = client.addresses_to(site, random);
    TcpSession {
        path: Path::outward(office.uplink(client), src_ip, dst_ip),
        client_port: random.within(32_768..61_000) as u16,
        server_port: if random.percent(90) { HTTPS_PORT } else { HTTP_PORT },
        round_trip_ns: site.round_trip_ns + random.below(site.round_trip_ns / 4),
        gap_ns: random.within(60..400) * MICROSECOND_NS,
        clock_ns: start_ns,
        client_seq: random.bits() as u32,
        server_seq: random.bits() as u32,
    }
}

/// The two hellos; all that follows is encrypted.
pub(super) fn shake_hands(session: &mut TcpSession, site: &Site, random: &mut Random, traffic: &mut Traffic) {
    session.say(Side::Client, tls::client_hello(&site.name, nonce(random)), traffic);
    session.wait_for_answer();
    session.say(Side::Server, tls::server_hello(nonce(random)), traffic);
    session.say(Side::Server, tls::application_data(random.within(1800..4200) as usize), traffic);
    session.say(Side::Client, tls::application_data(74), traffic);
}

fn exchange_encrypted(session: &mut TcpSession, site: &Site, random: &mut Random, traffic: &mut Traffic) {
    shake_hands(session, site, random, traffic);
    for _ in 0..random.within(1..5) {
        session.say(Side::Client, tls::application_data(random.within(80..700) as usize), traffic);
        session.wait_for_answer();
        say_in_records(session, Side::Server, random.heavy_tail(600, 9), traffic);
        session.clock_ns += random.below(400) * MILLISECOND_NS;
    }
}

fn exchange_plain(session: &mut TcpSession, site: &Site, random: &mut Random, traffic: &mut Traffic) {
    for _ in 0..random.within(1..4) {
        let path = format!("/{}", random.below(10_000));
        session.say(Side::Client, http::request(&site.name, &path), traffic);
        session.wait_for_answer();
        session.say(Side::Server, http::response(random.heavy_tail(400, 8) as usize), traffic);
        session.clock_ns += random.below(300) * MILLISECOND_NS;
    }
}

/// One side sends so many octets of application data, in as many records as it takes.
pub(super) fn say_in_records(session: &mut TcpSession, side: Side, octets: u64, traffic: &mut Traffic) {
    let mut missing = octets as usize;
    while missing > 0 {
        let record = missing.min(tls::RECORD_OCTETS_MAX);
        session.say(side, tls::application_data(record), traffic);
        missing -= record;
    }
}

fn finish(session: &mut TcpSession, random: &mut Random, traffic: &mut Traffic) {
    match random.below(10) {
        0 => session.reset(traffic),
        1 => {}
        _ => session.close(traffic),
    }
}

fn nonce(random: &mut Random) -> [u8; 32] {
    let mut nonce = [0; 32];
    for octets in nonce.chunks_exact_mut(8) {
        octets.copy_from_slice(&random.bits().to_be_bytes());
    }
    nonce
}
