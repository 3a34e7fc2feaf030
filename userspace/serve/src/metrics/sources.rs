//! What became of every record of each source.

use super::exposition::Exposition;
use super::families as of;
use tapline_catalog::{SourceState, SourceStatus};
use tapline_record::EventTime;

pub(super) fn expose(sources: &[SourceStatus], out: &mut Exposition) {
    out.family(&of::SOURCE, sources.iter().map(|source| ([&*source.name, source.kind, source.unit], 1_u64)));
    expose_states(sources, out);
    expose_fates(sources, out);
    let all = || sources.iter().map(|source| ([&*source.name, source.kind], source));
    out.family(&of::SOURCE_BYTES, all().map(|(labels, source)| (labels, source.octets)));
    out.family(&of::SOURCE_MESSAGES, all().map(|(labels, source)| (labels, source.messages)));
    let read = all().filter(|(_, source)| source.batches_waiting[1] > 0);
    let fill = read.map(|(labels, source)| {
        let [waiting, may_wait] = source.batches_waiting;
        (labels, waiting as f64 / may_wait as f64)
    });
    out.family(&of::SOURCE_RING, fill);
}

fn expose_states(sources: &[SourceStatus], out: &mut Exposition) {
    let all = || sources.iter().map(|source| ([&*source.name, source.kind], source));
    let needed = all().filter(|(_, source)| source.state != SourceState::Unused);
    let up = needed.map(|(labels, source)| (labels, source.state == SourceState::Open));
    out.family(&of::SOURCE_UP, up);
    let states = sources.iter().flat_map(|source| {
        let is = source.state.word();
        SourceState::WORDS.map(|state| ([&*source.name, source.kind, state], state == is))
    });
    out.family(&of::SOURCE_STATE, states);
    out.family(&of::SOURCE_SINCE, all().map(|(labels, source)| (labels, seconds(source.since))));
}

fn expose_fates(sources: &[SourceStatus], out: &mut Exposition) {
    let all = || sources.iter().map(|source| ([&*source.name, source.kind], source.ledger));
    out.family(&of::SOURCE_OFFERED, all().map(|(labels, ledger)| (labels, ledger.offered)));
    out.family(&of::SOURCE_DELIVERED, all().map(|(labels, ledger)| (labels, ledger.delivered)));
    out.family(&of::SOURCE_FILTERED, all().map(|(labels, ledger)| (labels, ledger.filtered)));
    out.family(&of::SOURCE_CONTROL, all().map(|(labels, ledger)| (labels, ledger.control)));
    out.family(&of::SOURCE_UNDECODABLE, all().map(|(labels, ledger)| (labels, ledger.undecodable)));
    let dropped = sources.iter().flat_map(|source| {
        let (name, kind, all) = (source.name.as_str(), source.kind, source.ledger.dropped);
        // Both are published one after the other, and records may be dropped between.
        let at_operators = source.rows_dropped.min(all);
        [([name, kind, "capture"], all - at_operators), ([name, kind, "operators"], at_operators)]
    });
    out.family(&of::SOURCE_DROPPED, dropped);
    out.family(&of::SOURCE_LOST, all().map(|(labels, ledger)| (labels, ledger.lost_before_us)));
    let missing = sources.iter().map(|source| ([&*source.name, source.kind], source.records_missing));
    out.family(&of::SOURCE_MISSING, missing);
}

/// A time in seconds since the epoch.
pub(super) fn seconds(time: EventTime) -> f64 {
    time.0 as f64 / 1e9
}
