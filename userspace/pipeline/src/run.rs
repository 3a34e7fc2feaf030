//! One run of some queries over some input: build, wire, run, stop.

use crate::exports::{ExportInput, ExportPlan, ExportSource, Listener, disorder_ns};
use crate::kernel::{KernelInput, KernelSource};
use crate::packets::{FrameInput, PacketPlan, PacketSource};
use crate::reader::{Dealer, ReaderProgress, read};
use crate::ring::StopFlag;
use crate::sink::Sink;
use crate::source::{AnySource, Source as _};
use crate::summary::{Summary, summarise};
use crate::wire::{Shape, columns_of, wire};
use core_affinity::CoreId;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, Scope, ScopedJoinHandle, available_parallelism};
use std::time::Instant;
use tapline_capture::live::FrameSource;
use tapline_capture::{CaptureSet, ExportSet, TemplateFile};
use tapline_decode::FlowMeterLimits;
use tapline_decode::export::ExportOptions;
use tapline_query::{ContinuousQuery, Window};
use tapline_record::{FLOWS, INTERFACE_COUNTERS, LEDGER, PACKET_FLOWS, PACKETS};

/// Allowed lateness of packets and of exports, where nothing else is said.
const PACKETS_LATENESS_MS: u32 = 2_000;
const EXPORTS_LATENESS_MS: u32 = 60_000;

/// Limits of a run, all taken at its start.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// Operator threads.
    pub workers: usize,
    /// The cores for the first source, the operator threads and the other sources, in this order; when there are
    /// fewer than threads, it begins anew. Without any, each thread has a core of its own where there are enough.
    pub cores: Vec<usize>,
    /// Rows of a batch.
    pub batch_rows: usize,
    /// Batches on the way to one worker.
    pub ring_capacity_batches: usize,
    /// Groups of one aggregate in one pane; more are folded into one row.
    pub groups_max: usize,
    /// How far a record may lie behind the latest one, where that cannot be measured beforehand, and behind its
    /// arrival, where it is exported live; `None` for 2 s of packets and 60 s of exports.
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
            workers: workers_for(cores),
            cores: vec![],
            batch_rows: 8192,
            ring_capacity_batches: 16,
            groups_max: 1 << 20,
            allowed_lateness_ms: None,
            exports: ExportOptions::default(),
            flows: FlowMeterLimits::default(),
        }
    }
}

impl RunOptions {
    /// How far the event time of an exported record may lie behind its arrival.
    #[must_use]
    pub fn exports_lateness_ms(&self) -> u32 {
        self.allowed_lateness_ms.unwrap_or(EXPORTS_LATENESS_MS)
    }
}

/// Operator threads on so many cores: all but one, at most four.
#[must_use]
pub fn workers_for(cores: usize) -> usize {
    cores.saturating_sub(1).clamp(1, 4)
}

