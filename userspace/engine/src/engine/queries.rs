//! Queries that come and go.

use super::suspend::Begun;
use super::{ACCOUNTS, Engine, QueryEnd, order, reads_ledger};
use crate::accounts::NamedQuery;
use crate::demand;
use crate::error::EngineError;
use crate::joining::Joining;
use crate::merger::{MergerOrder, MergerQuery};
use crate::options::QueryLimits;
use crate::outlet::Outlet;
use crate::query_state::{EndReason, QueryState};
use crate::run::{Member, Run};
use crate::shared::RunPlan;
use crate::subscription::Subscriber;
use crate::suspended::Beginning;
use crate::worker::{WorkerOrder, WorkerQuery};
use std::sync::Arc;
use tapline_operators::{Finisher, LowerOperator, OperatorLimits, Portion, QueryFailure, QueryId, SourceId};
use tapline_query::{ContinuousQuery, Window};
use tapline_record::EventTime;

/// A query that is to be added.
pub struct NewQuery<'a> {
    /// What `ledger` calls it.
    pub name: &'a str,
    /// What is asked; planned for itself, not cloned from another one that runs.
    pub query: ContinuousQuery,
    /// What it may take.
    pub limits: QueryLimits,
    /// Where it begins.
    pub from: Beginning,
}

impl Engine {
    /// Adds a query that is called by its number; see [`Self::add_named_query`].
    ///
    /// # Errors
    /// When it cannot join what runs; then nothing changes.
    pub fn add_query(
        &mut self,
        query: ContinuousQuery,
        subscriber: Subscriber,
    ) -> Result<QueryId, EngineError> {
        let name = self.queries_so_far.to_string();
        self.add_named_query(&name, query, subscriber)
    }

    /// Adds a query that may take what all may, and begins now; see [`Self::add`].
    ///
    /// # Errors
    /// When it cannot join what runs; then nothing changes.
    pub fn add_named_query(
        &mut self,
        name: &str,
        query: ContinuousQuery,
        subscriber: Subscriber,
    ) -> Result<QueryId, EngineError> {
        let (limits, from) = (self.options.limits, Beginning::Anew);
        self.add(NewQuery { name, query, limits, from }, subscriber)
    }

    /// Adds a query, whose results go to `subscriber`. It sees what sources read from now on: a window that has begun
    /// already is partial.
    ///
    /// # Errors
    /// When it cannot join what runs; then nothing changes.
    pub fn add(&mut self, new: NewQuery<'_>, subscriber: Subscriber) -> Result<QueryId, EngineError> {
        let NewQuery { name, query, limits, from } = new;
        self.check_is_open()?;
        let workers = self.workers.len();
        if workers > 1 && matches!(query.window, Some(Window::Rows { .. })) {
            return Err(EngineError::CountsRows { workers });
        }
        let id = QueryId(self.queries_so_far);
        let finisher = Finisher::new(id, &query, self.operator_limits(&limits));
        let finisher = finisher.map_err(|error| EngineError::Query(error.to_string()))?;
        self.tell_of_accounts_for(&query)?;
        let parts_before = from.parts_before();
        let Begun { whole_after, windows, unread, closed } = self.begin(&query, &limits, from);
        let (query, plan) = self.admit(name, query, limits, false)?;
        // Whoever is told first hears of the query before anything that comes of it.
        let outlet = self.outlet((id, finisher), subscriber, &query.state);
        let joining = self.joining(&query.query, whole_after);
        let merged = MergerQuery::new(Arc::clone(&query.state), windows, outlet, joining);
        order(&mut self.merger, MergerOrder::AddQuery { id, query: Box::new(merged), unread, closed });
        self.run_query(id, query, &plan, parts_before);
        Ok(id)
    }

    /// Sees to it that there are rows of accounts, if a query reads them.
    pub(super) fn tell_of_accounts_for(&mut self, query: &ContinuousQuery) -> Result<(), EngineError> {
        if reads_ledger(query) && self.sources_so_far > 0 {
            let mut inputs = self.no_inputs();
            self.tell_of_accounts(&mut inputs)?;
            self.give_to_workers(inputs);
        }
        Ok(())
    }

    /// Gives a query the next number, a place in a run, and a layout that has what it needs.
    pub(super) fn admit(
        &mut self,
        name: &str,
        query: ContinuousQuery,
        limits: QueryLimits,
        is_forwarded: bool,
    ) -> Result<(QueryEnd, RunPlan), EngineError> {
        self.forget_what_ended();
        let id = QueryId(self.queries_so_far);
        let state = Arc::new(QueryState::new(self.workers.len(), limits, self.memory.gauges()));
        let query = QueryEnd { name: Arc::from(name), query: Arc::new(query), state, is_forwarded };
        let plan = self.share(id, &query.query, &limits)?;
        self.queries_so_far += 1;
        let QueryEnd { name, state, .. } = &query;
        self.accounts.add_query(NamedQuery { id, name: Arc::clone(name), state: Arc::clone(state) });
        demand::add(&mut self.demand, &query.query);
        self.take_next_layout();
        Ok((query, plan))
    }

    /// Where a query joins the sources that there are, with the layout at hand.
    pub(super) fn joining(&self, query: &ContinuousQuery, whole_after: EventTime) -> Joining {
        Joining::new(self.layout.epoch(), whole_after, self.sources_before(query))
    }

