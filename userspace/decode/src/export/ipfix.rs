//! IPFIX (RFC 7011): NetFlow v9's successor, over UDP, TCP and in files.
//!
//! Sequence numbers count the data records of an observation domain, those described by options templates
//! too. Where some records of a message are not known, the next number is not either: what follows tells how
//! many they were.

use super::account::Undecodable;
use super::domain::{Domain, Head, Output, Waiting};
use super::sets::Sets;
use super::template::{TemplateReader, ipfix_options_templates, ipfix_templates};
use super::wire::{u16_at, u32_at};
use super::{Datagram, header_time, netflow_v9};

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
    let head = Head::new(datagram, number, header_time(seconds, 0), None);
    domain.clock.note(&head);
    let length = usize::from(length);
    if length > payload.len() || length < HEADER_OCTETS {
        domain.counts.reasons.count(Undecodable::Length);
    }
    let message = payload.get(..length).filter(|_| length >= HEADER_OCTETS).unwrap_or(payload);
    domain.counts.trailing_octets += (payload.len() - message.len()) as u64;
    let tally = domain.sets(Sets::new(message, HEADER_OCTETS), &head, reader_of, output);
    domain.counts.delivered += u64::from(tally.records);
    domain.counts.control += u64::from(tally.options_records);
    let units = tally.records + tally.options_records;
    domain.sequence.observe(sequence, units, false);
    let (first, is_broken) = (sequence.wrapping_add(units), tally.broken.is_some());
    let is_unknown = !tally.waiting.is_empty();
    let waits =
        is_unknown && domain.wait(Waiting { head, sets: tally.waiting, is_undecoded: false, first }, output);
    if is_unknown || is_broken {
        domain.sequence.lose_track(waits && !is_broken);
    }
}

/// Reads the sets with this number; some exporters keep v9's numbers for v9's templates.
fn reader_of(id: u16) -> Option<TemplateReader> {
    match id {
        2 => Some(ipfix_templates),
        3 => Some(ipfix_options_templates),
        _ => netflow_v9::reader_of(id),
    }
}