/// What a run reads.
pub enum Input {
    /// Packets, and flows built from them.
    Packets(CaptureSet),
    /// Flow exports in files.
    Exports(ExportSet),
    /// An interface: packets as the kernel counts them, packets as they are, or both.
    Interface(Option<Box<KernelInput>>, Option<Box<dyn FrameSource>>),
    /// Flow exports as they arrive, each listener with the file of its templates, if there is one.
    Listeners(Vec<(Listener, Option<TemplateFile>)>),
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
    /// The templates of an earlier run are there but cannot be read.
    #[error("the templates of an earlier run cannot be read: {0}")]
    Templates(std::io::Error),
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
    let (sources, disorder_ns) = sources(input, queries, options)?;
    let is_live = sources.iter().any(AnySource::is_live);
    let total_octets = sources.iter().map(|source| source.progress().total_octets).sum();
    let workers = if counts_rows(queries) { 1 } else { options.workers.max(1) };
    let shape = Shape { sources: sources.len(), workers, is_live };
    let wired = wire(queries, &shape, options)?;
    let (stop, progress) = (StopFlag::new(input_ends), ReaderProgress::default());
    let read_so_far = || progress.of(total_octets);
    let seats = Seats { chosen: &options.cores, threads: workers + sources.len() };
    let (ledgers, readers) = std::thread::scope(|scope| {
        let (stop, progress) = (&stop, &progress);
        for (number, worker) in wired.workers.into_iter().enumerate() {
            let work = move || {
                seats.take(number + 1);
                worker.run(stop);
            };
            start(scope, format!("operator-{number}"), work, stop)?;
        }
        let mut readers = vec![];
        let ends = sources.into_iter().zip(wired.lanes).zip(wired.live);
        for (number, ((mut source, lanes), live)) in ends.enumerate() {
            let sequence = &wired.sequence;
            let work = move || {
                seats.take(if number == 0 { 0 } else { workers + number });
                let dealer = Dealer::new(lanes, sequence, live);
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
fn sources(
    input: Input,
    queries: &[ContinuousQuery],
    options: &RunOptions,
) -> Result<(Vec<AnySource>, Option<i64>), RunError> {
    let needs_order = has_time_window(queries);
    let allowed = |default_ms: u32| i64::from(options.allowed_lateness_ms.unwrap_or(default_ms)) * 1_000_000;
    let exports = |lateness_ns| ExportPlan {
        columns: columns_of(queries, &FLOWS),
        interface_columns: columns_of(queries, &INTERFACE_COUNTERS),
        ledger_columns: columns_of(queries, &LEDGER),
        batch_rows: options.batch_rows,
        lateness_ns,
        pane_widths_ns: pane_widths_ns(queries),
        options: options.exports,
    };
    let packets = |lateness_ns| PacketPlan {
        packet_columns: columns_of(queries, &PACKETS),
        flow_columns: columns_of(queries, &FLOWS),
        ledger_columns: columns_of(queries, &LEDGER),
        batch_rows: options.batch_rows,
        lateness_ns,
        flow_limits: options.flows,
    };
    Ok(match input {
        Input::Packets(files) => {
            let disorder = needs_order.then(|| files.scan_times()).flatten().map(|scan| scan.disorder_ns);
            let plan = packets(disorder.unwrap_or(allowed(PACKETS_LATENESS_MS)));
            (vec![packets_of(FrameInput::Files(files), &plan)], disorder)
        }
        Input::Interface(kernel, frames) => {
            let columns = columns_of(queries, &PACKET_FLOWS).unwrap_or_default();
            let table = kernel.map(|input| {
                let ledger = columns_of(queries, &LEDGER);
                let source = KernelSource::new(*input, &columns, ledger.as_deref(), options.batch_rows);
                AnySource::Kernel(Box::new(source))
            });
            let mut plan = packets(allowed(PACKETS_LATENESS_MS));
            plan.count_flows_in_packets();
            let frames = frames.map(|source| packets_of(FrameInput::Interface(source), &plan));
            (table.into_iter().chain(frames).collect(), None)
        }
        Input::Exports(files) => {
            let again = needs_order.then(|| files.again()).flatten();
            let disorder = again.map(|files| disorder_ns(files, options.exports));
            let plan = exports(disorder.unwrap_or(allowed(EXPORTS_LATENESS_MS)));
            (vec![exports_of(ExportInput::Files(files), &plan)], disorder)
        }
        Input::Listeners(listeners) => {
            let plan = exports(allowed(EXPORTS_LATENESS_MS));
            let source = |(listener, templates): (Listener, Option<TemplateFile>)| {
                let source = ExportSource::new(ExportInput::Listener(Box::new(listener)), &plan);
                let source = match templates {
                    None => Ok(source),
                    Some(file) => source.with_templates(file).map_err(RunError::Templates),
                };
                source.map(|source| AnySource::Exports(Box::new(source)))
            };
            (listeners.into_iter().map(source).collect::<Result<_, _>>()?, None)
        }
    })
}

fn packets_of(input: FrameInput, plan: &PacketPlan) -> AnySource {
    AnySource::Packets(Box::new(PacketSource::new(input, plan)))
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

/// Where threads run.
#[derive(Clone, Copy)]
struct Seats<'a> {
    chosen: &'a [usize],
    threads: usize,
}

impl Seats<'_> {
    /// Keeps this thread, the one of this number, on its core.
    fn take(self, number: usize) {
        let there = core_affinity::get_core_ids().unwrap_or_default();
        let core = match self.chosen {
            [] if there.len() < self.threads => None,
            [] => there.get(number).copied(),
            chosen => Some(CoreId { id: chosen[number % chosen.len()] }),
        };
        core.map(core_affinity::set_for_current);
    }
}

/// Of the queries that read `flows`.
fn pane_widths_ns(queries: &[ContinuousQuery]) -> Vec<i64> {
    let of_flows = queries.iter().filter(|query| query.columns_of(&FLOWS).is_some());
    of_flows.filter_map(|query| query.window.and_then(Window::pane_width)).collect()
}

fn has_time_window(queries: &[ContinuousQuery]) -> bool {
    queries.iter().any(|query| query.window.and_then(Window::pane_width).is_some())
}

fn counts_rows(queries: &[ContinuousQuery]) -> bool {
    queries.iter().any(|query| matches!(query.window, Some(Window::Rows { .. })))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The cores that a thread may run on after it took its seat.
    fn cores_of(chosen: &[usize], threads: usize, number: usize) -> Vec<usize> {
        let seat = move || {
            Seats { chosen, threads }.take(number);
            core_affinity::get_core_ids().unwrap_or_default().iter().map(|core| core.id).collect()
        };
        std::thread::scope(|scope| scope.spawn(seat).join().unwrap_or_default())
    }

    #[test]
    fn threads_take_the_cores_that_were_chosen() {
        let there: Vec<usize> =
            core_affinity::get_core_ids().unwrap_or_default().iter().map(|core| core.id).collect();
        let [first, .., last] = there[..] else { return println!("skipped: a machine of one core") };
        assert_eq!(cores_of(&[last], 3, 0), [last]);
        assert_eq!(cores_of(&[last, first], 3, 1), [first]);
        assert_eq!(cores_of(&[last, first], 3, 2), [last]);
        assert_eq!(cores_of(&[], 2, 1), [there[1]]);
        assert_eq!(cores_of(&[], there.len() + 1, 1), there, "not enough for all");
    }
}
