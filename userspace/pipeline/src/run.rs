//! One run of some queries over some capture files: build, wire, run, stop.

use crate::merger::{Merger, failed};
use crate::reader::{Lane, Reader, ReaderPlan, ReaderProgress, ReaderReport};
use crate::ring::StopFlag;
use crate::sink::{Progress, Sink};
use crate::worker::Worker;
use rtrb::RingBuffer;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, Scope, ScopedJoinHandle, available_parallelism};
use std::time::{Duration, Instant};
use tapline_capture::{CaptureFile, CaptureSet, End};
use tapline_decode::flow_meter::FlowMeterCounters;
use tapline_decode::{DamageCounts, FlowMeterLimits};
use tapline_operators::{LowerOperator, OperatorLimits, QueryMerger};
use tapline_query::{ContinuousQuery, Window};
use tapline_record::ledger::{QueryLedger, SourceLedger};
use tapline_record::{FLOWS, PACKETS, Stream};

/// Messages on the way from one worker to the merger.
const MESSAGES_CAPACITY: usize = 256;

/// Limits of a run, all taken at its start.
#[derive(Clone, Copy, Debug)]
pub struct RunOptions {
    /// Operator threads.
    pub workers: usize,
    /// Rows of a batch.
    pub batch_rows: usize,
    /// Batches on the way to one worker.
    pub ring_capacity_batches: usize,
    /// Groups of one aggregate in one pane; more are folded into one row.
    pub groups_max: usize,
    /// How far a record may lie behind the latest one, where that cannot be measured beforehand.
    pub allowed_lateness_ms: u32,
    /// How flows are built from packets.
    pub flows: FlowMeterLimits,
}

impl Default for RunOptions {
    fn default() -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        Self {
            workers: cores.saturating_sub(1).clamp(1, 4),
            batch_rows: 8192,
            ring_capacity_batches: 8,
            groups_max: 1 << 20,
            allowed_lateness_ms: 2_000,
            flows: FlowMeterLimits::default(),
        }
    }
}

/// The account of a run.
#[derive(Debug)]
pub struct Summary {
    /// Wall time.
    pub elapsed: Duration,
    /// Frames and their fates.
    pub source: SourceLedger,
    /// Octets that the frames had on the wire.
    pub frame_octets: u64,
    /// Damaged frames by reason; they are rows all the same.
    pub damage: DamageCounts,
    /// Flows that were built, if some query asked for them.
    pub flows: Option<FlowMeterCounters>,
    /// How far frames lay behind the latest one, in nanoseconds, where that was measured.
    pub disorder_ns: Option<i64>,
    /// Fates of each query's rows; empty when every LIMIT was reached before the input's end.
    pub queries: Vec<QueryLedger>,
    /// Whether the input was ended before its time.
    pub is_cut: bool,
    /// How each file ended; `None` when it was not read to its end.
    pub files: Vec<(String, Option<End>)>,
}

/// Why a run ended before its input did.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A query failed on some row.
    #[error("{message}")]
    Query {
        /// The query's number.
        query: usize,
        /// What could not be computed.
        message: String,
    },
    /// The results could not be written.
    #[error("the results cannot be written: {0}")]
    Sink(std::io::Error),
    /// A thread could not be started.
    #[error("a thread cannot be started: {0}")]
    Thread(std::io::Error),
    /// A thread ended without a word.
    #[error("a worker thread died; please report this")]
    WorkerDied,
}

/// Runs `queries` over `files` in one scan; results go to `sink`.
///
/// When `input_ends` is set, what was read so far is all of the input; windows that are open then are marked
/// partial.
///
/// # Errors
/// When a query fails on some row, when the sink fails, or when the system has no room for threads.
pub fn run_files(
    files: CaptureSet,
    queries: &[ContinuousQuery],
    options: &RunOptions,
    input_ends: &AtomicBool,
    sink: &mut dyn Sink,
) -> Result<Summary, RunError> {
    let started = Instant::now();
    let disorder_ns =
        has_time_window(queries).then(|| files.scan_times()).flatten().map(|scan| scan.disorder_ns);
    let total_octets = files.total_octets();
    let workers = if counts_rows(queries) { 1 } else { options.workers.max(1) };
    let wired = wire(queries, workers, options)?;
    let plan = ReaderPlan {
        packet_columns: columns_of(queries, &PACKETS),
        flow_columns: columns_of(queries, &FLOWS),
        batch_rows: options.batch_rows,
        lateness_ns: disorder_ns.unwrap_or(i64::from(options.allowed_lateness_ms) * 1_000_000),
        flow_limits: options.flows,
    };
    let reader = Reader::new(files, &plan, wired.lanes);
    let (stop, progress) = (StopFlag::new(input_ends), ReaderProgress::default());
    let read_so_far = || Progress {
        octets: progress.octets.load(Ordering::Relaxed),
        total_octets,
        frames: progress.frames.load(Ordering::Relaxed),
    };
    let (ledgers, report) = std::thread::scope(|scope| {
        let stop = &stop;
        for (number, worker) in wired.workers.into_iter().enumerate() {
            let work = move || {
                pin(number + 1, workers + 1);
                worker.run(stop);
            };
            start(scope, format!("operator-{number}"), work, stop)?;
        }
        let progress = &progress;
        let read = move || {
            pin(0, workers + 1);
            reader.run(progress, stop)
        };
        let reader = start(scope, "capture".to_owned(), read, stop)?;
        let ledgers = wired.merger.run(sink, &read_so_far, stop);
        stop.stop();
        let report = reader.join().map_err(|_| RunError::WorkerDied)?;
        Ok((ledgers?, report))
    })?;
    let is_cut = input_ends.load(Ordering::Relaxed);
    Ok(Summary { is_cut, ..summarise(&report, ledgers, disorder_ns, started.elapsed()) })
}

