//! NetFlow v9 (RFC 3954): sets of records whose templates came before them.
//!
//! Sequence numbers count the datagrams of a source id.

use super::account::Undecodable;
use super::domain::{Domain, Head, Output, Tally, Waiting};
use super::sets::{Set, Sets};
use super::template::{TEMPLATE_ID_MIN, v9_options_templates, v9_templates};
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
        sent: header_time(seconds, 0),
        received: datagram.received,
        uptime_ms: Some(uptime),
    };
    domain.clock.note(&head);
    let restarted = domain.clock.has_restarted(&head);
    domain.sequence.observe(sequence, 1, restarted);
    let (mut tally, mut waiting) = (Tally::default(), vec![]);
    let mut sets = Sets::new(payload, HEADER_OCTETS);
    for Set { id, body } in &mut sets {
        match id {
            0 => v9_templates(body, &mut |template| domain.learn(template, &mut tally, output)),
            1 => v9_options_templates(body, &mut |template| domain.learn(template, &mut tally, output)),
            TEMPLATE_ID_MIN.. => {
                waiting.extend(domain.data_set(Set { id, body }, &head, &mut tally, output));
            }
            _ => domain.counts.reasons.count(Undecodable::Reserved),
        }
    }
    domain.counts.trailing_octets += sets.padding() as u64;
    sets.broken().into_iter().for_each(|reason| domain.counts.reasons.count(reason));
    let counts = &mut domain.counts;
    *match tally {
        Tally { records: 1.., .. } => &mut counts.delivered,
        Tally { unknown_sets: 0, templates, options_records, .. } if templates + options_records > 0 => {
            &mut counts.control
        }
        _ => &mut counts.undecodable,
    } += 1;
    if !waiting.is_empty() {
        let is_undecoded = tally.records == 0;
        domain.wait(Waiting { head, sets: waiting, is_undecoded, first: 0 }, output);
    }
}
