//! Queries that are forwarded, and the cuts in which what came of them goes out.
//!
//! A cut is where a layout begins that changes nothing: sources settle and put a barrier behind all that they gave, what
//! runs for queries that are forwarded is started anew there, and what ran before gives all that it has once every source
//! has passed. Nothing waits for that: batches behind the barrier are worked on as they come.

use super::{Engine, NewQuery, order};
use crate::cut::Cut;
use crate::error::EngineError;
use crate::forwarded_query::ForwardedQuery;
use crate::merger::MergerOrder;
use crate::reader::SourceOrder;
use crate::suspended::Beginning;
use crate::worker::WorkerOrder;
use std::sync::Arc;
use tapline_operators::QueryId;
use tapline_query::{ContinuousQuery, Window};
use tapline_record::EventTime;

impl Engine {
    /// Adds a query whose lower halves go out in cuts; it gives no results of its own here. Whoever observes the engine is
    /// told when it ends.
    ///
    /// # Errors
    /// When it has no windows of time, or cannot join what runs; then nothing changes.
    pub fn add_forwarded(&mut self, new: NewQuery<'_>) -> Result<QueryId, EngineError> {
        let NewQuery { name, query, limits, from } = new;
        self.check_is_open()?;
        check_forwarded(&query, &from).map_err(EngineError::Forwarded)?;
        self.tell_of_accounts_for(&query)?;
        self.positions.want();
        let id = QueryId(self.queries_so_far);
        let (query, plan) = self.admit(name, query, limits, true)?;
        let joining = self.joining(&query.query, from.whole_after());
        let (state, limits) = (Arc::clone(&query.state), self.operator_limits(&limits));
        let forwarded = ForwardedQuery::new(&query.query, state, joining, self.workers.len(), limits)
            .behind(from.given_until());
        order(&mut self.merger, MergerOrder::AddForwarded { id, query: Box::new(forwarded) });
        self.run_query(id, query, &plan, EventTime::MAX);
        Ok(id)
    }

    /// Begins a cut unless one is under way, or the last one was not taken yet; says whether it has. It is whole as soon as
    /// all sources have come to it, and those that end on the way. When everything ends, a last cut comes by itself: see
    /// [`Report::cuts`](super::Report::cuts).
    pub fn cut(&mut self) -> bool {
        if self.flags.drains() || !self.cuts.begin() {
            return false;
        }
        self.take_next_layout();
        let epoch = self.layout.epoch();
        // The merger knows of it before anything comes from behind it.
        order(&mut self.merger, MergerOrder::Cut(epoch));
        let is_forwarded = |id: &QueryId| {
            let query = self.queries.get(id);
            query.is_some_and(|query| query.is_forwarded && query.state.over().is_none())
        };
        let runs = self.sharing.runs_with(is_forwarded);
        self.stale.extend(runs);
        self.renew_runs();
        for worker in &mut self.workers {
            order(&mut worker.orders, WorkerOrder::Cut(epoch));
            worker.parker.unpark();
        }
        for source in self.sources.values_mut().chain(&mut self.account_source) {
            order(&mut source.orders, SourceOrder::Mark(epoch));
        }
        self.merger_parker.unpark();
        true
    }

    /// The next cut that is whole, if there is one now.
    pub fn take_cut(&mut self) -> Option<Cut> {
        self.cuts.take()
    }
}

/// Refuses queries of which no panes can be given.
///
/// # Errors
/// What is wrong, and what would be right.
fn check_forwarded(query: &ContinuousQuery, from: &Beginning) -> Result<(), &'static str> {
    match query.window {
        Some(Window::Tumble { .. } | Window::Hop { .. }) => {}
        Some(Window::Rows { .. }) => {
            return Err(
                "tumble_rows(n) counts rows where they are read; group by tumble('60 seconds') or the like",
            );
        }
        None => return Err("it has no window; add to GROUP BY: tumble('60 seconds')"),
    }
    match from {
        Beginning::Anew | Beginning::After(_) | Beginning::Behind { .. } => Ok(()),
        Beginning::With(_) => Err("it has windows that another engine left open; let it begin anew"),
    }
}
