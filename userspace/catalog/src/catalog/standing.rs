//! How a catalog stands: its queries, its inputs, its lookup tables.

use super::{Catalog, Core, Entry, streams_of};
use crate::error::CatalogError;
use crate::status::{QueryRunState, QueryStatus, Snapshot};
use tapline_lookup::TableStatus;
use tapline_sinks::Outlet;

impl Catalog {
    /// How one query stands.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn query(&self, name: &str) -> Result<QueryStatus, CatalogError> {
        let mut core = self.core();
        core.look();
        let entry = core.queries.get(name).ok_or_else(|| core.unknown(name))?;
        Ok(core.status(entry))
    }

    /// The names of all queries.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.core().queries.keys().cloned().collect()
    }

    /// How everything stands.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let mut core = self.core();
        core.look();
        Snapshot {
            now: self.clock.now(),
            started: self.started,
            sources: core.inputs.statuses(),
            queries: core.queries.values().map(|entry| core.status(entry)).collect(),
            outlets: self.outlets.iter().map(Outlet::status).collect(),
        }
    }

    /// How all lookup tables stand.
    #[must_use]
    pub fn lookups(&self) -> Vec<TableStatus> {
        self.tables.statuses()
    }
}

impl Core {
    pub(super) fn status(&self, entry: &Entry) -> QueryStatus {
        let streams = streams_of(&entry.query);
        let state = match &entry.failure {
            Some(why) => QueryRunState::Failed(why.clone()),
            None if self.inputs.has_open(&streams) => QueryRunState::Running,
            None => QueryRunState::Waiting(self.inputs.carrying(&streams)),
        };
        QueryStatus {
            definition: entry.definition.clone(),
            state,
            since: entry.since,
            ledger: entry.counted.ledger,
            octets_held: entry.counted.octets_held,
            groups_held: entry.counted.groups_held,
            work_ns: entry.counted.work_ns,
            window_work_ns: entry.counted.window_work_ns,
            ns_a_row: entry.meter.ns_a_row(),
            held_back: entry.meter.reason(),
            results_lost: entry.counted.results_lost,
            last_window: entry.results.last_window(),
            newest: entry.results.newest_whole(),
            watermark: entry.counted.watermark,
            metrics: entry.metrics.clone(),
            streams: streams.into_iter().map(|id| id.stream().name).collect(),
        }
    }
}
