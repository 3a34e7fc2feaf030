//! Which queries share their lower halves.
//!
//! Knows the queries that run, by the shape of their lower halves; says of which lower halves a run is to consist when
//! one comes or goes.

use crate::options::QueryLimits;
use crate::run::RunId;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use tapline_operators::{Portion, QueryFailure, QueryId};
use tapline_query::{ContinuousQuery, Shape, SharedHalves, share};

/// The queries of one run.
type Members = BTreeMap<QueryId, Arc<ContinuousQuery>>;

/// Groups and octets of a query, and whether its states may grow when their groups have come: those that share have the
/// same, so that none takes the room of another one.
type Caps = (usize, usize, bool);

/// All queries, by the run that they are in.
#[derive(Debug, Default)]
pub(crate) struct Sharing {
    runs: BTreeMap<RunId, Members>,
    shapes: HashMap<(Shape, Caps), RunId>,
    runs_so_far: u32,
}

/// What a run consists of.
pub(crate) struct RunPlan {
    pub(crate) id: RunId,
    /// A query with its lower halves.
    pub(crate) query: Arc<ContinuousQuery>,
    /// Whose they are.
    pub(crate) portions: Vec<(QueryId, Portion)>,
}

impl Sharing {
    /// Adds a query; gives the run that it is in from now on.
    pub(crate) fn add(&mut self, id: QueryId, query: &Arc<ContinuousQuery>, limits: &QueryLimits) -> RunId {
        let mut new = || {
            self.runs_so_far += 1;
            RunId(self.runs_so_far)
        };
        let caps = (limits.groups_max, limits.held.octets_max, query.has_growing_states());
        let run = match query.shape().filter(|_| !limits.is_alone) {
            Some(shape) => *self.shapes.entry((shape, caps)).or_insert_with(new),
            None => new(),
        };
        self.runs.entry(run).or_default().insert(id, Arc::clone(query));
        run
    }

    /// Lets queries go; gives the runs that others are left in, which lack them from now on.
    pub(crate) fn remove(&mut self, gone: &[QueryId]) -> Vec<RunId> {
        let mut left = vec![];
        self.runs.retain(|run, members| {
            let before = members.len();
            members.retain(|query, _| !gone.contains(query));
            if !members.is_empty() && members.len() < before {
                left.push(*run);
            }
            !members.is_empty()
        });
        self.shapes.retain(|_, run| self.runs.contains_key(run));
        left
    }

    /// The runs that have such a query.
    pub(crate) fn runs_with(&self, is_such: impl Fn(&QueryId) -> bool) -> Vec<RunId> {
        let runs = self.runs.iter().filter(|(_, members)| members.keys().any(&is_such));
        runs.map(|(run, _)| *run).collect()
    }

    /// What a run consists of.
    ///
    /// # Errors
    /// Only when DataFusion refuses to put its aggregates side by side.
    pub(crate) fn plan(&self, run: RunId) -> Result<Option<RunPlan>, QueryFailure> {
        let members = self.runs.get(&run);
        let queries: Vec<_> = members.into_iter().flat_map(BTreeMap::values).cloned().collect();
        let Some(SharedHalves { query, places }) = share(&queries)? else { return Ok(None) };
        let ids = members.into_iter().flat_map(BTreeMap::keys);
        let portion = |(id, places): (&QueryId, &Vec<Vec<usize>>)| Ok((*id, Portion::new(&query, places)?));
        let portions = ids.zip(&places).map(portion).collect::<Result<_, QueryFailure>>()?;
        Ok(Some(RunPlan { id: run, query, portions }))
    }
}
