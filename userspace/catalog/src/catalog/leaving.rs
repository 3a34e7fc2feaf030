//! Queries that were dropped, and what they gave before that.
//!
//! What a query answered may still be on its way when it is dropped, or another one takes its name: it is taken until
//! the engine says that nothing more comes. Where that word is lost, as in a full queue, a while is enough.

use super::{Catalog, Core, lock};
use std::collections::HashMap;
use std::time::{Duration, Instant};
use tapline_engine::QueryId;

/// How long results of a query that was dropped may be on their way.
const LEAVES_WITHIN: Duration = Duration::from_secs(5);

/// Queries that were dropped, and when.
#[derive(Debug, Default)]
pub(super) struct Leaving {
    since: HashMap<QueryId, Instant>,
}

impl Leaving {
    fn begin(&mut self, query: QueryId, now: Instant) {
        self.since.insert(query, now);
    }

    /// Nothing more comes of a query; says whether it was dropped.
    pub(super) fn end(&mut self, query: QueryId) -> bool {
        self.since.remove(&query).is_some()
    }

    /// Those of which nothing comes any more, whatever was said.
    fn take_old(&mut self, now: Instant) -> Vec<QueryId> {
        let is_old = |since: &Instant| now.duration_since(*since) >= LEAVES_WITHIN;
        self.since.extract_if(|_, since| is_old(since)).map(|(query, _)| query).collect()
    }
}

impl Catalog {
    /// Ends what ran under a name that is free, or another one's, by now.
    pub(super) fn end(&self, core: &mut Core, query: QueryId) {
        core.look();
        lock(&self.leaving).begin(query, Instant::now());
        if let Some(engine) = &mut core.engine {
            engine.drop_query(query);
        }
        core.fleet.iter_mut().for_each(|fleet| fleet.drop_query(query));
        core.settle();
    }

    /// Keeps no results of a query any more: whoever watches it hears that nothing comes.
    pub(super) fn forget_results(&self, query: QueryId) {
        let forgotten = self.results_mut().remove(&query);
        forgotten.iter().for_each(|results| results.end(None));
    }

    /// The same of all that were dropped a while ago.
    pub(super) fn forget_what_left(&self) {
        let old = lock(&self.leaving).take_old(Instant::now());
        old.into_iter().for_each(|query| self.forget_results(query));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_leaves_when_it_is_said_or_after_a_while() {
        let (mut leaving, now) = (Leaving::default(), Instant::now());
        leaving.begin(QueryId(1), now);
        leaving.begin(QueryId(2), now);
        leaving.begin(QueryId(3), now + LEAVES_WITHIN / 2);
        assert!(leaving.end(QueryId(1)) && !leaving.end(QueryId(1)) && !leaving.end(QueryId(4)));
        assert!(leaving.take_old(now + LEAVES_WITHIN / 2).is_empty());
        assert_eq!(leaving.take_old(now + LEAVES_WITHIN), [QueryId(2)]);
        assert_eq!(leaving.take_old(now + LEAVES_WITHIN * 2), [QueryId(3)]);
    }
}
