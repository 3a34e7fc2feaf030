//! NetFlow v9 (RFC 3954): sets of records whose templates came before them.
//!
//! Sequence numbers count the datagrams of a source id.

use super::datagram::Datagram;
use super::domain::Domain;
use super::head::{Head, header_time};
use super::output::Output;
use super::set_id;
use super::sets::Sets;
use super::template::{TemplateReader, v9_options_templates, v9_templates};
use super::undecodable::Undecodable;
use super::wire::{u16_at, u32_at};

/// Octets of the header.
const HEADER_OCTETS: usize = 20;

/// Where the fields of the header begin.
const COUNT_AT: usize = 2;
const UPTIME_AT: usize = 4;
const SECONDS_AT: usize = 8;
const SEQUENCE_AT: usize = 12;
const SOURCE_ID_AT: usize = 16;

/// Octets that a flow record has at least where a header is believed as to how many there are.
const RECORD_OCTETS: usize = 16;

/// The source id of a message.
pub(super) fn domain_of(payload: &[u8]) -> Option<u32> {
    u32_at(payload, SOURCE_ID_AT)
}

/// Decodes a message.
pub(super) fn decode(datagram: &Datagram<'_>, domain: &mut Domain, output: &mut Output) {
    let payload = datagram.payload;
    let header = (
        u32_at(payload, UPTIME_AT),
        u32_at(payload, SECONDS_AT),
        u32_at(payload, SEQUENCE_AT),
        domain_of(payload),
    );
    let (Some(uptime), Some(seconds), Some(sequence), Some(source)) = header else {
        return domain.counts.reasons.count(Undecodable::Header);
    };
    let head = Head::new(datagram, (source, sequence), header_time(seconds, 0), Some(uptime), output.source);
    domain.clock.note(&head);
    let restarted = domain.clock.has_restarted(&head);
    let mut tally = domain.sets(Sets::new(payload, HEADER_OCTETS), &head, reader_of, output);
    tally.claimed = claimed(payload).saturating_sub(tally.templates.into());
    domain.settle(&head, tally, restarted, output);
}

/// Records of all kinds, templates among them, that the header says there are; no more than there is room for.
pub(super) fn claimed(payload: &[u8]) -> u64 {
    let records_max = payload.len() / RECORD_OCTETS;
    u16_at(payload, COUNT_AT).map_or(0, |count| usize::from(count).min(records_max) as u64)
}

/// Reads the sets with this number.
pub(super) fn reader_of(id: u16) -> Option<TemplateReader> {
    match id {
        set_id::V9_TEMPLATE => Some(v9_templates),
        set_id::V9_OPTIONS_TEMPLATE => Some(v9_options_templates),
        _ => None,
    }
}
