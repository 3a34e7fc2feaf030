//! One run of some queries over some input: build, wire, run, stop.

use crate::reader::{Dispatcher, ReaderProgress, read};
use crate::ring::StopFlag;
use crate::sink::Sink;
use crate::summary::Summary;
use crate::wire::{Shape, demand_of, wire};
use core_affinity::CoreId;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, Scope, ScopedJoinHandle, available_parallelism};
use std::time::Instant;
use tapline_query::{ContinuousQuery, Window};
use tapline_sources::Source;

/// Limits of a run, all taken at its start.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// Operator threads.
    pub workers: usize,
    /// The cores for the first source, the operator threads and the other sources, in this order; when there are
    /// fewer than threads, it begins anew. Without any, each thread has a core of its own where there are enough.
    pub cores: Vec<usize>,
    /// Batches on the way to one worker.
    pub ring_capacity_batches: usize,
    /// Groups of one aggregate in one pane; more are folded into one row.
    pub groups_max: usize,
}

impl Default for RunOptions {
    fn default() -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        Self { workers: workers_for(cores), cores: vec![], ring_capacity_batches: 16, groups_max: 1 << 20 }
    }
}

/// Operator threads on so many cores: all but one, at most four.
#[must_use]
pub fn workers_for(cores: usize) -> usize {
    cores.saturating_sub(1).clamp(1, 4)
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
    /// A source cannot prepare for what the queries need.
    #[error("{0}")]
    Source(std::io::Error),
    /// A thread could not be started.
    #[error("a thread cannot be started: {0}")]
    Thread(std::io::Error),
    /// A thread ended without a word.
    #[error("a worker thread died; please report this")]
    WorkerDied,
}

/// Runs `queries` over `sources` in one scan; results go to `sink`, and each source tells its account at its end.
///
/// When `input_ends` is set, what was read so far is all of the input; windows that are open then are marked
/// partial.
///
/// # Errors
/// When a source cannot prepare for the queries, when a query fails on some row, when the sink fails, or when the
/// system has no room for threads.
pub fn run(
    mut sources: Vec<Box<dyn Source>>,
    queries: &[ContinuousQuery],
    options: &RunOptions,
    input_ends: &AtomicBool,
    sink: &mut dyn Sink,
) -> Result<Summary, RunError> {
    let started = Instant::now();
    let demand = demand_of(queries);
    sources.iter_mut().try_for_each(|source| source.bind(&demand)).map_err(RunError::Source)?;
    let total_octets = sources.iter().map(|source| source.progress().total_octets).sum();
    let workers = if counts_rows(queries) { 1 } else { options.workers.max(1) };
    let shape = Shape { live: sources.iter().map(|source| source.is_live()).collect(), workers };
    let wired = wire(queries, &demand, &shape, options)?;
    let (stop, progress) = (StopFlag::new(input_ends), ReaderProgress::default());
    let read_so_far = || progress.of(total_octets);
    let affinity = Affinity { chosen: &options.cores, threads: workers + sources.len() };
    let (queries, rows_dropped) = std::thread::scope(|scope| {
        let (stop, progress) = (&stop, &progress);
        for (number, worker) in wired.workers.into_iter().enumerate() {
            let work = move || {
                affinity.take(number + 1);
                worker.run(stop);
            };
            start(scope, format!("operator-{number}"), work, stop)?;
        }
        let mut readers = vec![];
        let ends = sources.into_iter().zip(wired.links).zip(wired.live);
        for (number, ((mut source, links), live)) in ends.enumerate() {
            let sequence = &wired.sequence;
            let work = move || {
                affinity.take(if number == 0 { 0 } else { workers + number });
                let dropped = read(source.as_mut(), Dispatcher::new(links, sequence, live), progress, stop);
                source.report();
                dropped
            };
            readers.push(start(scope, format!("capture-{number}"), work, stop)?);
        }
        let ledgers = wired.merger.run(sink, &read_so_far, stop);
        stop.stop();
        let dropped = readers.into_iter().map(|reader| reader.join().map_err(|_| RunError::WorkerDied));
        let dropped: u64 = dropped.sum::<Result<_, _>>()?;
        Ok((ledgers?, dropped))
    })?;
    let is_cut = input_ends.load(Ordering::Relaxed);
    Ok(Summary { is_cut, rows_dropped, queries, elapsed: started.elapsed() })
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
struct Affinity<'a> {
    chosen: &'a [usize],
    threads: usize,
}

impl Affinity<'_> {
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

fn counts_rows(queries: &[ContinuousQuery]) -> bool {
    queries.iter().any(|query| matches!(query.window, Some(Window::Rows { .. })))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The cores that a thread may run on after it took its core.
    fn cores_of(chosen: &[usize], threads: usize, number: usize) -> Vec<usize> {
        let affinity = move || {
            Affinity { chosen, threads }.take(number);
            core_affinity::get_core_ids().unwrap_or_default().iter().map(|core| core.id).collect()
        };
        std::thread::scope(|scope| scope.spawn(affinity).join().unwrap_or_default())
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
