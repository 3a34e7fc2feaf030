//! NetFlow v9 (RFC 3954): sets of records whose templates came before them.
//!
//! Sequence numbers count the datagrams of a source id.

use super::account::Undecodable;
use super::domain::{Domain, Head, Output};
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
    let head = Head {
        exporter: datagram.sender.address,
        domain: source,
        sequence,
        sent: header_time(seconds, 0),
        received: datagram.received,
        uptime_ms: Some(uptime),
    };
    domain.clock.note(&head);
    let restarted = domain.clock.has_restarted(&head);
    let tally = domain.sets(Sets::new(payload, HEADER_OCTETS), &head, reader_of, output);
    domain.settle(&head, tally, restarted, output);
}

/// Reads the sets with this number.
pub(super) fn reader_of(id: u16) -> Option<TemplateReader> {
    match id {
        0 => Some(v9_templates),
        1 => Some(v9_options_templates),
        _ => None,
    }
}
