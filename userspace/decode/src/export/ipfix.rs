//! IPFIX (RFC 7011): NetFlow v9's successor, over UDP, TCP and in files.
//!
//! Sequence numbers count the data records of an observation domain, those described by options templates
//! too. Where some records of a message are not known, the next number is not either: what follows tells how
//! many they were.

use super::account::Undecodable;
use super::domain::{Domain, Head, Output, Tally, Waiting};
use super::sets::{Set, Sets};
use super::template::{
    TEMPLATE_ID_MIN, ipfix_options_templates, ipfix_templates, v9_options_templates, v9_templates,
};
use super::wire::{u16_at, u32_at};
use super::{Datagram, header_time};

/// Octets of the header.
const HEADER_OCTETS: usize = 16;

/// The observation domain of a message.
pub(super) fn domain_of(payload: &[u8]) -> Option<u32> {
    u32_at(payload, 12)
}

/// Decodes a message.
pub(super) fn decode(datagram: &Datagram<'_>, domain: &mut Domain, output: &mut Output) {
    let payload = datagram.payload;
    let header = (u16_at(payload, 2), u32_at(payload, 4), u32_at(payload, 8), domain_of(payload));
    let (Some(length), Some(seconds), Some(sequence), Some(number)) = header else {
        return domain.counts.reasons.count(Undecodable::Header);
    };
    let head = Head {
        exporter: datagram.sender.address,
        domain: number,
        sent: header_time(seconds, 0),
        received: datagram.received,
        uptime_ms: None,
    };
    domain.clock.note(&head);
    let length = usize::from(length);
    if length > payload.len() || length < HEADER_OCTETS {
        domain.counts.reasons.count(Undecodable::Length);
    }
    let message = payload.get(..length).filter(|_| length >= HEADER_OCTETS).unwrap_or(payload);
    domain.counts.trailing_octets += (payload.len() - message.len()) as u64;
    let (mut tally, mut waiting) = (Tally::default(), vec![]);
    let mut sets = Sets::new(message, HEADER_OCTETS);
    for Set { id, body } in &mut sets {
        let mut learn = |template| domain.learn(template, &mut tally, output);
        match id {
            2 => ipfix_templates(body, &mut learn),
            3 => ipfix_options_templates(body, &mut learn),
            // Some exporters keep v9's numbers for v9's templates.
            0 => v9_templates(body, &mut learn),
            1 => v9_options_templates(body, &mut learn),
            TEMPLATE_ID_MIN.. => {
                waiting.extend(domain.data_set(Set { id, body }, &head, &mut tally, output));
            }
            _ => domain.counts.reasons.count(Undecodable::Reserved),
        }
    }
    domain.counts.trailing_octets += sets.padding() as u64;
    let broken = sets.broken();
    broken.into_iter().for_each(|reason| domain.counts.reasons.count(reason));
    domain.counts.delivered += u64::from(tally.records);
    domain.counts.control += u64::from(tally.options_records);
    let units = tally.records + tally.options_records;
    domain.sequence.observe(sequence, units, false);
    let first = sequence.wrapping_add(units);
    let waits = !waiting.is_empty()
        && domain.wait(Waiting { head, sets: waiting, is_undecoded: false, first }, output);
    if tally.unknown_sets > 0 || broken.is_some() {
        domain.sequence.lose_track(waits && broken.is_none());
    }
}
