//! The heavy talker: the file server uploads its backup.
//!
//! One TLS connection that lasts half a minute and takes most of the line meanwhile.

use super::office::{Office, Site};
use super::tcp_session::Side;
use super::traffic::Traffic;
use super::truth::HeavyTalker;
use super::{MICROSECOND_NS, MILLISECOND_NS, SECOND_NS, START_NS, web};
use crate::payload::tls;
use crate::random::Random;

const START_OFFSET_NS: u64 = 21 * SECOND_NS;
const LASTS_NS: u64 = 30 * SECOND_NS;

pub(super) fn play(office: &Office, random: &mut Random, traffic: &mut Traffic) -> HeavyTalker {
    let storage = Site {
        name: "backup.example.org".to_owned(),
        v4: [203, 0, 113, 200].into(),
        v6: None,
        round_trip_ns: 9 * MILLISECOND_NS,
    };
    let mut session = web::connection(office, (&office.file_server, &storage), START_OFFSET_NS, random);
    session.server_port = 443;
    session.gap_ns = 420 * MICROSECOND_NS;
    session.open(traffic);
    web::shake_hands(&mut session, &storage, random, traffic);
    while session.clock_ns < START_OFFSET_NS + LASTS_NS {
        session.say(Side::Client, tls::application_data(tls::RECORD_OCTETS_MAX), traffic);
        session.clock_ns += random.below(400) * MICROSECOND_NS;
    }
    session.close(traffic);
    HeavyTalker {
        source: office.file_server.v4.into(),
        destination: storage.v4.into(),
        start_ns: START_NS + START_OFFSET_NS,
        end_ns: START_NS + session.clock_ns,
    }
}
