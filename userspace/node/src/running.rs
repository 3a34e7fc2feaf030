//! Runs queries over sources until the input ends: starts an engine, and shows what it tells.

use crate::arguments::QueryPlan;
use crate::outcome::Outcome;
use crate::screen::Screen;
use std::collections::{BTreeSet, HashMap};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tapline_engine::{
    EndReason, Engine, EngineError, EngineOptions, Event, Finishing, QueryId, QuerySnapshot, SourceId,
    Subscriber, WhenFull, subscription,
};
use tapline_query::{ContinuousQuery, Window};
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
    let named = plan.queries.iter().map(|(name, _)| name.as_str()).zip(queries);
    let mut open = OpenQueries::add(&mut engine, named, &subscriber)?;
    let names: Vec<String> = sources.iter().map(|source| source.name()).collect();
    open.sources = engine.add_sources(sources)?.into_iter().zip(names).collect();
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
    Ok(Outcome {
        elapsed: started.elapsed(),
        rows_dropped: report.rows_dropped,
        queries: open.accounts(report.snapshot.queries)?,
        sources: report.snapshot.sources,
        is_cut: report.is_cut,
    })
}

/// The queries of a run, and how each has ended.
struct OpenQueries {
    places: HashMap<QueryId, usize>,
    /// What sources are called.
    sources: HashMap<SourceId, String>,
    /// Those of which it was told that they could not be read any more; several may read one.
    failed: BTreeSet<String>,
    ended: Vec<Option<EndReason>>,
    satisfied: Vec<bool>,
}

impl OpenQueries {
    fn add<'a>(
        engine: &mut Engine,
        queries: impl Iterator<Item = (&'a str, ContinuousQuery)>,
        subscriber: &Subscriber,
    ) -> Result<Self, EngineError> {
        let add =
            |(place, (name, query))| Ok((engine.add_named_query(name, query, subscriber.clone())?, place));
        let places = queries.enumerate().map(add).collect::<Result<HashMap<_, _>, EngineError>>()?;
        let (ended, satisfied) = (vec![None; places.len()], vec![false; places.len()]);
        Ok(Self { places, sources: HashMap::new(), failed: BTreeSet::new(), ended, satisfied })
    }

    /// Shows a result, or notes what became of a query.
    fn take(&mut self, event: Event, screen: &mut Screen) -> io::Result<()> {
        match event {
            Event::Result(result) => return screen.write(self.places[&result.query], &result),
            Event::Notice(_, notice) => screen.notice(&notice),
            Event::Satisfied(query) => self.satisfied[self.places[&query]] = true,
            Event::Ended { query, reason, .. } => self.ended[self.places[&query]] = Some(reason),
            Event::SourceEnded { source, failure: Some(failure) } => {
                let name = &self.sources[&source];
                if self.failed.insert(name.clone()) {
                    screen.source_failed(name, &failure);
                }
            }
            Event::SourceEnded { failure: None, .. } => {}
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

    /// How the queries stand at the end; none of them when not all rows were read.
    fn accounts(self, queries: Vec<QuerySnapshot>) -> Result<Vec<QuerySnapshot>, RunError> {
        if self.are_satisfied() {
            return Ok(vec![]);
        }
        for (query, reason) in self.ended.into_iter().flatten().enumerate() {
            if let EndReason::Failed(message) = reason {
                return Err(RunError::Query { query, message });
            }
        }
        Ok(queries)
    }
}
