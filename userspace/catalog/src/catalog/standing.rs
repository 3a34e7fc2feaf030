//! How a catalog stands: its queries, its inputs, its lookup tables.

use super::{Catalog, Core, Entry, streams_of};
use crate::error::{CatalogError, nearest};
use crate::fleet::Joined;
use crate::sensors::SensorStatus;
use crate::status::{QueryRunState, QueryStatus, Snapshot};
use tapline_lookup::TableStatus;
use tapline_record::StreamId;
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
            outlets: self.safety.outlets().iter().map(Outlet::status).collect(),
            sensors: core.fleet.as_ref().map(|fleet| fleet.sensors()).unwrap_or_default(),
            forwards: self.forwarding.get().map(|says| says()),
            forwarded: core.forwarded_statuses(),
        }
    }

    /// How the sensors stand that send parts; none where it is no aggregator.
    #[must_use]
    pub fn sensors(&self) -> Vec<SensorStatus> {
        let mut core = self.core();
        core.look();
        core.fleet.as_ref().map(|fleet| fleet.sensors()).unwrap_or_default()
    }

    /// Makes a token for a sensor of this name, by which it joins.
    ///
    /// # Errors
    /// When this node has no sensors, the name cannot be one, or the token cannot be kept.
    pub fn join_sensor(&self, name: &str) -> Result<Joined, CatalogError> {
        let mut core = self.core();
        let fleet = core.fleet.as_mut().ok_or_else(no_sensors)?;
        fleet.join(name).map_err(CatalogError::wrong)
    }

    /// Waits for a sensor no more, nor misses it, until it comes back.
    ///
    /// # Errors
    /// When this node has no sensors, or none of this name.
    pub fn rest_sensor(&self, name: &str) -> Result<(), CatalogError> {
        let mut core = self.core();
        let fleet = core.fleet.as_mut().ok_or_else(no_sensors)?;
        let sensors = fleet.sensors();
        let through = sensors.iter().find(|sensor| sensor.name == name).and_then(|one| one.through.as_ref());
        if let Some(through) = through {
            let why =
                format!("`{name}` comes here through `{through}`; say it there: tapline sensors rest {name}");
            return Err(CatalogError::wrong(why));
        }
        let known: Vec<String> = sensors.into_iter().map(|sensor| sensor.name).collect();
        if !known.iter().any(|known| known == name) {
            let nearest = nearest(name, known.iter().map(String::as_str));
            let hint = nearest.map_or_else(String::new, |nearest| format!("; did you mean `{nearest}`?"));
            return Err(CatalogError::wrong(format!("there is no sensor `{name}`{hint}")));
        }
        fleet.rest(name);
        Ok(())
    }

    /// How all lookup tables stand.
    #[must_use]
    pub fn lookups(&self) -> Vec<TableStatus> {
        self.tables.statuses()
    }
}

fn no_sensors() -> CatalogError {
    CatalogError::wrong("this node has no sensors; [aggregator] of its configuration makes it one that has")
}

impl Core {
    pub(super) fn status(&self, entry: &Entry) -> QueryStatus {
        let streams = streams_of(&entry.query);
        let state = match &entry.failure {
            Some(why) => QueryRunState::Failed(why.clone()),
            None if self.is_read(entry) => QueryRunState::Running,
            None if self.fleet.is_some() => QueryRunState::Waiting(vec!["a sensor that runs it".to_owned()]),
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
            flaws: self.fleet.as_ref().and_then(|fleet| fleet.flaws(entry.id)),
            results_lost: entry.counted.results_lost,
            last_window: entry.results.last_window(),
            newest: entry.results.newest_whole(),
            watermark: entry.counted.watermark,
            metrics: entry.metrics.clone(),
            streams: streams.into_iter().map(|id| id.stream().name).collect(),
            parts: self.fleet.as_ref().map(|fleet| fleet.parts(entry.id)).unwrap_or_default(),
        }
    }

    /// Whether something that is there gives what a query reads.
    pub(super) fn is_read(&self, entry: &Entry) -> bool {
        match &self.fleet {
            Some(fleet) => fleet.parts(entry.id).iter().any(|(_, part)| part.state == "running"),
            None => self.inputs.has_open(&streams_of(&entry.query)),
        }
    }

    /// The names of those who carry one of these streams, or may.
    pub(super) fn carrying(&self, streams: &[StreamId]) -> Vec<String> {
        let Some(fleet) = &self.fleet else { return self.inputs.carrying(streams) };
        let connected = fleet.sensors().into_iter().filter(|sensor| sensor.is_connected);
        connected.map(|sensor| sensor.name).collect()
    }
}
