//! NetFlow v9 (RFC 3954): sets of records whose templates came before them.
//!
//! Sequence numbers count the datagrams of a source id.

use super::account::Undecodable;
use super::domain::{Domain, Head, Output, Tally, Waiting};
use super::sets::Sets;
use super::template::{TemplateReader, v9_options_templates, v9_templates};
use super::wire::u32_at;
use super::{Datagram, header_time};

/// Octets of the header.
const HEADER_OCTETS: usize = 20;

/// The source id of a message.
pub(super) fn domain_of(payload: &[u8]) -> Option<u32> {
    u32_at(payload, 16)
}

/// Decodes a message.
pub(super) fn decode(datagram: &Datagram<'_>, domain: &mut Domain, output: &mut Output) {
    let payload = datagram.payload;
    let header = (u32_at(payload, 4), u32_at(payload, 8), u32_at(payload, 12), domain_of(payload));
    let (Some(uptime), Some(seconds), Some(sequence), Some(source)) = header else {
        return domain.counts.reasons.count(Undecodable::Header);
    };
    let head = Head::new(datagram, source, header_time(seconds, 0), Some(uptime));
    domain.clock.note(&head);
    let restarted = domain.clock.has_restarted(&head);
    domain.sequence.observe(sequence, 1, restarted);
    let tally = domain.sets(Sets::new(payload, HEADER_OCTETS), &head, reader_of, output);
    let counts = &mut domain.counts;
    *match tally {
        Tally { records: 1.., .. } => &mut counts.delivered,
        Tally { ref waiting, templates, options_records, .. }
            if waiting.is_empty() && templates + options_records > 0 =>
        {
            &mut counts.control
        }
        _ => &mut counts.undecodable,
    } += 1;
    if !tally.waiting.is_empty() {
        let is_undecoded = tally.records == 0;
        domain.wait(Waiting { head, sets: tally.waiting, is_undecoded, first: 0 }, output);
    }
}

/// Reads the sets with this number.
pub(super) fn reader_of(id: u16) -> Option<TemplateReader> {
    match id {
        0 => Some(v9_templates),
        1 => Some(v9_options_templates),
        _ => None,
    }
}
