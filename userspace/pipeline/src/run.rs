//! One run of some queries over some input: build, wire, run, stop.

use crate::coverage::{CoverageLog, CoverageReporter, REPORTS_CAPACITY};
use crate::exports::{
    ExportInput, ExportPlan, ExportReport, ExportSource, Listener, ListenerReport, disorder_ns,
};
use crate::merger::{Merger, failed};
use crate::packets::{PacketPlan, PacketReport, PacketSource};
use crate::reader::{Dealer, Lane, ReaderProgress, read};
use crate::ring::StopFlag;
use crate::sink::Sink;
use crate::source::{AnySource, Source as _};
use crate::worker::{Worker, WorkerInput};
use rtrb::RingBuffer;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{Builder, Scope, ScopedJoinHandle, available_parallelism};
use std::time::{Duration, Instant};
use tapline_capture::{CaptureFile, CaptureSet, End, ExportCounters, ExportSet};
use tapline_decode::export::{ExportAccount, ExportOptions, Strays};
use tapline_decode::flow_meter::FlowMeterCounters;
use tapline_decode::{DamageCounts, FlowMeterLimits};
use tapline_operators::{LowerOperator, OperatorLimits, QueryMerger};
use tapline_query::{ContinuousQuery, Window};
use tapline_record::ledger::{QueryLedger, SourceLedger};
use tapline_record::{EventTime, FLOWS, PACKETS, Stream};

/// Messages on the way from one worker to the merger.
const MESSAGES_CAPACITY: usize = 256;

/// Allowed lateness of packets and of exports, where nothing else is said.
const PACKETS_LATENESS_MS: u32 = 2_000;
const EXPORTS_LATENESS_MS: u32 = 60_000;

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
    /// How far a record may lie behind the latest one, where that cannot be measured beforehand; `None` for
    /// 2 s of packets and 60 s of exports.
    pub allowed_lateness_ms: Option<u32>,
    /// How exports are decoded.
    pub exports: ExportOptions,
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
            allowed_lateness_ms: None,
            exports: ExportOptions::default(),
            flows: FlowMeterLimits::default(),
        }
    }
}

/// What a run reads.
pub enum Input {
    /// Packets, and flows built from them.
    Packets(CaptureSet),
    /// Flow exports in files.
    Exports {
        /// The files.
        files: ExportSet,
        /// The same files from their beginning; `None` for standard input.
        again: Option<ExportSet>,
    },
    /// Flow exports as they arrive.
    Listeners(Vec<Listener>),
}

/// The account of a run.
#[derive(Debug)]
pub struct Summary {
    /// Wall time.
    pub elapsed: Duration,
    /// What was read.
    pub source: SourceSummary,
    /// How far records lay behind the latest one, in nanoseconds, where that was measured.
    pub disorder_ns: Option<i64>,
    /// Rows of live sources that were dropped since the workers had no room for them.
    pub rows_dropped: u64,
    /// Fates of each query's rows; empty when every LIMIT was reached before the input's end.
    pub queries: Vec<QueryLedger>,
    /// Whether the input was ended before its time.
    pub is_cut: bool,
    /// How each file ended; `None` when it was not read to its end.
    pub files: Vec<(String, Option<End>)>,
}

