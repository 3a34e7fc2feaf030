//! Results of what an aggregator gives.

use crate::halves::place_of;
use crate::running::Running;
use std::collections::{BTreeMap, BTreeSet};
use tapline_delivery::{Given, KeptHalf};
use tapline_engine::{QueryId, QueryLimits, WindowResult};
use tapline_query::ContinuousQuery;

/// Makes results of panes that are given, query by query.
pub struct Results {
    queries: BTreeMap<u64, Running>,
    /// How far behind the latest pane that was given one may be given again, in event time.
    revisable_ns: i64,
}

impl Results {
    /// Those of no query, of panes that may be given again for so long.
    #[must_use]
    pub const fn new(revisable_ns: i64) -> Self {
        Self { queries: BTreeMap::new(), revisable_ns }
    }

    /// Makes results of a query from now on, which is called `id` on the wire and `query` in its results. Its plan was
    /// made for this: whoever else makes results of it would put windows in the same places.
    ///
    /// # Errors
    /// A sentence, when sensors cannot answer for it, or the system has no room.
    pub fn add_query(
        &mut self,
        id: u64,
        query: QueryId,
        plan: &ContinuousQuery,
        limits: &QueryLimits,
    ) -> Result<(), String> {
        self.queries.insert(id, Running::new(query, plan, limits, self.revisable_ns)?);
        Ok(())
    }

    /// Makes results of a query no more.
    pub fn drop_query(&mut self, id: u64) {
        self.queries.remove(&id);
    }

    /// Goes on with what an aggregator keeps of a half, before anything that it gives is taken: what whoever took its
    /// results had when it ended.
    ///
    /// # Errors
    /// A sentence, when it is not of the query that is here.
    pub fn resume(&mut self, kept: &KeptHalf) -> Result<(), String> {
        let (query, half) = place_of(kept.half);
        self.queries.get_mut(&query).map_or(Ok(()), |running| running.resume(half, kept))
    }

    /// Takes panes, in the order in which they are given; gives the results of windows that are whole by them, or are
    /// revised, by the query that they are of on the wire. A query that cannot go on says why at last, and gives nothing
    /// more. A window of which several panes are given at once is revised once.
    pub fn take(&mut self, given: &[Given]) -> Vec<(u64, Result<WindowResult, String>)> {
        let (mut out, mut touched) = (vec![], BTreeSet::new());
        for pane in given {
            let (query, half) = place_of(pane.half);
            let Some(running) = self.queries.get_mut(&query) else { continue };
            touched.insert(query);
            out.extend(running.note(half, pane).err().map(|why| (query, Err(why))));
        }
        for query in touched {
            let Some(running) = self.queries.get_mut(&query) else { continue };
            let mut results = vec![];
            let outcome = running.give(&mut results);
            out.extend(results.into_iter().map(|result| (query, Ok(result))));
            out.extend(outcome.err().map(|why| (query, Err(why))));
        }
        out
    }

    /// The queries, as they are called on the wire, of which nothing that may still come changes what was answered: LIMIT is
    /// reached.
    pub fn satisfied(&self) -> impl Iterator<Item = u64> + '_ {
        self.queries.iter().filter(|(_, running)| running.is_satisfied()).map(|(query, _)| *query)
    }
}
