//! Runs queries over sources until the input ends: starts an engine, and shows what it tells.

use crate::arguments::QueryPlan;
use crate::outcome::Outcome;
use crate::screen::Screen;
use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tapline_engine::{
    EndReason, Engine, EngineError, EngineOptions, Event, Finishing, QueryId, Subscriber, WhenFull,
    subscription,
};
use tapline_query::{ContinuousQuery, Window};
use tapline_record::ledger::QueryLedger;
use tapline_sources::Source;

/// Results that wait to be written.
const EVENTS_CAPACITY: usize = 64;

/// After so long without a result, those before are shown, and how far the input was read.
const IDLE_AFTER: Duration = Duration::from_millis(50);

/// Why a run did not end well.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    /// A query failed on some row.
    #[error("{message}")]
    Query {
        /// Its place among those that were asked.
        query: usize,
        /// What could not be computed.
        message: String,
    },
    /// The results could not be written.
    #[error("the results cannot be written: {0}")]
    Output(io::Error),
    /// The engine could not do it.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// Runs `queries` over `sources` in one scan; results go to `screen`. When `input_ends` is set, what was read so far
/// is all of the input; windows that are open then are marked partial.
pub(crate) fn run(
    sources: Vec<Box<dyn Source>>,
    queries: Vec<ContinuousQuery>,
    plan: &QueryPlan,
    input_ends: &AtomicBool,
    screen: &mut Screen,
) -> Result<Outcome, RunError> {
    let started = Instant::now();
    let counts_rows = queries.iter().any(|query| matches!(query.window, Some(Window::Rows { .. })));
    let workers = if counts_rows { 1 } else { plan.options.workers };
    let (sources_expected, finishing) = (sources.len(), Finishing::InOrder);
    let options = EngineOptions { workers, sources: sources_expected, finishing, ..plan.options.clone() };
    let (subscriber, results) = subscription(EVENTS_CAPACITY, WhenFull::Wait);
    let clock = Arc::clone(&plan.source_options.clock);
    let mut engine = Engine::start(options, clock, subscriber.clone())?;
    let mut open = OpenQueries::add(&mut engine, queries, &subscriber)?;
    engine.add_sources(sources)?;
    engine.drain();
    let mut is_cut = false;
    while !open.are_over() {
        if input_ends.load(Ordering::Relaxed) && !std::mem::replace(&mut is_cut, true) {
            engine.end_input();
        }
        let shown = match results.next(IDLE_AFTER) {
            Ok(Some(event)) => open.take(event, screen),
            Ok(None) => screen.idle(engine.progress()),
            Err(_) => break,
        };
        if let Err(error) = shown {
            engine.stop();
            // Whoever waits for room has nobody to wait for.
            drop(results);
            engine.join()?;
            return Err(RunError::Output(error));
        }
    }
    // Where no query is left before the input ends, nobody needs the rest of it.
    engine.stop();
    drop(results);
    let report = engine.join()?;
    let queries = open.ledgers()?;
    Ok(Outcome {
        elapsed: started.elapsed(),
        rows_dropped: report.rows_dropped,
        queries,
        is_cut: report.is_cut,
    })
}

/// The queries of a run, and how each has ended.
struct OpenQueries {
    places: HashMap<QueryId, usize>,
    ended: Vec<Option<(EndReason, QueryLedger)>>,
    satisfied: Vec<bool>,
}

impl OpenQueries {
    fn add(
        engine: &mut Engine,
        queries: Vec<ContinuousQuery>,
        subscriber: &Subscriber,
    ) -> Result<Self, EngineError> {
        let (ended, satisfied) = (vec![None; queries.len()], vec![false; queries.len()]);
        let add = |(place, query)| Ok((engine.add_query(query, subscriber.clone())?, place));
        let places = queries.into_iter().enumerate().map(add).collect::<Result<_, EngineError>>()?;
        Ok(Self { places, ended, satisfied })
    }

    /// Shows a result, or notes what became of a query.
    fn take(&mut self, event: Event, screen: &mut Screen) -> io::Result<()> {
        match event {
            Event::Result(result) => return screen.write(self.places[&result.query], &result),
            Event::Notice(_, notice) => screen.notice(&notice),
            Event::Satisfied(query) => self.satisfied[self.places[&query]] = true,
            Event::Ended { query, reason, ledger } => {
                self.ended[self.places[&query]] = Some((reason, ledger));
            }
        }
        Ok(())
    }

    /// Whether nothing that comes can change an answer.
    fn are_over(&self) -> bool {
        self.ended.iter().all(Option::is_some) || self.are_satisfied()
    }

    fn are_satisfied(&self) -> bool {
        self.satisfied.iter().all(|is_satisfied| *is_satisfied)
    }

    /// The fates of all rows; none when not all were read.
    fn ledgers(self) -> Result<Vec<QueryLedger>, RunError> {
        if self.are_satisfied() {
            return Ok(vec![]);
        }
        let ended = self.ended.into_iter().flatten().enumerate();
        let ledger = |(query, (reason, ledger))| match reason {
            EndReason::Failed(message) => Err(RunError::Query { query, message }),
            EndReason::Input | EndReason::Dropped => Ok(ledger),
        };
        ended.map(ledger).collect()
    }
}