    /// Has workers and sources begin with a query, of which the merger knows.
    pub(super) fn run_query(
        &mut self,
        id: QueryId,
        query: QueryEnd,
        plan: &RunPlan,
        parts_before: EventTime,
    ) {
        let state = Arc::clone(&query.state);
        for worker in &mut self.workers {
            let query = WorkerQuery::new(Arc::clone(&state));
            order(&mut worker.orders, WorkerOrder::AddQuery(id, query));
        }
        self.queries.insert(id, query);
        self.start_run(plan, parts_before);
        self.renew_runs();
        self.tell_sources(Some(&state));
    }

    /// Ends a query; what it has not given yet is lost. Its subscriber is told so when all threads have left it.
    pub fn drop_query(&mut self, query: QueryId) {
        if let Some(dropped) = self.queries.get(&query) {
            dropped.state.end(EndReason::Dropped);
            self.wake_workers();
            self.forget_what_ended();
            self.take_next_layout();
            self.renew_runs();
            self.tell_sources(None);
        }
    }

    /// Ends a query as failed, for this reason.
    pub fn fail_query(&mut self, query: QueryId, why: String) {
        if let Some(failed) = self.queries.get(&query) {
            failed.state.end(EndReason::Failed(why));
            self.wake_workers();
        }
    }

    /// Lets a query that works alone read one row of so many from the next batches on. The others count as dropped,
    /// and its windows' completeness says so.
    pub fn sample(&mut self, query: QueryId, one_in: u32) {
        self.queries.get(&query).into_iter().for_each(|query| query.state.sample(one_in));
    }

    /// Says whether a query that works alone gets no new groups from the next batches on: their rows are folded.
    pub fn fold(&mut self, query: QueryId, folds: bool) {
        self.queries.get(&query).into_iter().for_each(|query| query.state.fold(folds));
    }

    pub(super) fn operator_limits(&self, limits: &QueryLimits) -> OperatorLimits {
        let is_only_worker = self.workers.len() == 1;
        OperatorLimits { groups_max: limits.groups_max, is_only_worker }
    }

    /// The layout for what is demanded now.
    pub(super) fn take_next_layout(&mut self) {
        self.layout = Arc::new(demand::layout_of(&self.demand, self.layout.epoch().next()));
    }

    fn outlet(
        &self,
        (id, finisher): (QueryId, Finisher),
        subscriber: Subscriber,
        state: &Arc<QueryState>,
    ) -> Arc<Outlet> {
        let (executor, outlets) = (self.runner.executor(), Arc::clone(&self.outlets));
        Outlet::new((id, finisher), subscriber, Arc::clone(state), executor, outlets)
    }

    /// The sources that a new query has to join; the merger knows those that have ended.
    fn sources_before(&self, query: &ContinuousQuery) -> Vec<SourceId> {
        let accounts = self.account_source.as_ref().filter(|_| reads_ledger(query)).map(|_| ACCOUNTS);
        (0..self.sources_so_far).map(SourceId).chain(accounts).collect()
    }

    /// Finds the run that a new query is part of.
    fn share(
        &mut self,
        id: QueryId,
        query: &Arc<ContinuousQuery>,
        limits: &QueryLimits,
    ) -> Result<RunPlan, EngineError> {
        let run = self.sharing.add(id, query, limits);
        let plan = self.sharing.plan(run);
        let plan = plan.and_then(|plan| plan.ok_or_else(|| QueryFailure::Internal("no query".to_owned())));
        plan.map_err(|error| {
            self.sharing.remove(&[id]);
            EngineError::Query(error.to_string())
        })
    }

    /// Lets workers run this from the next layout on, in place of what they ran under its number; panes that begin before
    /// some time come in parts, and so do all that are forwarded.
    fn start_run(&mut self, plan: &RunPlan, parts_before: EventTime) {
        let is_forwarded =
            |(id, _): &(QueryId, Portion)| self.queries.get(id).is_some_and(|query| query.is_forwarded);
        let parts_before = if plan.portions.iter().any(is_forwarded) { EventTime::MAX } else { parts_before };
        let member = |(id, portion): &(QueryId, Portion)| {
            let state = Arc::clone(&self.queries.get(id)?.state);
            Some(Member { id: *id, state, portion: portion.clone() })
        };
        let members: Vec<Member> = plan.portions.iter().filter_map(member).collect();
        // Those that share have the same limits.
        let limits = members.first().map_or(self.options.limits, |member| *member.state.limits());
        let (limits, since) = (self.operator_limits(&limits), self.layout.epoch());
        for worker in &mut self.workers {
            let operators = LowerOperator::all(&plan.query, limits);
            let mut run = Run::new(plan.id, since, operators, members.clone(), self.memory.clone());
            run.give_parts_before(parts_before);
            order(&mut worker.orders, WorkerOrder::StartRun(run));
            worker.parker.unpark();
        }
        self.stale.retain(|run| *run != plan.id);
    }

    /// Starts the runs anew that have what nobody asks for any more: the next layout lacks it.
    pub(super) fn renew_runs(&mut self) {
        for run in std::mem::take(&mut self.stale) {
            if let Ok(Some(plan)) = self.sharing.plan(run) {
                self.start_run(&plan, EventTime::MIN);
            }
        }
    }
}
