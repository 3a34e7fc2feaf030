//! IPFIX (RFC 7011): NetFlow v9's successor, over UDP, TCP and in files.
//!
//! Sequence numbers count the data records of an observation domain, those described by options templates
//! too. Where some records of a message are not known, the next number is not either: what follows tells how
//! many they were.

use super::datagram::Datagram;
use super::domain::Domain;
use super::head::{Head, header_time};
use super::netflow_v9;
use super::output::Output;
use super::set_id;
use super::sets::Sets;
use super::template::{TemplateReader, ipfix_options_templates, ipfix_templates};
use super::undecodable::Undecodable;
use super::wire::{u16_at, u32_at};

/// Octets of the header.
const HEADER_OCTETS: usize = 16;

/// Where the fields of the header begin.
const LENGTH_AT: usize = 2;
const SECONDS_AT: usize = 4;
const SEQUENCE_AT: usize = 8;
const DOMAIN_AT: usize = 12;

/// The observation domain of a message.
pub(super) fn domain_of(payload: &[u8]) -> Option<u32> {
    u32_at(payload, DOMAIN_AT)
}

/// Decodes a message.
pub(super) fn decode(datagram: &Datagram<'_>, domain: &mut Domain, output: &mut Output) {
    let payload = datagram.payload;
    let header = (
        u16_at(payload, LENGTH_AT),
        u32_at(payload, SECONDS_AT),
        u32_at(payload, SEQUENCE_AT),
        domain_of(payload),
    );
    let (Some(length), Some(seconds), Some(sequence), Some(number)) = header else {
        return domain.counts.reasons.count(Undecodable::Header);
    };
    let head = Head::new(datagram, (number, sequence), header_time(seconds, 0), None, output.source);
    domain.clock.note(&head);
    let length = usize::from(length);
    if length > payload.len() || length < HEADER_OCTETS {
        domain.counts.reasons.count(Undecodable::Length);
    }
    let message = payload.get(..length).filter(|_| length >= HEADER_OCTETS).unwrap_or(payload);
    domain.counts.trailing_octets += (payload.len() - message.len()) as u64;
    let tally = domain.sets(Sets::new(message, HEADER_OCTETS), &head, reader_of, output);
    domain.settle(&head, tally, false, output);
}

/// Reads the sets with this number; some exporters keep v9's numbers for v9's templates.
fn reader_of(id: u16) -> Option<TemplateReader> {
    match id {
        set_id::IPFIX_TEMPLATE => Some(ipfix_templates),
        set_id::IPFIX_OPTIONS_TEMPLATE => Some(ipfix_options_templates),
        _ => netflow_v9::reader_of(id),
    }
}
