//! The accounts of all that runs, as its threads publish them, for whoever makes rows of them.
//!
//! Takes queries and sources as they are added, gives how each stands at this moment. Nothing of the data path waits
//! for it: its locks are taken by the engine, when something comes, and by one reader, once a second.

use crate::lock::lock;
use crate::query_state::QueryState;
use crate::source_state::SourceState;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tapline_operators::QueryId;
use tapline_record::EventTime;

/// The accounts of one engine.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    queries: Mutex<Vec<NamedQuery>>,
    inputs: Mutex<Inputs>,
    /// Rings of batches whose worker is not done with all that came, or may still come.
    open: AtomicUsize,
    /// Whether somebody makes rows of them.
    are_read: AtomicBool,
}

/// A query, and what it is called.
#[derive(Clone, Debug)]
pub(crate) struct NamedQuery {
    pub(crate) id: QueryId,
    pub(crate) name: Arc<str>,
    pub(crate) state: Arc<QueryState>,
}

/// The sources that there were.
#[derive(Debug)]
struct Inputs {
    running: Vec<Arc<SourceState>>,
    /// The latest row of those that have ended.
    latest: EventTime,
    is_live: bool,
}

impl Default for Inputs {
    fn default() -> Self {
        Self { running: vec![], latest: EventTime::MIN, is_live: false }
    }
}

impl Inputs {
    fn forget_ended(&mut self) {
        let ended = self.running.extract_if(.., |source| source.has_ended());
        self.latest = ended.map(|source| source.latest()).fold(self.latest, EventTime::max);
    }
}

impl Accounts {
    pub(crate) fn add_query(&self, query: NamedQuery) {
        let mut queries = lock(&self.queries);
        if !self.are_read.load(Ordering::Relaxed) {
            queries.retain(|query| !query.state.is_closed());
        }
        queries.push(query);
    }

    /// Says whether somebody makes rows of them, who forgets the queries that are over.
    pub(crate) fn set_read(&self, are_read: bool) {
        self.are_read.store(are_read, Ordering::Relaxed);
    }

    pub(crate) fn add_source(&self, source: Arc<SourceState>) {
        let mut inputs = lock(&self.inputs);
        inputs.is_live |= source.is_live();
        inputs.forget_ended();
        inputs.running.push(source);
    }

    /// Notes a ring between a source and a worker; it is open until what is returned is let go.
    pub(crate) fn open_input(self: &Arc<Self>) -> OpenInput {
        self.open.fetch_add(1, Ordering::Relaxed);
        OpenInput(Arc::clone(self))
    }

    /// Whether workers are done with all that came of all sources, which have ended: what the accounts of queries say
    /// of it is all there is to say.
    pub(crate) fn are_settled(&self) -> bool {
        self.open.load(Ordering::Acquire) == 0
    }

    /// Every query once more: those that all workers have left before it was asked for are forgotten after that.
    pub(crate) fn queries(&self) -> Vec<NamedQuery> {
        let mut queries = lock(&self.queries);
        let all = queries.clone();
        queries.retain(|query| !query.state.is_closed());
        all
    }

    /// Whether some source was ever live: then rows are made by the clock, not by the records of files.
    pub(crate) fn are_live(&self) -> bool {
        lock(&self.inputs).is_live
    }

    /// No row that any source has given is later.
    pub(crate) fn latest(&self) -> EventTime {
        let inputs = lock(&self.inputs);
        inputs.running.iter().map(|source| source.latest()).fold(inputs.latest, EventTime::max)
    }
}

/// A ring that may still bring something.
#[derive(Debug)]
pub(crate) struct OpenInput(Arc<Accounts>);

impl Drop for OpenInput {
    fn drop(&mut self) {
        // Whoever sees it closed sees the accounts as they were told before.
        self.0.open.fetch_sub(1, Ordering::Release);
    }
}
