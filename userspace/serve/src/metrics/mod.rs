//! A node as Prometheus reads it.
//!
//! Takes one snapshot, gives text: what became of every record, how each query stands, the newest windows of those
//! that are marked as metrics, what became of results that are stored or sent, and what the process takes. Of what there
//! is too much for, a count says how much it was; nothing here is kept from one request to the next.

mod alerts;
mod exposition;
mod families;
mod names;
mod outlets;
mod process;
mod queries;
mod results;
mod sensors;
mod sources;

pub(crate) use exposition::Format;
pub(crate) use process::threads;

use exposition::Exposition;
use families::{API_REFUSED, BUILD};
use tapline_catalog::{AlertStatus, Snapshot};

/// How a node stands, as text; so many requests brought a wrong token.
pub(crate) fn expose(
    snapshot: &Snapshot,
    alerts: &[AlertStatus],
    tokens_refused: u64,
    format: Format,
) -> String {
    let mut out = Exposition::new(format);
    out.family(&BUILD, [([env!("CARGO_PKG_VERSION")], 1_u64)]);
    sources::expose(&snapshot.sources, &mut out);
    queries::expose(snapshot, &mut out);
    results::expose(&snapshot.queries, &mut out);
    alerts::expose(alerts, &mut out);
    outlets::expose(&snapshot.outlets, &mut out);
    sensors::expose(&snapshot.sensors, snapshot.forwards.as_ref(), &mut out);
    out.family(&API_REFUSED, [([], tokens_refused)]);
    process::expose(&mut out);
    out.finish()
}
