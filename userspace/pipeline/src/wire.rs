//! The rings of a run and the threads' ends of them.

use crate::coverage::{CoverageLog, CoverageReporter, REPORTS_CAPACITY};
use crate::merger::{Merger, failed};
use crate::reader::{LiveEnds, WorkerLink};
use crate::ring::{Parker, Unparker};
use crate::run::{RunError, RunOptions};
use crate::worker::{Worker, WorkerInput};
use rtrb::RingBuffer;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use tapline_operators::{LowerOperator, OperatorLimits, QueryId, QueryMerger};
use tapline_query::{ContinuousQuery, Window};
use tapline_record::ledger::QueryLedger;
use tapline_record::{
    FLOWS, INTERFACE_COUNTERS, LEDGER, PACKET_FLOWS, PACKETS, Stream, StreamId, Watermarks,
};
use tapline_sources::Demand;

/// Messages on the way from one worker to the merger.
const MESSAGES_CAPACITY: usize = 256;
/// Notices on the way from one source to the merger.
const NOTICES_CAPACITY: usize = 16;

/// All streams that sources carry.
const ALL_STREAMS: [&Stream; StreamId::COUNT] =
    [&PACKETS, &FLOWS, &INTERFACE_COUNTERS, &LEDGER, &PACKET_FLOWS];

/// How many threads of each kind there are.
pub(crate) struct Shape {
    /// Of each source, whether it is live and never waits.
    pub(crate) live: Vec<bool>,
    pub(crate) workers: usize,
}

/// Workers, merger and the rings between them.
pub(crate) struct Wired {
    /// For each source, its ends of the rings to each worker.
    pub(crate) links: Vec<Vec<WorkerLink>>,
    pub(crate) workers: Vec<Worker>,
    pub(crate) merger: Merger,
    /// For each source, whom it tells of itself, if it is live.
    pub(crate) live: Vec<Option<LiveEnds>>,
    /// The number of the next batch of any source.
    pub(crate) sequence: AtomicU64,
}

/// The rings for queries over sources, and who holds their ends.
pub(crate) fn wire(
    queries: &[ContinuousQuery],
    demand: &Demand,
    shape: &Shape,
    options: &RunOptions,
) -> Result<Wired, RunError> {
    let Shape { live, workers } = shape;
    let (sources, workers) = (live.len(), *workers);
    let limits = OperatorLimits { groups_max: options.groups_max, is_only_worker: workers == 1 };
    let mergers = queries.iter().enumerate().map(|(number, query)| {
        QueryMerger::new(QueryId(number as u32), query.clone(), workers, limits)
            .map_err(|error| failed(number, &error))
    });
    let (mut reports, mut told) = (vec![], vec![]);
    let mut ends_of = || {
        let ((coverage, report), (notices, notice)) =
            (RingBuffer::new(REPORTS_CAPACITY), RingBuffer::new(NOTICES_CAPACITY));
        reports.push(report);
        told.push(notice);
        LiveEnds { coverage: CoverageReporter::new(coverage), notices }
    };
    let live = live.iter().map(|is_live| is_live.then(&mut ends_of)).collect();
    let merger_parker = Arc::new(Parker::default());
    let merger = Merger {
        coverage: CoverageLog::new(reports),
        notices: told,
        parker: Arc::clone(&merger_parker),
        queries: mergers.collect::<Result<_, _>>()?,
        workers: vec![],
        ledgers: vec![QueryLedger::default(); queries.len()],
        done: 0,
        results: vec![],
    };
    let links = (0..sources).map(|_| vec![]).collect();
    let mut wired = Wired { links, workers: vec![], merger, live, sequence: AtomicU64::new(0) };
    for _ in 0..workers {
        let parker = Arc::new(Parker::default());
        let links = wired.links.iter_mut();
        let inputs = links.map(|links| ring_of_batches(links, &parker, options)).collect();
        let (to_merger, messages) = RingBuffer::new(MESSAGES_CAPACITY);
        wired.merger.workers.push(messages);
        wired.workers.push(Worker {
            operators: operators(queries, demand, limits)?,
            queries: queries.len(),
            inputs,
            messages: to_merger,
            outputs: vec![],
            parker,
            merger: Unparker(Arc::clone(&merger_parker)),
            told: Watermarks::BEGINNING,
            told_late: vec![],
        });
    }
    Ok(wired)
}

/// The rings between one source, whose `links` get their ends, and one worker.
fn ring_of_batches(links: &mut Vec<WorkerLink>, worker: &Arc<Parker>, options: &RunOptions) -> WorkerInput {
    let (to_worker, feed) = RingBuffer::new(options.ring_capacity_batches.max(1));
    // Batches may be in the ring, with the worker, which takes a ring of them, or on their way back.
    let (to_reader, used) = RingBuffer::new(2 * options.ring_capacity_batches + 2);
    let (worker, told) = (Unparker(Arc::clone(worker)), Watermarks::BEGINNING);
    links.push(WorkerLink { feed: to_worker, used, worker, told });
    WorkerInput { feed, used: to_reader, watermarks: Watermarks::BEGINNING }
}

/// The lower operators of all queries, each with its query's number.
fn operators(
    queries: &[ContinuousQuery],
    demand: &Demand,
    limits: OperatorLimits,
) -> Result<Vec<(usize, LowerOperator)>, RunError> {
    let layout = |stream: &Stream| demand.columns(stream.id).unwrap_or_default().to_vec();
    let operators = |(number, query)| match LowerOperator::all(query, &layout, limits) {
        Ok(operators) => Ok(operators.into_iter().map(|operator| (number, operator)).collect::<Vec<_>>()),
        Err(error) => Err(failed(number, &error)),
    };
    let operators: Vec<_> = queries.iter().enumerate().map(operators).collect::<Result<_, _>>()?;
    Ok(operators.into_iter().flatten().collect())
}

/// What queries need of sources.
#[must_use]
pub fn demand_of(queries: &[ContinuousQuery]) -> Demand {
    let mut demand = Demand::default();
    for query in queries {
        let pane_width_ns = query.window.and_then(Window::pane_width);
        for stream in ALL_STREAMS {
            if let Some(columns) = query.columns_of(stream) {
                demand.add(stream, &columns, pane_width_ns);
            }
        }
    }
    demand
}