/// What was read, by kind.
#[derive(Debug)]
pub enum SourceSummary {
    /// Packets.
    Packets {
        /// Frames and their fates.
        ledger: SourceLedger,
        /// Octets that the frames had on the wire.
        frame_octets: u64,
        /// Damaged frames by reason; they are rows all the same.
        damage: DamageCounts,
        /// Flows that were built, if some query asked for them.
        flows: Option<FlowMeterCounters>,
    },
    /// Flow exports.
    Exports {
        /// Every exporter and domain.
        accounts: Vec<ExportAccount>,
        /// Messages that belong to no exporter.
        strays: Strays,
        /// What the files held.
        files: Option<ExportCounters>,
        /// What was listened on.
        listeners: Vec<ListenerReport>,
    },
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

/// Runs `queries` over `input` in one scan; results go to `sink`.
///
/// When `input_ends` is set, what was read so far is all of the input; windows that are open then are marked
/// partial.
///
/// # Errors
/// When a query fails on some row, when the sink fails, or when the system has no room for threads.
pub fn run(
    input: Input,
    queries: &[ContinuousQuery],
    options: &RunOptions,
    input_ends: &AtomicBool,
    sink: &mut dyn Sink,
) -> Result<Summary, RunError> {
    let started = Instant::now();
    let (sources, disorder_ns) = sources(input, queries, options);
    let is_live = sources.iter().any(AnySource::is_live);
    let total_octets = sources.iter().map(|source| source.progress().total_octets).sum();
    let workers = if counts_rows(queries) { 1 } else { options.workers.max(1) };
    let shape = Shape { sources: sources.len(), workers, is_live };
    let wired = wire(queries, &shape, options)?;
    let (stop, progress) = (StopFlag::new(input_ends), ReaderProgress::default());
    let read_so_far = || progress.of(total_octets);
    let threads = workers + sources.len();
    let (ledgers, readers) = std::thread::scope(|scope| {
        let (stop, progress) = (&stop, &progress);
        for (number, worker) in wired.workers.into_iter().enumerate() {
            let work = move || {
                pin(number + 1, threads);
                worker.run(stop);
            };
            start(scope, format!("operator-{number}"), work, stop)?;
        }
        let mut readers = vec![];
        let ends = sources.into_iter().zip(wired.lanes).zip(wired.coverage);
        for (number, ((mut source, lanes), coverage)) in ends.enumerate() {
            let sequence = &wired.sequence;
            let work = move || {
                pin(if number == 0 { 0 } else { workers + number }, threads);
                let dealer = Dealer::new(lanes, sequence, coverage);
                let dropped = read(&mut source, dealer, progress, stop);
                (source, dropped)
            };
            readers.push(start(scope, format!("capture-{number}"), work, stop)?);
        }
        let ledgers = wired.merger.run(sink, &read_so_far, stop);
        stop.stop();
        let readers: Result<Vec<_>, _> =
            readers.into_iter().map(|reader| reader.join().map_err(|_| RunError::WorkerDied)).collect();
        Ok((ledgers?, readers?))
    })?;
    let is_cut = input_ends.load(Ordering::Relaxed);
    Ok(Summary { is_cut, disorder_ns, queries: ledgers, elapsed: started.elapsed(), ..summarise(readers) })
}

/// The sources of an input, and how far its records lie behind the latest one, where that was measured.
fn sources(input: Input, queries: &[ContinuousQuery], options: &RunOptions) -> (Vec<AnySource>, Option<i64>) {
    let needs_order = has_time_window(queries);
    let allowed = |default_ms: u32| i64::from(options.allowed_lateness_ms.unwrap_or(default_ms)) * 1_000_000;
    let exports = |lateness_ns| ExportPlan {
        columns: columns_of(queries, &FLOWS).unwrap_or_default(),
        batch_rows: options.batch_rows,
        lateness_ns,
        options: options.exports,
    };
    match input {
        Input::Packets(files) => {
            let disorder = needs_order.then(|| files.scan_times()).flatten().map(|scan| scan.disorder_ns);
            let plan = PacketPlan {
                packet_columns: columns_of(queries, &PACKETS),
                flow_columns: columns_of(queries, &FLOWS),
                batch_rows: options.batch_rows,
                lateness_ns: disorder.unwrap_or(allowed(PACKETS_LATENESS_MS)),
                flow_limits: options.flows,
            };
            (vec![AnySource::Packets(Box::new(PacketSource::new(files, &plan)))], disorder)
        }
        Input::Exports { files, again } => {
            let disorder = again.filter(|_| needs_order).map(|files| disorder_ns(files, options.exports));
            let plan = exports(disorder.unwrap_or(allowed(EXPORTS_LATENESS_MS)));
            (vec![exports_of(ExportInput::Files(files), &plan)], disorder)
        }
        Input::Listeners(listeners) => {
            let plan = exports(allowed(EXPORTS_LATENESS_MS));
            let source = |listener| exports_of(ExportInput::Listener(Box::new(listener)), &plan);
            (listeners.into_iter().map(source).collect(), None)
        }
    }
}

fn exports_of(input: ExportInput, plan: &ExportPlan) -> AnySource {
    AnySource::Exports(Box::new(ExportSource::new(input, plan)))
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

/// How many threads of each kind there are.
struct Shape {
    sources: usize,
    workers: usize,
    /// Whether sources never wait.
    is_live: bool,
}

/// Workers, merger and the rings between them.
struct Wired {
    /// For each source, its ends of the rings to each worker.
    lanes: Vec<Vec<Lane>>,
    workers: Vec<Worker>,
    merger: Merger,
    /// For each source, whom it tells how much of it arrived.
    coverage: Vec<Option<CoverageReporter>>,
    /// The number of the next batch of any source.
    sequence: AtomicU64,
}

fn wire(queries: &[ContinuousQuery], shape: &Shape, options: &RunOptions) -> Result<Wired, RunError> {
    let &Shape { sources, workers, is_live } = shape;
    let limits = OperatorLimits { groups_max: options.groups_max, is_only_worker: workers == 1, is_live };
    let mergers = queries.iter().enumerate().map(|(number, query)| {
        QueryMerger::new(query.clone(), workers, limits).map_err(|error| failed(number, &error))
    });
    let (reporters, reports): (Vec<_>, Vec<_>) =
        (0..if is_live { sources } else { 0 }).map(|_| RingBuffer::new(REPORTS_CAPACITY)).unzip();
    let mut coverage: Vec<_> = reporters.into_iter().map(|ring| Some(CoverageReporter::new(ring))).collect();
    coverage.resize_with(sources, || None);
    let merger = Merger {
        coverage: CoverageLog::new(reports),
        queries: mergers.collect::<Result<_, _>>()?,
        workers: vec![],
        ledgers: vec![QueryLedger::default(); queries.len()],
        done: 0,
        results: vec![],
    };
    let lanes = (0..sources).map(|_| vec![]).collect();
    let mut wired = Wired { lanes, workers: vec![], merger, coverage, sequence: AtomicU64::new(0) };
    for _ in 0..workers {
        let inputs = wired.lanes.iter_mut().map(|lanes| ring_of_batches(lanes, options)).collect();
        let (to_merger, messages) = RingBuffer::new(MESSAGES_CAPACITY);
        wired.merger.workers.push(messages);
        wired.workers.push(Worker {
            operators: operators(queries, limits)?,
            queries: queries.len(),
            inputs,
            messages: to_merger,
            outputs: vec![],
        });
    }
    Ok(wired)
}

/// The rings between one source, whose `lanes` get their ends, and one worker.
fn ring_of_batches(lanes: &mut Vec<Lane>, options: &RunOptions) -> WorkerInput {
    let (to_worker, batches) = RingBuffer::new(options.ring_capacity_batches.max(1));
    // A batch may be in the ring, with the worker, or on its way back.
    let (to_reader, used) = RingBuffer::new(options.ring_capacity_batches + 2);
    lanes.push(Lane { batches: to_worker, used });
    WorkerInput { batches, used: to_reader, watermark: EventTime::MIN }
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

/// What was read, of all sources together.
fn summarise(readers: Vec<(AnySource, u64)>) -> Summary {
    let mut summary = Summary {
        elapsed: Duration::ZERO,
        source: SourceSummary::Exports {
            accounts: vec![],
            strays: Strays::default(),
            files: None,
            listeners: vec![],
        },
        disorder_ns: None,
        rows_dropped: 0,
        queries: vec![],
        is_cut: false,
        files: vec![],
    };
    for (source, dropped) in readers {
        summary.rows_dropped += dropped;
        match source {
            AnySource::Packets(source) => summarise_packets(&source.report(), &mut summary),
            AnySource::Exports(source) => summarise_exports(source.report(), &mut summary),
        }
    }
    summary
}

fn summarise_packets(report: &PacketReport, summary: &mut Summary) {
    let counters = report.files.counters();
    let ledger = SourceLedger {
        offered: counters.frames + counters.undecodable,
        delivered: counters.frames,
        undecodable: counters.undecodable,
        ..SourceLedger::default()
    };
    let end = |file: &CaptureFile| (file.name().to_owned(), file.end().cloned());
    summary.files = report.files.files().iter().map(end).collect();
    summary.source = SourceSummary::Packets {
        ledger,
        frame_octets: report.frame_octets,
        damage: report.damage,
        flows: report.flows,
    };
}

fn summarise_exports(report: ExportReport, summary: &mut Summary) {
    let SourceSummary::Exports { accounts, strays, files, listeners } = &mut summary.source else { return };
    accounts.extend(report.accounts);
    *strays += report.strays;
    listeners.extend(report.listener);
    if let Some((set, counters)) = report.files {
        *files = Some(counters);
        let end = |(name, end): (&str, Option<&End>)| (name.to_owned(), end.cloned());
        summary.files = set.files().map(end).collect();
    }
}