/// Starts a thread; when that fails, those that run already are asked to end.
fn start<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    name: String,
    body: impl FnOnce() -> T + Send + 'scope,
    stop: &StopFlag<'_>,
) -> Result<ScopedJoinHandle<'scope, T>, RunError> {
    Builder::new().name(name).spawn_scoped(scope, body).map_err(|error| {
        stop.stop();
        RunError::Thread(error)
    })
}

/// Keeps this thread on a core of its own, when there are enough for all `threads`.
fn pin(number: usize, threads: usize) {
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    if cores.len() >= threads
        && let Some(core) = cores.get(number)
    {
        core_affinity::set_for_current(*core);
    }
}

/// Workers, merger and the rings between them.
struct Wired {
    lanes: Vec<Lane>,
    workers: Vec<Worker>,
    merger: Merger,
}

fn wire(queries: &[ContinuousQuery], workers: usize, options: &RunOptions) -> Result<Wired, RunError> {
    let limits = OperatorLimits { groups_max: options.groups_max, is_only_worker: workers == 1 };
    let mergers = queries.iter().enumerate().map(|(number, query)| {
        QueryMerger::new(query.clone(), workers, limits).map_err(|error| failed(number, &error))
    });
    let merger = Merger {
        queries: mergers.collect::<Result<_, _>>()?,
        workers: vec![],
        ledgers: vec![QueryLedger::default(); queries.len()],
        done: 0,
        results: vec![],
    };
    let mut wired = Wired { lanes: vec![], workers: vec![], merger };
    for _ in 0..workers {
        let (to_worker, batches) = RingBuffer::new(options.ring_capacity_batches.max(1));
        // A batch may be in the ring, with the worker, or on its way back.
        let (to_reader, used) = RingBuffer::new(options.ring_capacity_batches + 2);
        let (to_merger, messages) = RingBuffer::new(MESSAGES_CAPACITY);
        wired.lanes.push(Lane { batches: to_worker, used });
        wired.merger.workers.push(messages);
        wired.workers.push(Worker {
            operators: operators(queries, limits)?,
            queries: queries.len(),
            batches,
            used: to_reader,
            messages: to_merger,
            outputs: vec![],
        });
    }
    Ok(wired)
}

/// The lower operators of all queries, each with its query's number.
fn operators(
    queries: &[ContinuousQuery],
    limits: OperatorLimits,
) -> Result<Vec<(usize, LowerOperator)>, RunError> {
    let layout = |stream: &Stream| columns_of(queries, stream).unwrap_or_default();
    let every_half = queries
        .iter()
        .enumerate()
        .flat_map(|(number, query)| (0..query.lowers.len()).map(move |lower| (number, query, lower)));
    let operator = |(number, query, lower)| match LowerOperator::new(query, lower, &layout, limits) {
        Ok(operator) => Ok((number, operator)),
        Err(error) => Err(failed(number, &error)),
    };
    every_half.map(operator).collect()
}

/// Columns of `stream` that some query reads, ascending; `None` when none reads the stream.
fn columns_of(queries: &[ContinuousQuery], stream: &Stream) -> Option<Vec<usize>> {
    let columns = queries.iter().filter_map(|query| query.columns_of(stream));
    let mut union = columns.reduce(|mut union, columns| {
        union.extend(columns);
        union
    })?;
    union.sort_unstable();
    union.dedup();
    Some(union)
}

fn has_time_window(queries: &[ContinuousQuery]) -> bool {
    queries.iter().any(|query| query.window.and_then(Window::pane_width).is_some())
}

fn counts_rows(queries: &[ContinuousQuery]) -> bool {
    queries.iter().any(|query| matches!(query.window, Some(Window::Rows { .. })))
}

fn summarise(
    report: &ReaderReport,
    queries: Vec<QueryLedger>,
    disorder_ns: Option<i64>,
    elapsed: Duration,
) -> Summary {
    let counters = report.files.counters();
    let source = SourceLedger {
        offered: counters.frames + counters.undecodable,
        delivered: counters.frames,
        undecodable: counters.undecodable,
        ..SourceLedger::default()
    };
    let end = |file: &CaptureFile| (file.name().to_owned(), file.end().cloned());
    Summary {
        elapsed,
        source,
        frame_octets: report.frame_octets,
        damage: report.damage,
        flows: report.flows,
        disorder_ns,
        queries,
        is_cut: false,
        files: report.files.files().iter().map(end).collect(),
    }
}
