//! A query on its way to who runs it: the engine, or sensors.

use super::counted::Counted;
use super::{Catalog, Core, Entry, ended, streams_of};
use crate::definition::Definition;
use crate::error::CatalogError;
use crate::fleet::FleetQuery;
use crate::limits::Allowance;
use crate::meter::Meter;
use crate::query::{Explained, Planned};
use crate::results::Results;
use crate::sensors::Assigned;
use std::sync::Arc;
use tapline_engine::{Beginning, NewQuery, QueryId};
use tapline_query::ContinuousQuery;

/// How a query is run.
pub(super) struct Terms<'a> {
    pub(super) allowance: Allowance,
    pub(super) from: Beginning,
    pub(super) gives: Gives<'a>,
}

/// Who gets what a query answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gives<'a> {
    /// Whoever asks, and outlets.
    ToAll,
    /// Whoever asked for it.
    ToOne,
    /// The aggregator that asks it, which gets its lower halves.
    Forwarded(&'a Assigned),
}

impl Catalog {
    /// Runs a query under its name, in the place of one that is there.
    pub(super) fn run(
        &self,
        core: &mut Core,
        definition: Definition,
        planned: Planned,
    ) -> Result<(QueryId, Explained), CatalogError> {
        let allowance = core.allowed(&definition, &planned.query)?;
        // What is held of an earlier run is taken by who runs.
        let from = core.beginning(&definition, &planned.query, self.clock.now(), self.log.as_ref());
        let terms = Terms { allowance, from, gives: Gives::ToAll };
        let (entry, explained) = self.launch(core, definition, planned, terms)?;
        let id = entry.id;
        core.queries.insert(entry.definition.name.clone(), entry);
        core.settle();
        Ok((id, explained))
    }

    /// Gives a query to who runs it; whoever holds the catalog puts it where it belongs.
    pub(super) fn launch(
        &self,
        core: &mut Core,
        definition: Definition,
        planned: Planned,
        terms: Terms<'_>,
    ) -> Result<(Entry, Explained), CatalogError> {
        core.look();
        let explained = core.explained(&planned, &streams_of(&planned.query));
        let query = Arc::new(planned.query.clone());
        let columns = explained.columns.clone();
        let origin = (terms.gives == Gives::ToAll).then(|| self.origin(&definition, &query)).transpose()?;
        self.check_outlets(origin.as_ref())?;
        let results = Arc::new(Results::new(columns, origin));
        let has_fleet = core.fleet.is_some();
        let work = terms.allowance.work(query.has_groups()).filter(|_| !has_fleet);
        let metrics = planned.metrics.clone();
        let id = core.start(&definition, &query, planned, terms)?;
        self.results_mut().insert(id, Arc::clone(&results));
        let since = self.clock.now();
        let (counted, meter, failure) = (Counted::default(), Meter::new(work, since), None);
        Ok((Entry { definition, id, query, results, metrics, since, counted, meter, failure }, explained))
    }
}

impl Core {
    fn start(
        &mut self,
        definition: &Definition,
        query: &Arc<ContinuousQuery>,
        planned: Planned,
        terms: Terms<'_>,
    ) -> Result<QueryId, CatalogError> {
        let Terms { allowance, from, gives } = terms;
        if let Some(fleet) = &mut self.fleet {
            let (starting, is_kept) = (planned.starting, gives != Gives::ToOne);
            let assigned = if let Gives::Forwarded(assigned) = gives { Some(assigned) } else { None };
            let new = FleetQuery { definition, query, starting, is_kept, assigned };
            return fleet.add(new).map_err(CatalogError::wrong);
        }
        let limits = allowance.limits(self.limits);
        let engine = self.engine.as_mut().ok_or_else(ended)?;
        let new = NewQuery { name: &definition.name, query: planned.query, limits, from };
        let added = match gives {
            Gives::Forwarded(_) => engine.add_forwarded(new),
            Gives::ToAll | Gives::ToOne => engine.add(new, self.subscriber.clone()),
        };
        added.map_err(|error| CatalogError::wrong(error.to_string()))
    }
}
