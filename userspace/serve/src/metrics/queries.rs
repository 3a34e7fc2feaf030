//! How each query stands.

use super::exposition::{Exposition, Family};
use super::families as of;
use super::sources::seconds;
use tapline_catalog::{QueryRunState, QueryStatus, Snapshot};
use tapline_record::ledger::QueryLedger;

pub(super) fn expose(snapshot: &Snapshot, out: &mut Exposition) {
    let queries = &snapshot.queries;
    expose_states(queries, out);
    expose_fates(queries, out);
    let all = || queries.iter().map(|query| ([&*query.definition.name], query));
    out.family(&of::QUERY_RESULTS_LOST, all().map(|(labels, query)| (labels, query.results_lost)));
    out.family(&of::QUERY_GROUPS, all().map(|(labels, query)| (labels, query.groups_held)));
    out.family(&of::QUERY_BYTES, all().map(|(labels, query)| (labels, query.octets_held)));
    out.family(&of::QUERY_WORK, all().map(|(labels, query)| (labels, query.work_ns as f64 / 1e9)));
    let row_work = all().filter_map(|(labels, query)| Some((labels, query.ns_a_row? as f64 / 1e9)));
    out.family(&of::QUERY_ROW_WORK, row_work);
    expose_windows(queries, out);
    let lag = all().filter_map(|(labels, query)| {
        let lag_ns = snapshot.now.0.saturating_sub(query.watermark?.0);
        Some((labels, lag_ns as f64 / 1e9))
    });
    out.family(&of::QUERY_LAG, lag);
}

fn expose_states(queries: &[QueryStatus], out: &mut Exposition) {
    let states = queries.iter().flat_map(|query| {
        let is = match query.state {
            QueryRunState::Running => "running",
            QueryRunState::Waiting(_) => "waiting",
            QueryRunState::Failed(_) => "failed",
        };
        ["running", "waiting", "failed"].map(|state| ([&*query.definition.name, state], state == is))
    });
    out.family(&of::QUERY_STATE, states);
    let held_back = queries.iter().map(|query| ([&*query.definition.name], query.held_back.is_some()));
    out.family(&of::QUERY_HELD_BACK, held_back);
}

fn expose_fates(queries: &[QueryStatus], out: &mut Exposition) {
    type Fate = fn(&QueryLedger) -> u64;
    let fates: [(Family, Fate); 6] = [
        (of::QUERY_DELIVERED, |ledger| ledger.delivered),
        (of::QUERY_USED, |ledger| ledger.used),
        (of::QUERY_FILTERED, |ledger| ledger.filtered),
        (of::QUERY_LATE, |ledger| ledger.late),
        (of::QUERY_DROPPED, |ledger| ledger.dropped),
        (of::QUERY_FOLDED, |ledger| ledger.folded),
    ];
    for (family, fate) in fates {
        out.family(&family, queries.iter().map(|query| ([&*query.definition.name], fate(&query.ledger))));
    }
}

/// The newest window of each query.
fn expose_windows(queries: &[QueryStatus], out: &mut Exposition) {
    let all = || queries.iter().map(|query| ([&*query.definition.name], query));
    let end = all().filter_map(|(labels, query)| Some((labels, seconds(query.last_window?.end))));
    out.family(&of::QUERY_WINDOW_END, end);
    let completeness = all().filter_map(|(labels, query)| {
        let known = query.newest.iter().filter_map(|result| result.completeness);
        Some((labels, known.reduce(f64::min)?))
    });
    out.family(&of::QUERY_COMPLETENESS, completeness);
    let given = all().filter(|(_, query)| !query.newest.is_empty());
    let rows = given.map(|(labels, query)| {
        let rows = query.newest.iter().flat_map(|result| &result.rows).map(|batch| batch.num_rows() as u64);
        (labels, rows.sum::<u64>())
    });
    out.family(&of::QUERY_ROWS, rows);
}
